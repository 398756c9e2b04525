package locks

import (
	"errors"
	"fmt"
	"sort"

	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/sessions"
)

// Refusals, found by errors.Is. Nothing happened.
var (
	ErrHeld      = errors.New("held")
	ErrNotHolder = errors.New("not a grant of that session")
	ErrMismatch  = errors.New("not the current token")
	ErrCapacity  = errors.New("in use with another capacity")
	ErrTooMany   = errors.New("too many")
)

// Refusal says why a claim was refused and who stands in its way.
type Refusal struct {
	Err      error // ErrHeld, ErrCapacity or ErrTooMany
	Message  string
	Name     Name
	Holder   sessions.ID // 0 when nobody holds it (waiters or a delay stand in the way)
	Token    Token
	Since    int64 // wall milliseconds
	Labels   sessions.Labels
	Position int // the place in the queue that it would have had
}

// Error is the text for the client.
func (r *Refusal) Error() string { return r.Message }

// Unwrap gives the kind of the refusal.
func (r *Refusal) Unwrap() error { return r.Err }

// Limits bound the table.
type Limits struct {
	Claims          int // waiting and granted, all sessions together
	ClaimsOfSession int
	Waiters         int // of one lock
}

// Step is when something happens: handed in with every change.
type Step struct {
	Now      sessions.Time
	Revision uint64 // that this step gets if it changes who holds a lock
	Millis   int64  // wall time, for people
}

// Table is all locks that are held, awaited or delayed.
type Table struct {
	limits Limits
	token  *Token // the cell's one counter, shared with the elections

	// Recall finds what the store has of a lock that nobody holds: the newest
	// token and the last tenure, zeros when it has nothing any more.
	Recall func(Name) (newest Token, last Tenure)

	// Next says which of the claims that wait for a lock is to be granted before
	// the others; nil: the first. It is asked when the lock is free.
	Next func(*Lock) *Claim

	byName    map[Name]*Lock
	byID      map[ClaimID]*Claim
	bySession map[sessions.ID]line
	order     uint64 // of the claim accepted last
	waits     *sessions.Deadlines[*Claim]
	delays    *sessions.Deadlines[*Lock]
	waiting   int
	locked    int // locks that somebody holds

	// What this step did, in order; taken by Flush.
	changed []*Lock
	touched []*Lock
	granted []*Claim
	queued  []*Claim
	settled []uint64 // orders whose rows go
	emptied []*Lock  // that may have become idle without a change of their record

	row []byte // used again for every row that is spelt
}

// Rebind points the table to the counter and the memory of another owner.
func (t *Table) Rebind(token *Token, recall func(Name) (Token, Tenure)) {
	t.token, t.Recall = token, recall
}

// line is the claims of one session in order of acceptance.
type line struct {
	first, last *Claim
	n           int
}

// NewTable makes an empty table that draws tokens from the given counter.
func NewTable(limits Limits, token *Token) *Table {
	return &Table{
		limits: limits, token: token,
		byName: map[Name]*Lock{}, byID: map[ClaimID]*Claim{}, bySession: map[sessions.ID]line{},
		waits: sessions.NewDeadlines(
			func(a, b *Claim) bool {
				return a.Deadline < b.Deadline || a.Deadline == b.Deadline && a.Order < b.Order
			},
			func(c *Claim) *int32 { return &c.due }),
		delays: sessions.NewDeadlines(
			func(a, b *Lock) bool { return a.delayed < b.delayed || a.delayed == b.delayed && a.Name < b.Name },
			func(l *Lock) *int32 { return &l.delay }),
	}
}

// Request is a claim to be made. Items are sorted by name, without repetition.
type Request struct {
	ID     ClaimID
	Items  []Item
	Try    bool
	Wait   sessions.Duration // 0: for ever
	Delay  sessions.Duration
	Labels sessions.Labels
	Value  []byte
	Rank   int64 // a smaller one goes first; 0 for locks: first come, first served
}

// Claim accepts a request: granted at once, queued, or refused with a Refusal.
// The ID must not be in use.
func (t *Table) Claim(at Step, q Request) (*Claim, error) {
	if err := t.refuse(q); err != nil {
		return nil, err
	}
	c := &Claim{ID: q.ID, Labels: q.Labels, Value: q.Value, Delay: q.Delay, Rank: q.Rank, Queued: at.Millis, due: -1}
	c.setItems(q.Items)
	t.order++
	c.Order = t.order
	t.tie(c)
	if t.grantable(c) {
		t.grant(at, c)
		return c, nil
	}
	if q.Wait > 0 && !planted.On(planted.WaitNeverEnds) {
		c.Deadline = at.Now + q.Wait
		t.waits.Push(c)
	}
	c.fresh = true
	t.queued = append(t.queued, c)
	return c, nil
}

// refuse says why a request is not accepted, nil when it is.
func (t *Table) refuse(q Request) error {
	if n := t.bySession[q.ID.Session].n; n >= t.limits.ClaimsOfSession {
		return &Refusal{Err: ErrTooMany, Message: fmt.Sprintf("session %d has %d claims, which is the limit", q.ID.Session, n)}
	}
	if len(t.byID) >= t.limits.Claims {
		return &Refusal{Err: ErrTooMany, Message: fmt.Sprintf("the cell has %d claims, which is the limit", len(t.byID))}
	}
	for _, it := range q.Items {
		l := t.byName[it.Name]
		if l == nil {
			continue
		}
		if it.Mode == Permits && l.permits > 0 && l.capacity != it.Capacity {
			return t.refusal(l, ErrCapacity, fmt.Sprintf("is in use with a capacity of %d, not %d", l.capacity, it.Capacity))
		}
		if q.Try && (l.head != nil || !l.admits(it, q.Labels.Bytes()+len(q.Value))) {
			return t.refusal(l, ErrHeld, "")
		}
		if l.Waiting() >= t.limits.Waiters {
			return t.refusal(l, ErrTooMany, fmt.Sprintf("has %d waiters, which is the limit", l.waiting))
		}
	}
	return nil
}

func (t *Table) refusal(l *Lock, err error, what string) *Refusal {
	r := &Refusal{Err: err, Name: l.Name, Position: l.Waiting() + 1}
	if len(l.holders) > 0 {
		c := l.holders[0].claim
		r.Holder, r.Token, r.Since, r.Labels = c.ID.Session, c.Token, c.Since, c.Labels
	}
	switch {
	case what != "":
		r.Message = fmt.Sprintf("lock %q %s", l.Name, what)
	case r.Holder != 0:
		r.Message = fmt.Sprintf("lock %q is held by session %d with token %d", l.Name, r.Holder, r.Token)
	case l.waiting > 0:
		r.Message = fmt.Sprintf("lock %q is awaited by %d claims", l.Name, l.waiting)
	default:
		r.Message = fmt.Sprintf("lock %q is delayed after its last holder was lost", l.Name)
	}
	return r
}

// tie puts a claim into the indexes and at the end of its queues.
func (t *Table) tie(c *Claim) {
	t.index(c)
	t.enqueue(c)
}

func (t *Table) enqueue(c *Claim) {
	for i := range c.parts {
		p := &c.parts[i]
		p.lock = t.lock(p.item.Name)
		p.lock.enqueue(p)
	}
	t.waiting++
}

func (t *Table) index(c *Claim) {
	t.byID[c.ID] = c
	l := t.bySession[c.ID.Session]
	if c.elder = l.last; c.elder != nil {
		c.elder.younger = c
	} else {
		l.first = c
	}
	l.last = c
	l.n++
	t.bySession[c.ID.Session] = l
}

func (t *Table) unindex(c *Claim) {
	delete(t.byID, c.ID)
	l := t.bySession[c.ID.Session]
	if c.elder != nil {
		c.elder.younger = c.younger
	} else {
		l.first = c.younger
	}
	if c.younger != nil {
		c.younger.elder = c.elder
	} else {
		l.last = c.elder
	}
	c.elder, c.younger = nil, nil
	if l.n--; l.n == 0 {
		delete(t.bySession, c.ID.Session)
	} else {
		t.bySession[c.ID.Session] = l
	}
}

// lock finds a lock or makes it, with what the store remembers of it.
func (t *Table) lock(n Name) *Lock {
	l := t.byName[n]
	if l == nil {
		l = newLock(n)
		t.recall(l)
		t.byName[n] = l
	}
	return l
}

// recall asks the store what it remembers of a lock that nobody holds.
func (t *Table) recall(l *Lock) {
	l.token, l.last, l.recalled = 0, Tenure{}, true
	if t.Recall != nil {
		l.token, l.last = t.Recall(l.Name)
	}
}

// next is the waiting claim that is to be granted before the others.
func (t *Table) next(l *Lock) *Claim {
	if t.Next != nil && l.head != l.tail && len(l.holders) == 0 {
		return t.Next(l)
	}
	return l.First()
}

// grantable: the claim is first in every queue and every lock admits it.
func (t *Table) grantable(c *Claim) bool {
	for i := range c.parts {
		p := &c.parts[i]
		if !p.lock.admits(p.item, c.weight()) || t.next(p.lock) != c && !planted.On(planted.QueueJumped) {
			return false
		}
		if planted.On(planted.FirstLockDecides) {
			break
		}
	}
	return true
}

// grant moves a claim from its queues to the holders.
func (t *Table) grant(at Step, c *Claim) {
	*t.token++
	c.Token, c.Revision, c.Since = *t.token, at.Revision, at.Millis
	if planted.On(planted.TokenOfEachLock) {
		c.Token = c.parts[0].lock.token + 1
	}
	if c.due >= 0 {
		t.waits.Remove(c)
	}
	for i := range c.parts {
		p := &c.parts[i]
		if !p.lock.recalled {
			t.recall(p.lock)
		}
		if i == 0 {
			c.predecessor = p.lock.last
			if planted.On(planted.PredecessorForgotten) {
				c.predecessor = Tenure{}
			}
		}
		p.lock.dequeue(p)
		if len(p.lock.holders) == 0 {
			t.locked++
		}
		p.lock.hold(p)
		p.lock.token = c.Token
		t.change(p.lock)
		t.touch(p.lock)
	}
	t.waiting--
}

// withdraw takes a waiting claim out of its queues.
func (t *Table) withdraw(c *Claim) {
	if c.due >= 0 {
		t.waits.Remove(c)
	}
	for i := range c.parts {
		p := &c.parts[i]
		p.lock.dequeue(p)
		t.touch(p.lock)
		t.emptied = append(t.emptied, p.lock)
	}
	t.waiting--
	t.settled = append(t.settled, c.Order)
	t.unindex(c)
}

// end takes a granted claim from its locks.
func (t *Table) end(at Step, c *Claim, why Why) {
	tenure := Tenure{c.Token, c.ID.Session, why, c.Value}
	for i := range c.parts {
		l := c.parts[i].lock
		l.drop(&c.parts[i])
		if len(l.holders) == 0 {
			t.locked--
		}
		l.last = tenure
		l.ended = append(l.ended, tenure)
		if why != Released && c.Delay > 0 && !(why == Broken && planted.On(planted.BrokenWithoutDelay)) {
			if until := at.Now + c.Delay; until > l.delayed {
				l.delayed = until
				if l.delay < 0 {
					t.delays.Push(l)
				} else {
					t.delays.Fix(l)
				}
			}
		}
		t.change(l)
		t.touch(l)
	}
	t.unindex(c)
}

// pump grants whatever this step has made grantable.
//
// A claim's chance changes only with one of its locks, so the touched locks are
// enough. Within a lock the order is strict: a first claim that cannot be
// granted yet (it wants to be alone, or awaits another lock) keeps everybody
// behind it waiting, so that it cannot starve.
func (t *Table) pump(at Step) {
	for i := 0; i < len(t.touched); i++ {
		l := t.touched[i]
		l.touched = false
		for l.head != nil {
			c := t.next(l)
			if !t.grantable(c) {
				break
			}
			t.grant(at, c)
			t.granted = append(t.granted, c)
			t.settled = append(t.settled, c.Order)
		}
	}
	clear(t.touched)
	t.touched = t.touched[:0]
}

func (t *Table) change(l *Lock) {
	if !l.changed {
		l.changed = true
		t.changed = append(t.changed, l)
	}
}

func (t *Table) touch(l *Lock) {
	if !l.touched {
		l.touched = true
		t.touched = append(t.touched, l)
	}
}

// Find finds a claim, waiting or granted; nil when there is none.
func (t *Table) Find(id ClaimID) *Claim { return t.byID[id] }

// Held finds the grant of a lock with that token; nil when there is none.
func (t *Table) Held(n Name, token Token) *Claim {
	l := t.byName[n]
	if l == nil || token == 0 {
		return nil
	}
	for _, p := range l.holders {
		if p.claim.Token == token || planted.On(planted.ReleasedByName) {
			return p.claim
		}
	}
	return nil
}

// Release ends the grant (n, token) of a session, with all its locks.
func (t *Table) Release(at Step, id sessions.ID, n Name, token Token) (*Claim, error) {
	c := t.Held(n, token)
	if c == nil || c.ID.Session != id {
		return nil, fmt.Errorf("lock %q, token %d, session %d: %w", n, token, id, ErrNotHolder)
	}
	t.end(at, c, Released)
	t.pump(at)
	return c, nil
}

// Transfer ends a grant as transferred and grants its lock to a claim that waits
// for it, wherever it stands in the queue. Both are for that one lock alone, and
// to hold it alone.
func (t *Table) Transfer(at Step, from, to *Claim) {
	t.end(at, from, Transferred)
	t.grant(at, to)
	if !to.fresh {
		t.granted = append(t.granted, to)
		t.settled = append(t.settled, to.Order)
	}
	t.pump(at)
}

// SetValue replaces the value of a granted claim, and with it the records of its
// locks.
func (t *Table) SetValue(c *Claim, value []byte) {
	for i := range c.parts {
		l := c.parts[i].lock
		l.weight += len(value) - len(c.Value)
		t.change(l)
	}
	c.Value = value
}

// Cancel ends a claim whatever its state.
func (t *Table) Cancel(at Step, c *Claim) (wasGranted bool) {
	wasGranted = c.Granted()
	if wasGranted && planted.On(planted.CancelledGrantStays) {
		return true
	}
	if wasGranted {
		t.end(at, c, Released)
	} else {
		t.withdraw(c)
	}
	t.pump(at)
	return wasGranted
}

// Break ends the grant with that token against its holder's will; it must be a
// current one.
func (t *Table) Break(at Step, n Name, token Token) (*Claim, error) {
	c := t.Held(n, token)
	if c == nil {
		if l := t.byName[n]; l != nil && len(l.holders) > 0 {
			return nil, fmt.Errorf("lock %q, token %d: %w, which is %d", n, token, ErrMismatch, l.token)
		}
		return nil, fmt.Errorf("lock %q, token %d: %w: nobody holds the lock", n, token, ErrMismatch)
	}
	t.end(at, c, Broken)
	t.pump(at)
	return c, nil
}

// EndSession withdraws and ends all claims of a session.
func (t *Table) EndSession(at Step, id sessions.ID, why Why) {
	for c := t.bySession[id].first; c != nil; {
		next := c.younger
		if c.Granted() && !planted.On(planted.SessionLeavesLock) {
			t.end(at, c, why)
		} else if !c.Granted() && !planted.On(planted.SessionLeavesClaim) {
			t.withdraw(c)
		}
		c = next
	}
	t.pump(at)
}

// Due is when the next wait deadline or delay falls due; ok is false for never.
func (t *Table) Due() (due sessions.Time, ok bool) {
	if c, some := t.waits.First(); some {
		due, ok = c.Deadline, true
	}
	if l, some := t.delays.First(); some && (!ok || l.delayed < due) {
		due, ok = l.delayed, true
	}
	return due, ok
}

// Expire lets the one thing happen that fell due first: a delay ends, or a
// claim stops waiting, which it returns.
func (t *Table) Expire(at Step) *Claim {
	c, wait := t.waits.First()
	l, delay := t.delays.First()
	if delay && (!wait || l.delayed <= c.Deadline) {
		t.delays.Remove(l)
		l.delayed = 0
		t.change(l)
		t.touch(l)
		t.pump(at)
		return nil
	}
	t.withdraw(c)
	t.pump(at)
	return c
}

// Position is the place of a waiting claim in the longest of its queues, 1 for
// the next.
func (t *Table) Position(c *Claim) int {
	place := 0
	for i := range c.parts {
		place = max(place, c.parts[i].lock.place(&c.parts[i]))
	}
	return place
}

// Predecessor is the tenure that had ended last on the first of a claim's locks
// when the claim was granted.
func (t *Table) Predecessor(c *Claim) Tenure { return c.predecessor }

// Get finds a lock, nil when nobody holds or awaits it and no delay runs.
func (t *Table) Get(n Name) *Lock { return t.byName[n] }

// Claims calls f for each claim of a session in order of acceptance.
func (t *Table) Claims(id sessions.ID, f func(*Claim)) {
	for c := t.bySession[id].first; c != nil; c = c.younger {
		f(c)
	}
}

// Locked is how many locks somebody holds.
func (t *Table) Locked() int { return t.locked }

// Waiting is how many claims wait in all queues.
func (t *Table) Waiting() int { return t.waiting }

// Names lists the names of the known locks, sorted. It walks them all.
func (t *Table) Names(keep func(Name) bool) []Name {
	var l []Name
	for n := range t.byName {
		if keep(n) {
			l = append(l, n)
		}
	}
	sort.Slice(l, func(i, j int) bool { return l[i] < l[j] })
	return l
}
