package elections

import (
	"errors"
	"fmt"

	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// Refusals, found by errors.Is beside those of package locks. Nothing happened.
var (
	ErrNotLeader    = errors.New("not a leadership of session")
	ErrMismatch     = errors.New("not the token of the leader")
	ErrNotCandidate = errors.New("not a candidate that waits")
	ErrAging        = errors.New("in use with another aging interval")
)

// Table is all elections that somebody leads, with their candidates.
type Table struct {
	// Recall finds what the store has of an election that nobody leads; ok is
	// false when it has nothing.
	Recall func(locks.Name) (r Record, ok bool)

	queues *locks.Table // a lock for each election
	byName map[locks.Name]*Election
	byID   map[locks.ClaimID]*Candidate

	preemptions *sessions.Deadlines[*Election]

	touched []*Election // by this step
	queued  *Candidate  // by this step
	row     []byte      // used again for every row that is spelt
}

// NewTable makes an empty table that draws tokens from the given counter. Of the
// limits, Waiters is how many candidates of one election may wait.
func NewTable(limits locks.Limits, token *locks.Token) *Table {
	t := &Table{
		queues: locks.NewTable(limits, token),
		byName: map[locks.Name]*Election{}, byID: map[locks.ClaimID]*Candidate{},
		preemptions: sessions.NewDeadlines(
			func(a, b *Election) bool { return a.due < b.due || a.due == b.due && a.Name < b.Name },
			func(e *Election) *int32 { return &e.index }),
	}
	t.Rebind(token, nil)
	return t
}

// Rebind points the table to the counter and the memory of another owner.
func (t *Table) Rebind(token *locks.Token, recall func(locks.Name) (Record, bool)) {
	t.Recall = recall
	t.queues.Rebind(token, func(n locks.Name) (locks.Token, locks.Tenure) {
		r := t.recall(n)
		return r.Token, r.Last
	})
	t.queues.Next = t.next
}

func (t *Table) recall(n locks.Name) (r Record) {
	if t.Recall != nil {
		r, _ = t.Recall(n)
	}
	return r
}

// next is who leads next: the first in the queue, unless a challenger would
// pre-empt it in the same moment.
func (t *Table) next(l *locks.Lock) *locks.Claim {
	first := l.First()
	e, c := t.byName[l.Name], t.byID[first.ID]
	if e == nil || c == nil || c.Tenure > 0 {
		return first
	}
	if d := e.challenger(); d.challenges(c) {
		return d.Claim
	}
	return first
}

// Request is a candidacy to be made. The zero Terms.Aging is the interval in use,
// or DefaultAging.
type Request struct {
	ID     locks.ClaimID
	Name   locks.Name
	Value  []byte
	Labels sessions.Labels
	Terms
	Try  bool              // lead at once or not at all
	Wait sessions.Duration // 0: for ever
}

// Campaign accepts a candidacy: it leads at once or waits; or it is refused with
// a [locks.Refusal]. When it leads by pre-emption, the leader whose tenure it
// ended is told. The ID must not be in use.
func (t *Table) Campaign(at locks.Step, q Request) (c, preempted *Candidate, err error) {
	e := t.byName[q.Name]
	switch {
	case q.Aging == 0 && e != nil:
		q.Aging = e.leader.Aging
	case q.Aging == 0:
		q.Aging = DefaultAging
	case e != nil && e.leader.Aging != q.Aging:
		return nil, nil, e.refuseAging(q.Aging)
	}
	c = &Candidate{Election: q.Name, Terms: q.Terms, Stood: at.Now, place: -1}
	c.Claim, err = t.queues.Claim(at, locks.Request{
		ID: q.ID, Items: []locks.Item{{Name: q.Name}}, Try: q.Try && !e.yields(c, at.Now), Wait: q.Wait,
		Labels: q.Labels, Value: q.Value, Rank: rankOf(at.Now, q.Terms),
	})
	if err != nil {
		return nil, nil, refused(err)
	}
	if e == nil {
		e = newElection(q.Name)
		e.lock, e.term = t.queues.Get(q.Name), t.recall(q.Name).Term
		t.byName[q.Name] = e
	}
	t.byID[c.ID] = c
	if !c.Granted() {
		t.queued = c
		if c.Preempt {
			e.challengers.Push(c)
		}
	}
	t.review(at, e)
	if e.index >= 0 && e.due <= at.Now {
		preempted = t.preempt(at, e)
	}
	return c, preempted, nil
}

// yields says whether the leader would be pre-empted at once by a candidate that
// does not stand yet.
func (e *Election) yields(c *Candidate, now sessions.Time) bool {
	if e == nil || !c.challenges(e.leader) || e.leader.Began+e.leader.Tenure > now {
		return false
	}
	d := e.challenger()
	return d == nil || d.Priority < c.Priority
}

func (e *Election) refuseAging(asked sessions.Duration) error {
	c := e.leader
	return &locks.Refusal{
		Err: ErrAging, Name: e.Name, Holder: c.ID.Session, Token: c.Token, Since: c.Since, Labels: c.Labels,
		Position: e.Waiting() + 1,
		Message: fmt.Sprintf("election %q is in use with an aging interval of %d ms, not %d",
			e.Name, c.Aging/sessions.Millisecond, asked/sessions.Millisecond),
	}
}

// refused puts a refusal of the queues in the words of elections.
func refused(err error) error {
	var r *locks.Refusal
	if !errors.As(err, &r) || r.Name == "" {
		return err
	}
	if r.Err == locks.ErrHeld {
		r.Message = fmt.Sprintf("election %q is led by session %d with token %d", r.Name, r.Holder, r.Token)
	} else {
		r.Message = fmt.Sprintf("election %q has %d candidates that wait, which is the limit", r.Name, r.Position-1)
	}
	return r
}

// review takes in what a step did to an election: a new leader begins its term,
// and whether and when it will be pre-empted is seen anew.
func (t *Table) review(at locks.Step, e *Election) {
	if !e.touched {
		e.touched = true
		t.touched = append(t.touched, e)
	}
	switch holder := e.lock.Holder(); {
	case holder == nil:
		e.leader = nil
	case e.leader == nil || e.leader.Claim != holder:
		e.leader = t.byID[holder.ID]
		e.leader.Began = at.Now
		e.dismiss(e.leader)
		if !planted.On(planted.TermNotCounted) {
			e.term++
		}
	}
	t.schedule(e)
}

// schedule sees whether and when the leader will be pre-empted.
func (t *Table) schedule(e *Election) {
	wanted := e.leader != nil && e.challenger().challenges(e.leader)
	if wanted {
		e.due = e.leader.Began + e.leader.Tenure
	}
	switch {
	case wanted && e.index < 0:
		t.preemptions.Push(e)
	case wanted:
		t.preemptions.Fix(e)
	case e.index >= 0:
		t.preemptions.Remove(e)
	}
}

// dismiss takes a candidate from the challengers.
func (e *Election) dismiss(c *Candidate) {
	if c.place >= 0 {
		e.challengers.Remove(c)
	}
}

// leave forgets a candidate whose claim is about to end.
func (t *Table) leave(c *Candidate) *Election {
	e := t.byName[c.Election]
	e.dismiss(c)
	delete(t.byID, c.ID)
	return e
}

// preempt makes the challenger lead.
func (t *Table) preempt(at locks.Step, e *Election) (from *Candidate) {
	from = e.leader
	t.handOver(at, e, e.challenger())
	return from
}

// handOver makes a waiting candidate lead in the leader's place.
func (t *Table) handOver(at locks.Step, e *Election, to *Candidate) {
	from := e.leader
	t.leave(from)
	t.queues.Transfer(at, from.Claim, to.Claim)
	t.review(at, e)
}

// led finds the election that the session leads with that token. An operator,
// who is session 0, acts for whatever session leads.
func (t *Table) led(id sessions.ID, n locks.Name, token locks.Token) (*Election, error) {
	e := t.byName[n]
	switch {
	case e != nil && planted.On(planted.AnybodyIsLeader):
		return e, nil
	case e != nil && e.leader.Token == token && (id == 0 || e.leader.ID.Session == id):
		return e, nil
	case id != 0:
		return nil, fmt.Errorf("election %q, token %d: %w %d", n, token, ErrNotLeader, id)
	case e == nil:
		return nil, fmt.Errorf("election %q, token %d: %w: nobody leads", n, token, ErrMismatch)
	}
	return nil, fmt.Errorf("election %q, token %d: %w, which is %d", n, token, ErrMismatch, e.leader.Token)
}

// Proclaim replaces the value of the leader (n, token) of a session; session 0
// is an operator, who does it for whatever session leads.
// Errors: ErrNotLeader, ErrMismatch.
func (t *Table) Proclaim(at locks.Step, id sessions.ID, n locks.Name, token locks.Token, value []byte) error {
	e, err := t.led(id, n, token)
	if err != nil {
		return err
	}
	if !planted.On(planted.ProclamationLost) {
		t.queues.SetValue(e.leader.Claim, value)
	}
	t.review(at, e)
	return nil
}

// Resign ends the leadership (n, token) of a session; the next candidate leads.
// Errors: ErrNotLeader.
func (t *Table) Resign(at locks.Step, id sessions.ID, n locks.Name, token locks.Token) (*Candidate, error) {
	e, err := t.led(id, n, token)
	if err != nil {
		return nil, err
	}
	c := e.leader
	t.Cancel(at, c)
	return c, nil
}

// Break ends the leadership with that token against the leader's will.
// Errors: ErrMismatch.
func (t *Table) Break(at locks.Step, n locks.Name, token locks.Token) (*Candidate, error) {
	e, err := t.led(0, n, token)
	if err != nil {
		return nil, err
	}
	c := e.leader
	t.leave(c)
	if _, err := t.queues.Break(at, n, token); err != nil {
		return nil, err
	}
	t.review(at, e)
	return c, nil
}

// Transfer ends the leadership (n, token) of a session, or of whatever session
// for the operator, who is session 0, and makes a candidate of session `to` lead,
// wherever it waits in the queue: of several, the one that is first.
// Errors: ErrNotLeader, ErrMismatch, ErrNotCandidate.
func (t *Table) Transfer(at locks.Step, id sessions.ID, n locks.Name, token locks.Token, to sessions.ID) (from *Candidate, err error) {
	e, err := t.led(id, n, token)
	if err != nil {
		return nil, err
	}
	var heir *Candidate
	t.queues.Claims(to, func(c *locks.Claim) {
		if d := t.byID[c.ID]; d.Election == n && !c.Granted() && (heir == nil || c.Rank < heir.Rank) {
			heir = d
		}
	})
	if heir == nil {
		return nil, fmt.Errorf("election %q, session %d: %w in it", n, to, ErrNotCandidate)
	}
	from = e.leader
	t.handOver(at, e, heir)
	return from, nil
}

// Cancel ends a candidacy whatever its state: one that waits is withdrawn, a
// leader resigns.
func (t *Table) Cancel(at locks.Step, c *Candidate) (led bool) {
	e := t.leave(c)
	led = t.queues.Cancel(at, c.Claim)
	t.review(at, e)
	return led
}

// EndSession withdraws and ends all that a session has.
func (t *Table) EndSession(at locks.Step, id sessions.ID, why locks.Why) {
	var mine []*Candidate
	t.queues.Claims(id, func(c *locks.Claim) { mine = append(mine, t.byID[c.ID]) })
	// All of them go before anybody leads in the place of one.
	for _, c := range mine {
		t.leave(c)
	}
	t.queues.EndSession(at, id, why)
	for _, c := range mine {
		t.review(at, t.byName[c.Election])
	}
}

// Due is when the next wait ends or the next pre-emption falls due; ok is false
// for never.
func (t *Table) Due() (due sessions.Time, ok bool) {
	due, ok = t.queues.Due()
	if e, some := t.preemptions.First(); some && (!ok || e.due < due) {
		return e.due, true
	}
	return due, ok
}

// Expire lets the one thing happen that fell due first: a leader is pre-empted,
// or a candidate stops waiting.
func (t *Table) Expire(at locks.Step) (preempted, timedOut *Candidate) {
	wait, waits := t.queues.Due()
	if e, some := t.preemptions.First(); some && (!waits || e.due <= wait) {
		return t.preempt(at, e), nil
	}
	c := t.byID[t.queues.Expire(at).ID]
	t.review(at, t.leave(c))
	return nil, c
}

// Find finds a candidate, waiting or leading; nil when there is none.
func (t *Table) Find(id locks.ClaimID) *Candidate { return t.byID[id] }

// Get finds an election, nil when nobody leads it.
func (t *Table) Get(n locks.Name) *Election { return t.byName[n] }

// Leading finds the leader of an election with that token, nil when it is not
// the leader's.
func (t *Table) Leading(n locks.Name, token locks.Token) *Candidate {
	if e := t.byName[n]; e != nil && e.leader.Token == token {
		return e.leader
	}
	return nil
}

// Candidates calls f for each candidate that waits, in the order in which they
// will lead if nobody pre-empts, until it returns false.
func (t *Table) Candidates(e *Election, f func(*Candidate) bool) {
	e.lock.Waiters(func(c *locks.Claim, _ locks.Item) bool { return f(t.byID[c.ID]) })
}

// Of calls f for each candidacy of a session, waiting or leading, in order of
// acceptance.
func (t *Table) Of(id sessions.ID, f func(*Candidate)) {
	t.queues.Claims(id, func(c *locks.Claim) { f(t.byID[c.ID]) })
}

// Position is the place of a waiting candidate, 1 for the next.
func (t *Table) Position(c *Candidate) int { return t.queues.Position(c.Claim) }

// Predecessor is the tenure that had ended last when a candidate began to lead.
func (t *Table) Predecessor(c *Candidate) locks.Tenure { return t.queues.Predecessor(c.Claim) }

// Led is how many elections somebody leads.
func (t *Table) Led() int { return t.queues.Locked() }

// Waiting is how many candidates wait in all elections.
func (t *Table) Waiting() int { return t.queues.Waiting() }
