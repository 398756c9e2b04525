package coordinator

import (
	"cmp"
	"slices"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
)

// Bounds of one step through the history.
const (
	historyEvents = 4096
	historyBytes  = 1 << 20
)

// history is the telling of a lock's tenures, step by step through the changes
// that are kept.
type history struct {
	c       *call
	name    locks.Name
	limit   int
	next    uint64 // revision
	seeded  bool   // what was before the kept changes is known
	open    map[locks.Token]*api.LockTenure
	tenures []*api.LockTenure // those that are over
}

func (l *loop) prepareHistory(c *call, q *api.LockHistoryRequest) (item, *api.Error) {
	limit, e := pageOf(q.GetLimit())
	if e != nil {
		return item{}, e
	}
	h := &history{c: c, name: locks.Name(q.GetName()), limit: limit, open: map[locks.Token]*api.LockTenure{}}
	return item{call: c, run: func() {
		l.reading(c, func() {
			h.next = max(1, l.machine().Store().Compacted())
			l.tell(h)
		})
	}}, checkName("name", q.GetName())
}

// tell goes one step on.
func (l *loop) tell(h *history) {
	s := l.machine().Store()
	events, next, err := s.Since(max(h.next, s.Compacted()), historyEvents, historyBytes)
	if err != nil {
		l.refuse(h.c, readError(s, err))
		return
	}
	for i := range events {
		e := &events[i]
		if e.Space == store.Locks && e.Record.Key == string(h.name) {
			h.event(e)
		}
	}
	if h.next = next; next <= s.Revision() && !h.c.over.Load() {
		l.submit(item{call: h.c, run: func() { l.tell(h) }})
		return
	}
	if !h.seeded { // nothing has changed since what is kept
		if rec, ok := s.Get(store.Locks, string(h.name)); ok {
			h.seed(rec)
		}
	}
	l.reply(h.c, &api.Response{Result: &api.Response_LockHistory{LockHistory: &api.LockHistoryResponse{
		Tenures: h.all(), CompactedRevision: s.Compacted(), Revision: s.Revision(),
	}}})
}

// seed takes the holders as they were at first.
func (h *history) seed(rec store.Record) {
	h.seeded = true
	if r, err := locks.ReadRecord([]byte(rec.Value)); err == nil {
		h.begin(r.Holders)
	}
}

func (h *history) begin(holders []locks.Holder) {
	for _, x := range holders {
		if h.open[x.Token] != nil {
			continue
		}
		h.open[x.Token] = &api.LockTenure{
			Name: string(h.name), Token: uint64(x.Token), Session: uint64(x.Claim.Session), Labels: x.Labels.Map(),
			FromRevision: x.Revision, FromUnixMs: x.Since,
		}
	}
}

// event takes one change of the lock.
func (h *history) event(e *store.Event) {
	if !h.seeded {
		h.seeded = true
		if e.Prev.Exists() {
			h.seed(e.Prev)
		}
	}
	if e.Deleted {
		return
	}
	r, err := locks.ReadRecord([]byte(e.Record.Value))
	if err != nil {
		return
	}
	for _, t := range r.Ended {
		x := h.open[t.Token]
		if x == nil {
			x = &api.LockTenure{Name: string(h.name), Token: uint64(t.Token), Session: uint64(t.Session)}
		}
		delete(h.open, t.Token)
		x.ToRevision, x.ToUnixMs, x.Ended = e.Record.Mod, e.Millis, api.EndReason(t.Ended)
		h.tenures = append(h.tenures, x)
	}
	if over := len(h.tenures) - 2*h.limit; over > 0 { // the newest are wanted
		h.tenures = slices.Delete(h.tenures, 0, over+h.limit/2)
	}
	h.begin(r.Holders)
}

// all lists the newest tenures, oldest first: in the order of their tokens.
func (h *history) all() []*api.LockTenure {
	list := h.tenures
	for _, x := range h.open {
		list = append(list, x)
	}
	slices.SortFunc(list, func(a, b *api.LockTenure) int { return cmp.Compare(a.Token, b.Token) })
	return list[max(0, len(list)-h.limit):]
}
