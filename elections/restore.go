package elections

import (
	"fmt"

	"github.com/conch-lock/conch/locks"
)

// Restorer puts a table back from its records and rows.
type Restorer struct {
	t       *Table
	queues  *locks.Restorer
	led     []*Election
	waiting []*Candidate
}

// NewRestorer fills an empty table, which is to have about so many elections.
func NewRestorer(t *Table, elections int) *Restorer {
	return &Restorer{t: t, queues: locks.NewRestorer(t.queues, elections)}
}

// Election takes the newest record of an election, in order of names.
func (r *Restorer) Election(n locks.Name, data []byte) error {
	rec, err := ReadRecord(data)
	if err != nil {
		return fmt.Errorf("election %q: %w", n, err)
	}
	l := rec.Leader
	if l == nil {
		return nil
	}
	e := newElection(n)
	e.term = rec.Term
	e.leader = &Candidate{Election: n, Terms: l.Terms, Stood: l.Stood, Began: l.Began, place: -1}
	// Its claim, which only says who it is until Finish.
	e.leader.Claim = &locks.Claim{ID: l.Claim}
	if r.t.byName[n] != nil || r.t.byID[l.Claim] != nil {
		return fmt.Errorf("election %q: it or claim %d of session %d stands twice", n, l.Claim.Sequence, l.Claim.Session)
	}
	r.t.byName[n], r.t.byID[l.Claim] = e, e.leader
	r.led = append(r.led, e)
	r.queues.Record(n, &locks.Record{
		Token: rec.Token, Last: rec.Last,
		Holders: []locks.Holder{{
			Claim: l.Claim, Order: l.Order, Token: rec.Token, Revision: l.Revision, Since: l.Since,
			Labels: l.Labels, Value: l.Value, Predecessor: rec.Last,
		}},
	})
	return nil
}

// Candidate takes the row of a waiting candidate, in order of acceptance.
func (r *Restorer) Candidate(order uint64, row []byte) error {
	c, claim, err := readRow(row)
	if err != nil {
		return fmt.Errorf("candidate %d: %w", order, err)
	}
	if c.Claim, err = r.queues.Ranked(order, claim, rankOf(c.Stood, c.Terms)); err != nil {
		return fmt.Errorf("candidate %d: %w", order, err)
	}
	items := c.Items()
	if len(items) != 1 || items[0].Mode != locks.Exclusive {
		return fmt.Errorf("candidate %d stands in %d elections, the first as %v", order, len(items), items[0].Mode)
	}
	c.Election = items[0].Name
	e := r.t.byName[c.Election]
	switch {
	case e == nil:
		return fmt.Errorf("candidate %d waits in election %q, which nobody leads", order, c.Election)
	case e.leader.Aging != c.Aging:
		return fmt.Errorf("candidate %d has an aging interval of %d µs, election %q one of %d", order, c.Aging, c.Election, e.leader.Aging)
	case r.t.byID[c.ID] != nil:
		return fmt.Errorf("claim %d of session %d stands twice", c.ID.Sequence, c.ID.Session)
	}
	r.t.byID[c.ID] = c
	r.waiting = append(r.waiting, c)
	return nil
}

// Finish ties everything together; order is that of the newest candidate.
func (r *Restorer) Finish(order uint64) error {
	t := r.t
	if err := r.queues.Finish(order); err != nil {
		return err
	}
	for _, c := range r.waiting {
		if c.Preempt {
			t.byName[c.Election].challengers.Push(c)
		}
	}
	for _, e := range r.led {
		e.lock = t.queues.Get(e.Name)
		e.leader.Claim = e.lock.Holder()
		t.schedule(e)
	}
	return nil
}
