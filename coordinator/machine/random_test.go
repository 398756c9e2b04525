package machine

import (
	"fmt"
	"slices"

	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
	"pgregory.net/rapid"
)

// writer draws entries as a cell with a handful of clients would write them:
// mostly sensible, sometimes repeated, late or wrong.
type writer struct {
	t        *rapid.T
	now      int64
	request  uint64
	opened   int                               // sessions that were asked for
	sequence map[sessions.ID]sessions.Sequence // the newest of each session
	keepers  map[sessions.ID]uint64            // keep-alive numbers
	sent     []Op                              // everything, for repetitions
	granted  []grant                           // as far as the writer saw
	led      []led
	acked    map[sessions.ID]sessions.Sequence // what it claims to have
}

type grant struct {
	session sessions.ID
	name    locks.Name
	token   locks.Token
}

func newWriter(t *rapid.T) *writer {
	return &writer{t: t, sequence: map[sessions.ID]sessions.Sequence{}, keepers: map[sessions.ID]uint64{}, acked: map[sessions.ID]sessions.Sequence{}}
}

func (w *writer) draw(n int, what string) int { return rapid.IntRange(0, n-1).Draw(w.t, what) }

// header draws what an entry says of time.
func (w *writer) header() Header {
	w.now += int64(w.draw(3, "millis")) * 40
	h := Header{Millis: w.now}
	if w.draw(3, "tick") == 0 {
		h.Elapsed = sessions.Duration(w.draw(12, "elapsed")) * 50 * sessions.Millisecond
	}
	for id := 1; id <= w.opened+1; id++ {
		if w.draw(4, "heard") == 0 {
			w.keepers[sessions.ID(id)]++
			h.Heard = append(h.Heard, Heard{sessions.ID(id), w.keepers[sessions.ID(id)]})
		}
	}
	return h
}

func (w *writer) entry() []byte {
	if w.draw(12, "empty") == 0 {
		return nil
	}
	h := w.header()
	b := h.Append(nil)
	for range w.draw(5, "commands") {
		w.request++
		b = Command{Origin: uint64(1 + w.draw(3, "origin")), Request: w.request, Op: w.op()}.Append(b)
	}
	switch w.draw(40, "damage") {
	case 0:
		b = append(b, 0, 0, 0, 9, 99)
	case 1:
		b = append(b, 0, 0, 0, 3, kindAcquire, 1, 1)
	case 2:
		b = b[:1+w.draw(len(b), "cut")]
	}
	return b
}

func (w *writer) session() sessions.ID { return sessions.ID(1 + w.draw(w.opened+1, "session")) }

func (w *writer) once(id sessions.ID) Request {
	w.sequence[id]++
	q := Request{Session: id, Sequence: w.sequence[id]}
	if w.draw(2, "ack") == 0 {
		w.acked[id] = max(w.acked[id], w.sequence[id]-min(w.sequence[id], sessions.Sequence(w.draw(6, "lag"))))
	}
	q.Acked = w.acked[id]
	return q
}

var names = []locks.Name{"a", "a/b", "b", "c"}

func (w *writer) op() Op {
	op := w.fresh()
	w.sent = append(w.sent, op)
	return op
}

func (w *writer) fresh() Op {
	if len(w.sent) > 0 && w.draw(6, "repeat") == 0 {
		return w.sent[w.draw(len(w.sent), "which")]
	}
	switch k := w.draw(34, "kind"); {
	case k < 2 || w.opened == 0:
		w.opened++
		o := &OpenSession{TTL: uint64(500 + 250*w.draw(4, "ttl"))}
		o.Nonce[0], o.Nonce[15] = byte(w.opened), byte(w.opened>>8)+1
		if w.draw(2, "labels") == 0 {
			o.Labels = sessions.Labels{{Key: "host", Value: fmt.Sprint("h", w.opened)}}
		}
		return o
	case k < 3:
		return &EndSession{Session: w.session(), Why: []locks.Why{locks.Closed, locks.Ended}[w.draw(2, "why")], Reason: "x"}
	case k < 11:
		o := &Acquire{Request: w.once(w.session()), Try: w.draw(4, "try") == 0}
		o.Wait, o.Delay = uint64(w.draw(5, "wait")*100), uint64(w.draw(3, "delay")*150)
		for _, n := range names {
			if w.draw(3, "take") == 0 {
				o.Items = append(o.Items, w.item(n))
			}
		}
		if o.Items == nil {
			o.Items = []locks.Item{w.item("a")}
		}
		return o
	case k < 16:
		id := w.session()
		o := &Release{Request: w.once(id), Name: "a", Token: 1}
		if n := len(w.granted); n > 0 && w.draw(8, "wrong") > 0 {
			g := w.granted[n-1-w.draw(min(n, 12), "grant")]
			o.Session, o.Name, o.Token = g.session, g.name, g.token
			o.Request = w.once(g.session)
		}
		return o
	case k < 18:
		q := w.once(w.session())
		return &Cancel{Request: q, Claim: q.Sequence%7 + 1 + boolSeq(q.Sequence%7+1 == q.Sequence)}
	case k < 19:
		o := &Break{Name: "a", Token: 1, Reason: "stuck"}
		if n := len(w.granted); n > 0 {
			g := w.granted[n-1-w.draw(min(n, 4), "grant")]
			o.Name, o.Token = g.name, g.token
		}
		return o
	case k < 22:
		return w.txn()
	case k < 23:
		return &Compact{Revision: uint64(w.draw(200, "revision"))}
	case k >= 24:
		return w.election()
	}
	return &Hash{}
}

func boolSeq(b bool) sessions.Sequence {
	if b {
		return 1
	}
	return 0
}

func (w *writer) item(n locks.Name) locks.Item {
	switch w.draw(4, "mode") {
	case 0:
		return locks.Item{Name: n, Mode: locks.Shared}
	case 1:
		return locks.Item{Name: n, Mode: locks.Permits, Capacity: 3, Permits: uint32(1 + w.draw(2, "permits"))}
	}
	return locks.Item{Name: n}
}

func (w *writer) txn() Op {
	o := &Txn{}
	if w.draw(2, "once") == 0 {
		o.Request = w.once(w.session())
	}
	key := string(rune('k' + w.draw(3, "key")))
	put := store.Op{Put: &store.PutOp{Key: key, Value: make([]byte, w.draw(200, "size")), Prev: true}}
	if w.draw(2, "owned") == 0 {
		put.Put.Session = uint64(w.session())
	}
	o.Txn.Compares = []store.Compare{{Target: store.TargetHeldLock, Key: "a", Number: uint64(w.draw(9, "token"))}}
	o.Txn.Failure = []store.Op{put, {Range: &store.Query{Key: "k", End: "z"}}}
	o.Txn.Success = []store.Op{{Delete: &store.DeleteOp{Key: key, Prev: true}}}
	return o
}

// saw remembers grants, as the writer's clients would.
func (w *writer) saw(out Output) {
	note := func(c *Claimed) {
		switch {
		case c == nil || !c.Granted:
		case c.Election:
			w.led = append(w.led, led{c.ID.Session, c.Names[0], c.Token})
		default:
			w.granted = append(w.granted, grant{c.ID.Session, c.Names[0], c.Token})
		}
	}
	for _, r := range out.Results {
		note(r.Reply.Claim)
	}
	for _, e := range out.Events {
		if e.Reply != nil {
			note(e.Reply.Claim)
		}
	}
}

// kept is an Output that stays, spelt out.
func kept(out Output) []string {
	var l []string
	for _, r := range out.Results {
		l = append(l, fmt.Sprintf("result %d/%d %s", r.Origin, r.Request, spelt(r.Reply)))
	}
	for _, e := range out.Events {
		var p Reply
		if e.Reply != nil {
			p, e.Reply = *e.Reply, nil
		}
		l = append(l, fmt.Sprintf("event %+v %s", e, spelt(p)))
	}
	for _, h := range out.Hashes {
		l = append(l, fmt.Sprintf("hash %+v", h))
	}
	return l
}

func spelt(p Reply) string {
	c, t := p.Claim, p.Txn
	p.Claim, p.Txn = nil, nil
	s := fmt.Sprintf("%+v", p)
	if c != nil {
		s += fmt.Sprintf(" claim %+v", *c)
	}
	if t != nil {
		s += fmt.Sprintf(" txn %x", appendTxnResult(nil, t))
	}
	return s
}

// everything is the snapshot of a machine.
func everything(m *Machine) []byte {
	w := m.Snapshot()
	defer w.Close()
	var all []byte
	for {
		piece, done := w.Next(nil)
		all = append(all, piece...)
		if done {
			return slices.Clip(all)
		}
	}
}
