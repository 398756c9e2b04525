package elections

import (
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// Tenure is the time of one leader, as records tell it.
type Tenure struct {
	Term    uint64
	Token   locks.Token
	Session sessions.ID
	Labels  sessions.Labels
	From    uint64 // revision of its beginning
	Since   int64  // wall milliseconds of it
	To      uint64 // revision of its end; 0: it still leads
	Until   int64  // wall milliseconds of it
	Ended   locks.Why
	Value   []byte // the last that it proclaimed
}

// History puts the tenures of one election together from its records.
type History struct {
	limit   int
	tenures []Tenure // oldest first; the last one may go on
}

// NewHistory keeps the newest limit tenures, at least 1.
func NewHistory(limit int) *History { return &History{limit: max(limit, 1)} }

// Add takes a record and the revision and wall time at which it was written.
// Records come in order, from any one on.
func (h *History) Add(r *Record, revision uint64, millis int64) {
	if t := h.last(); r.Ended && t != nil && t.To == 0 {
		t.To, t.Until, t.Ended, t.Value = revision, millis, r.Last.Ended, r.Last.Value
	} else if r.Ended { // its beginning is not kept
		term := r.Term
		if r.Leader != nil {
			term--
		}
		h.add(Tenure{Term: term, Token: r.Last.Token, Session: r.Last.Session, To: revision, Until: millis, Ended: r.Last.Ended, Value: r.Last.Value})
	}
	l := r.Leader
	if l == nil {
		return
	}
	if t := h.last(); t != nil && t.Token == r.Token {
		t.Value = l.Value
		return
	}
	h.add(Tenure{
		Term: r.Term, Token: r.Token, Session: l.Claim.Session, Labels: l.Labels,
		From: l.Revision, Since: l.Since, Value: l.Value,
	})
}

// Tenures lists them, oldest first.
func (h *History) Tenures() []Tenure { return h.tenures[max(0, len(h.tenures)-h.limit):] }

// Trim lets the oldest go until the values of those that are left have at most
// so many bytes; the newest tenure stays.
func (h *History) Trim(bytes int) {
	first := len(h.tenures)
	for first > 0 && (bytes >= len(h.tenures[first-1].Value) || first == len(h.tenures)) {
		first--
		bytes -= len(h.tenures[first].Value)
	}
	h.drop(first)
}

func (h *History) last() *Tenure {
	if len(h.tenures) == 0 {
		return nil
	}
	return &h.tenures[len(h.tenures)-1]
}

// add lets the oldest go, half of them at a time.
func (h *History) add(t Tenure) {
	if len(h.tenures) >= 2*h.limit {
		h.drop(h.limit)
	}
	h.tenures = append(h.tenures, t)
}

// drop lets the n oldest go.
func (h *History) drop(n int) {
	kept := copy(h.tenures, h.tenures[n:])
	clear(h.tenures[kept:])
	h.tenures = h.tenures[:kept]
}
