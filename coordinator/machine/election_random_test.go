package machine

import (
	"fmt"

	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// election draws a command of elections. The names are also those of locks,
// which are unrelated.
func (w *writer) election() Op {
	if w.draw(2, "campaign") == 0 {
		o := &Campaign{
			Request: w.once(w.session()), Name: names[w.draw(2, "name")], Value: fmt.Append(nil, "v", w.request),
			Priority: int64(w.draw(4, "priority")), Preempt: w.draw(3, "preempt") == 0, Tenure: uint64(w.draw(4, "tenure") * 150),
			Aging: 1000, Try: w.draw(6, "try") == 0, Wait: uint64(w.draw(5, "wait") * 100),
		}
		if w.draw(10, "aging") == 0 {
			o.Aging = 2000
		}
		return o
	}
	as := Leadership{Request: w.once(w.session()), Name: "a", Token: 1}
	if n := len(w.led); n > 0 && w.draw(8, "wrong") > 0 {
		g := w.led[n-1-w.draw(min(n, 6), "leader")]
		as.Name, as.Token = g.name, g.token
		as.Request = w.once(g.session)
	}
	if w.draw(6, "operator") == 0 {
		as.Request = Request{}
	}
	switch w.draw(4, "election") {
	case 0:
		return &Proclaim{Leadership: as, Value: make([]byte, w.draw(200, "size"))}
	case 1:
		return &Resign{Leadership: as, Reason: "stuck"}
	default:
		return &Transfer{Leadership: as, To: w.session(), Reason: "moved"}
	}
}

// led is a leadership as the writer saw it begin.
type led struct {
	session sessions.ID
	name    locks.Name
	token   locks.Token
}
