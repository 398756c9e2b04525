package locks

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/sessions"
)

// Sink takes what a step changed.
type Sink interface {
	// Lock is called for each lock whose record changed, in the order of the
	// first change.
	Lock(*Lock)
	// Granted is called for each claim that had waited and is granted now.
	Granted(*Claim)
	// Queue and Settle write and remove the rows of waiting claims. The row is
	// used again afterwards.
	Queue(order uint64, row []byte)
	Settle(order uint64)
}

// Flush hands over what the step changed and forgets locks that became idle.
func (t *Table) Flush(to Sink) {
	t.pruneTouched()
	for _, l := range t.changed {
		to.Lock(l)
		l.changed = false
		l.ended = l.ended[:0]
		l.recalled = !l.free()
	}
	for _, c := range t.queued {
		c.fresh = false
		if c.Granted() || t.byID[c.ID] != c {
			continue
		}
		t.row = c.append(t.row[:0])
		to.Queue(c.Order, t.row)
		c.doubt()
	}
	for _, c := range t.granted {
		to.Granted(c)
	}
	for _, o := range t.settled {
		to.Settle(o)
	}
	for _, l := range t.changed {
		t.forget(l)
	}
	for _, l := range t.emptied {
		t.forget(l)
	}
	clear(t.emptied)
	t.emptied = t.emptied[:0]
	clear(t.changed)
	clear(t.queued)
	clear(t.granted)
	t.changed, t.queued, t.granted, t.settled = t.changed[:0], t.queued[:0], t.granted[:0], t.settled[:0]
}

// doubt: what the store has of a free lock may be disposed of while the claim
// waits for the others of its locks.
func (c *Claim) doubt() {
	for i := range c.parts {
		l := c.parts[i].lock
		l.recalled = !l.free()
	}
}

// pruneTouched: a direct grant touches its locks without need of a pump.
func (t *Table) pruneTouched() {
	for _, l := range t.touched {
		l.touched = false
	}
	clear(t.touched)
	t.touched = t.touched[:0]
}

func (t *Table) forget(l *Lock) {
	if l.idle() && t.byName[l.Name] == l {
		delete(t.byName, l.Name)
	}
}

// Order is the order of acceptance drawn last.
func (t *Table) Order() uint64 { return t.order }

// Restorer puts a table back from its records and rows.
type Restorer struct {
	t    *Table
	held []*Claim // a part for each holder of a lock; Finish puts those of a claim together
	rows []*Claim
	rec  Record // used again for every record
}

// NewRestorer fills an empty table, which is to have about so many locks.
func NewRestorer(t *Table, locks int) *Restorer {
	t.byName, t.byID = make(map[Name]*Lock, locks), make(map[ClaimID]*Claim, locks)
	return &Restorer{t: t, held: make([]*Claim, 0, locks)}
}

// Lock takes the newest record of a lock, in order of names.
func (r *Restorer) Lock(n Name, data []byte) error {
	if err := r.rec.read(data); err != nil {
		return fmt.Errorf("lock %q: %w", n, err)
	}
	r.Record(n, &r.rec)
	return nil
}

// Record is Lock for a record that was read already, and may be used again.
func (r *Restorer) Record(n Name, rec *Record) {
	if rec.Free() && rec.Delayed == 0 {
		return
	}
	l := newLock(n)
	l.token, l.last, l.delayed, l.recalled = rec.Token, rec.Last, rec.Delayed, true
	r.t.byName[n] = l
	if l.delayed != 0 {
		r.t.delays.Push(l)
	}
	for i := range rec.Holders {
		h := &rec.Holders[i]
		c := &Claim{
			ID: h.Claim, Order: h.Order, Labels: h.Labels, Value: h.Value, Delay: h.Delay,
			Token: h.Token, Revision: h.Revision, Since: h.Since, predecessor: h.Predecessor, due: -1,
		}
		c.one[0] = part{claim: c, lock: l, item: Item{Name: n, Mode: h.Mode, Permits: h.Permits, Capacity: h.Capacity}}
		c.parts = c.one[:]
		r.held = append(r.held, c)
	}
}

// Claim takes the row of a waiting claim, in order of acceptance.
func (r *Restorer) Claim(order uint64, row []byte) error {
	_, err := r.Ranked(order, row, 0)
	return err
}

// Ranked is Claim for one that has a rank, which its row does not tell.
func (r *Restorer) Ranked(order uint64, row []byte, rank int64) (*Claim, error) {
	c, err := readClaim(order, row)
	if err != nil {
		return nil, err
	}
	c.Rank = rank
	if planted.On(planted.WaiterNotRestored) {
		return c, nil
	}
	r.rows = append(r.rows, c)
	return c, nil
}

// Finish ties everything together. A session lists its claims in order of
// acceptance, a lock its holders in order of their tokens.
func (r *Restorer) Finish(order uint64) error {
	t := r.t
	t.order = order
	r.assemble()
	all := slices.Concat(r.held, r.rows)
	slices.SortFunc(all, func(a, b *Claim) int { return cmp.Compare(a.Order, b.Order) })
	for i, c := range all {
		if c.Order == 0 || c.Order > order || i > 0 && all[i-1].Order == c.Order {
			return fmt.Errorf("claim %d of session %d has the place %d of %d", c.ID.Sequence, c.ID.Session, c.Order, order)
		}
		t.index(c)
		if len(t.byID) != i+1 {
			return fmt.Errorf("claim %d of session %d stands twice", c.ID.Sequence, c.ID.Session)
		}
	}
	var several []*Lock
	for _, c := range r.held {
		for i := range c.parts {
			p := &c.parts[i]
			switch len(p.lock.holders) {
			case 0:
				t.locked++
			case 1:
				several = append(several, p.lock)
			}
			p.lock.hold(p)
		}
	}
	for _, l := range several {
		slices.SortFunc(l.holders, func(a, b *part) int { return cmp.Compare(a.claim.Token, b.claim.Token) })
	}
	slices.SortStableFunc(r.rows, func(a, b *Claim) int { return cmp.Compare(a.Rank, b.Rank) })
	for _, c := range r.rows {
		t.enqueue(c)
		c.doubt()
		if c.Deadline != 0 {
			t.waits.Push(c)
		}
	}
	return nil
}

// assemble makes one claim of the parts that its locks' records told of.
func (r *Restorer) assemble() {
	slices.SortFunc(r.held, func(a, b *Claim) int {
		if a.Order != b.Order {
			return cmp.Compare(a.Order, b.Order)
		}
		return cmp.Compare(a.parts[0].item.Name, b.parts[0].item.Name)
	})
	whole := r.held[:0]
	for _, c := range r.held {
		if n := len(whole); n > 0 && whole[n-1].Order == c.Order && whole[n-1].ID == c.ID {
			first, p := whole[n-1], c.parts[0]
			p.claim = first
			first.parts = append(first.parts, p)
			continue
		}
		whole = append(whole, c)
	}
	clear(r.held[len(whole):])
	r.held = whole
}

// Check holds the table against its invariants; open says whether a session is.
func (t *Table) Check(now sessions.Time, open func(sessions.ID) bool) error {
	locked, waiting := 0, map[*Claim]bool{}
	for n, l := range t.byName {
		if l.Name != n || l.idle() {
			return fmt.Errorf("lock %q: known as %q, idle %v", l.Name, n, l.idle())
		}
		if err := t.checkLock(l, now, waiting); err != nil {
			return fmt.Errorf("lock %q: %w", n, err)
		}
		if len(l.holders) > 0 {
			locked++
		}
	}
	if locked != t.locked || len(waiting) != t.waiting {
		return fmt.Errorf("locks: %d held of %d counted, %d waiting of %d counted", locked, t.locked, len(waiting), t.waiting)
	}
	n := 0
	for id, l := range t.bySession {
		if !open(id) {
			return fmt.Errorf("session %d is over and has %d claims", id, l.n)
		}
		order := uint64(0)
		for c := l.first; c != nil; c = c.younger {
			n++
			if c.Order <= order || c.Order > t.order {
				return fmt.Errorf("claim %v has place %d after place %d of %d", c.ID, c.Order, order, t.order)
			}
			order = c.Order
			if t.byID[c.ID] != c || c.ID.Session != id {
				return fmt.Errorf("claim %v: its indexes disagree", c.ID)
			}
			if !c.Granted() && !waiting[c] {
				return fmt.Errorf("claim %v waits in no queue", c.ID)
			}
			if !c.Granted() && t.grantable(c) {
				return fmt.Errorf("claim %v waits and could be granted", c.ID)
			}
		}
	}
	if n != len(t.byID) {
		return fmt.Errorf("locks: %d claims in sessions, %d by id", n, len(t.byID))
	}
	if err := t.waits.Check(); err != nil {
		return fmt.Errorf("locks: waits: %w", err)
	}
	if err := t.delays.Check(); err != nil {
		return fmt.Errorf("locks: delays: %w", err)
	}
	return nil
}

func (t *Table) checkLock(l *Lock, now sessions.Time, waiting map[*Claim]bool) error {
	var used uint32
	weight, permits := 0, int32(0)
	count := func(p *part) error {
		if p.item.Mode == Permits {
			permits++
			if p.item.Capacity != l.capacity {
				return fmt.Errorf("capacity %d beside capacity %d", p.item.Capacity, l.capacity)
			}
		}
		return nil
	}
	for i, p := range l.holders {
		used += p.item.Permits
		weight += p.claim.weight()
		if err := count(p); err != nil {
			return err
		}
		switch {
		case p.lock != l || p.claim.Token == 0 || p.claim.Token > *t.token || p.claim.Token > l.token:
			return fmt.Errorf("holder %v with token %d of at most %d", p.claim.ID, p.claim.Token, l.token)
		case len(l.holders) > 1 && (p.item.Mode == Exclusive || p.item.Mode != l.holders[0].item.Mode || p.item.Capacity != l.holders[0].item.Capacity):
			return fmt.Errorf("%d holders, one of them %v", len(l.holders), p.item.Mode)
		case i > 0 && l.holders[i-1].claim.Token >= p.claim.Token:
			return fmt.Errorf("token %d after token %d", p.claim.Token, l.holders[i-1].claim.Token)
		}
	}
	if used != l.used || len(l.holders) > 0 && l.holders[0].item.Mode == Permits && used > l.holders[0].item.Capacity {
		return fmt.Errorf("%d permits in use, %d counted", used, l.used)
	}
	n, order := int32(0), uint64(0)
	for p := l.head; p != nil; p = p.next {
		n++
		waiting[p.claim] = true
		ahead := p.prev != nil && p.prev.claim.Rank < p.claim.Rank
		if p.lock != l || p.claim.Granted() || !ahead && p.claim.Order <= order || p.prev != nil && p.prev.claim.Rank > p.claim.Rank {
			return fmt.Errorf("waiter %v out of order %d", p.claim.ID, p.claim.Order)
		}
		order = p.claim.Order
		if err := count(p); err != nil {
			return err
		}
		if p.next == nil && l.tail != p {
			return fmt.Errorf("the tail is not the last waiter")
		}
	}
	if n != l.waiting || permits != l.permits || weight != l.weight {
		return fmt.Errorf("%d waiters, %d counted; %d for permits, %d counted; %d bytes held, %d counted", n, l.waiting, permits, l.permits, weight, l.weight)
	}
	if err := l.checkPlaces(); err != nil {
		return err
	}
	if len(l.holders) > MaxHolders || len(l.holders) > 1 && weight > MaxHeldBytes {
		return fmt.Errorf("%d holders with %d bytes", len(l.holders), weight)
	}
	if l.delayed != 0 && l.delayed <= now {
		return fmt.Errorf("a delay that ended at %d still runs at %d", l.delayed, now)
	}
	return nil
}
