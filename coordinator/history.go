package coordinator

import (
	"cmp"
	"slices"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/elections"
	"github.com/conch-lock/conch/locks"
)

// Bounds of one step through the history.
const (
	historyEvents = 4096
	historyBytes  = 1 << 20
)

// history is the telling of the tenures of a lock or election, step by step
// through the changes that are kept.
type history struct {
	c       *call
	space   store.Space
	name    string
	next    uint64 // revision
	seeded  bool   // what was before the kept changes is known
	tenures tenures
}

// tenures gathers them from the records of one lock or election.
type tenures interface {
	// seed takes the record as it was before the first change that is kept.
	seed(rec store.Record)
	event(e *store.Event)
	answer(compacted, revision uint64) *api.Response
}

func (l *loop) prepareHistory(c *call, space store.Space, q interface {
	GetName() string
	GetLimit() uint32
}, of func(limit int) tenures) (item, *api.Error) {
	limit, e := pageOf(q.GetLimit())
	if e != nil {
		return item{}, e
	}
	h := &history{c: c, space: space, name: q.GetName(), tenures: of(limit)}
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
		if e.Space != h.space || e.Record.Key != h.name {
			continue
		}
		if !h.seeded {
			h.seeded = true
			if e.Prev.Exists() {
				h.tenures.seed(e.Prev)
			}
		}
		if !e.Deleted {
			h.tenures.event(e)
		}
	}
	if h.next = next; next <= s.Revision() && !h.c.over.Load() {
		l.submit(item{call: h.c, run: func() { l.tell(h) }})
		return
	}
	if !h.seeded { // nothing has changed since what is kept
		if rec, ok := s.Get(h.space, h.name); ok {
			h.tenures.seed(rec)
		}
	}
	l.reply(h.c, h.tenures.answer(s.Compacted(), s.Revision()))
}

// lockTenures are those of a lock, which may have several holders at a time.
type lockTenures struct {
	name  string
	limit int
	known bool
	open  map[locks.Token]*api.LockTenure
	over  []*api.LockTenure
}

func newLockTenures(name string, limit int) *lockTenures {
	return &lockTenures{name: name, limit: limit, open: map[locks.Token]*api.LockTenure{}}
}

func (h *lockTenures) seed(rec store.Record) {
	if r, err := locks.ReadRecord([]byte(rec.Value)); err == nil {
		h.known = true
		h.begin(r.Holders)
	}
}

func (h *lockTenures) begin(holders []locks.Holder) {
	for _, x := range holders {
		if h.open[x.Token] != nil {
			continue
		}
		h.open[x.Token] = &api.LockTenure{
			Name: h.name, Token: uint64(x.Token), Session: uint64(x.Claim.Session), Labels: x.Labels.Map(),
			FromRevision: x.Revision, FromUnixMs: x.Since,
		}
	}
}

func (h *lockTenures) event(e *store.Event) {
	r, err := locks.ReadRecord([]byte(e.Record.Value))
	if err != nil {
		return
	}
	h.known = true
	for _, t := range r.Ended {
		x := h.open[t.Token]
		if x == nil {
			x = &api.LockTenure{Name: h.name, Token: uint64(t.Token), Session: uint64(t.Session)}
		}
		delete(h.open, t.Token)
		x.ToRevision, x.ToUnixMs, x.Ended = e.Record.Mod, e.Millis, api.EndReason(t.Ended)
		h.over = append(h.over, x)
	}
	if over := len(h.over) - 2*h.limit; over > 0 { // the newest are wanted
		h.over = slices.Delete(h.over, 0, over+h.limit/2)
	}
	h.begin(r.Holders)
}

// answer lists the newest tenures, oldest first: in the order of their tokens.
func (h *lockTenures) answer(compacted, revision uint64) *api.Response {
	if !h.known {
		return &api.Response{Error: refuse(api.Code_LOCK_NOT_FOUND, "lock %q: nobody ever held it, or that is forgotten", h.name)}
	}
	list := h.over
	for _, x := range h.open {
		list = append(list, x)
	}
	slices.SortFunc(list, func(a, b *api.LockTenure) int { return cmp.Compare(a.Token, b.Token) })
	return &api.Response{Result: &api.Response_LockHistory{LockHistory: &api.LockHistoryResponse{
		Tenures: list[max(0, len(list)-h.limit):], CompactedRevision: compacted, Revision: revision,
	}}}
}

// leaderTenures are those of an election, one after the other.
type leaderTenures struct {
	name    locks.Name
	known   bool
	history *elections.History
	bytes   int // of the values in it, or more
}

func newLeaderTenures(name string, limit int) *leaderTenures {
	return &leaderTenures{name: locks.Name(name), history: elections.NewHistory(limit)}
}

func (h *leaderTenures) seed(rec store.Record) {
	if r, err := elections.ReadRecord([]byte(rec.Value)); err == nil {
		h.known = true
		r.Ended = false // what ended before is not kept
		h.history.Add(&r, rec.Mod, 0)
	}
}

func (h *leaderTenures) event(e *store.Event) {
	r, err := elections.ReadRecord([]byte(e.Record.Value))
	if err != nil {
		return
	}
	h.known = true
	h.history.Add(&r, e.Record.Mod, e.Millis)
	if h.bytes += len(e.Record.Value); h.bytes > 4*maxPageBytes {
		h.history.Trim(maxPageBytes)
		h.bytes = maxPageBytes
	}
}

// answer lists the newest tenures that fit, oldest first.
func (h *leaderTenures) answer(compacted, revision uint64) *api.Response {
	if !h.known {
		return &api.Response{Error: electionNotFound(h.name)}
	}
	kept := h.history.Tenures()
	list := make([]*api.LeaderTenure, len(kept))
	for i, t := range kept {
		list[i] = &api.LeaderTenure{
			Name: string(h.name), Term: t.Term, Token: uint64(t.Token), Session: uint64(t.Session), Value: t.Value, Labels: t.Labels.Map(),
			FromRevision: t.From, FromUnixMs: t.Since, ToRevision: t.To, ToUnixMs: t.Until, Ended: api.EndReason(t.Ended),
		}
	}
	size := 0
	for i := len(list) - 1; i >= 0; i-- {
		if size += list[i].SizeVT() + 8; size > maxPageBytes && i < len(list)-1 {
			list = list[i+1:]
			break
		}
	}
	return &api.Response{Result: &api.Response_ElectionHistory{ElectionHistory: &api.ElectionHistoryResponse{
		Tenures: list, CompactedRevision: compacted, Revision: revision,
	}}}
}
