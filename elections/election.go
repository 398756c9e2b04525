package elections

import (
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// Election is an election that somebody leads; the table forgets the others.
type Election struct {
	Name locks.Name

	lock   *locks.Lock
	term   uint64     // of the leader
	leader *Candidate // nil only within the step that ends the last tenure

	// challengers wait and may pre-empt, the one that would lead first on top.
	challengers *sessions.Deadlines[*Candidate]

	due     sessions.Time // when the leader will be pre-empted
	index   int32         // among the table's pre-emptions, -1 when there is none to come
	touched bool          // this step looked at it
}

func newElection(n locks.Name) *Election {
	return &Election{Name: n, index: -1, challengers: sessions.NewDeadlines(
		func(a, b *Candidate) bool { return a.before(b) },
		func(c *Candidate) *int32 { return &c.place })}
}

// Term is that of the newest leader.
func (e *Election) Term() uint64 { return e.term }

// Leader is who leads.
func (e *Election) Leader() *Candidate { return e.leader }

// Waiting is how many candidates wait.
func (e *Election) Waiting() int { return e.lock.Waiting() }

// Preemption is the cluster time at which the leader will be pre-empted, unless
// something changes before; ok is false when nobody wants to.
func (e *Election) Preemption() (at sessions.Time, ok bool) { return e.due, e.index >= 0 }

// challenger is who would pre-empt the leader, nil when nobody waits to.
func (e *Election) challenger() *Candidate {
	c, _ := e.challengers.First()
	return c
}

// Record is the election as it stands now.
func (e *Election) Record() Record {
	held := e.lock.Record()
	r := Record{Term: e.term, Token: held.Token, Last: held.Last, Ended: len(held.Ended) > 0}
	if c := e.leader; c != nil {
		r.Leader = &Leader{
			Claim: c.ID, Order: c.Order, Revision: c.Revision, Since: c.Since, Labels: c.Labels, Value: c.Value,
			Terms: c.Terms, Stood: c.Stood, Began: c.Began,
		}
	}
	return r
}
