package elections

import (
	"fmt"

	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// Check holds the table against its invariants; open says whether a session is.
func (t *Table) Check(now sessions.Time, open func(sessions.ID) bool) error {
	if err := t.queues.Check(now, open); err != nil {
		return fmt.Errorf("elections: %w", err)
	}
	candidates, preemptions := 0, 0
	for n, e := range t.byName {
		count, err := t.checkElection(n, e, now)
		if err != nil {
			return fmt.Errorf("election %q: %w", n, err)
		}
		candidates += count
		if e.index >= 0 {
			preemptions++
		}
	}
	if candidates != len(t.byID) || len(t.byName) != t.Led() || candidates != t.Led()+t.Waiting() {
		return fmt.Errorf("elections: %d candidates of %d by id, %d elections of %d that are led, %d wait",
			candidates, len(t.byID), len(t.byName), t.Led(), t.Waiting())
	}
	if preemptions != t.preemptions.Len() {
		return fmt.Errorf("elections: %d pre-emptions to come of %d counted", preemptions, t.preemptions.Len())
	}
	if err := t.preemptions.Check(); err != nil {
		return fmt.Errorf("elections: pre-emptions: %w", err)
	}
	return nil
}

// checkElection also counts its candidates.
func (t *Table) checkElection(n locks.Name, e *Election, now sessions.Time) (count int, err error) {
	l := e.leader
	switch {
	case e.Name != n || e.lock == nil || e.lock != t.queues.Get(n):
		return 0, fmt.Errorf("it is known as %q, and its queue is another's", e.Name)
	case l == nil || e.lock.Holders() != 1 || e.lock.Holder() != l.Claim || t.byID[l.ID] != l:
		return 0, fmt.Errorf("%d lead it, and not who it believes", e.lock.Holders())
	case e.term == 0 || l.Began < l.Stood || l.Began > now || l.place >= 0:
		return 0, fmt.Errorf("its leader %v of term %d stood at %d and began at %d, now it is %d", l.ID, e.term, l.Stood, l.Began, now)
	case e.lock.Delayed() != 0:
		return 0, fmt.Errorf("it is delayed")
	}
	count = 1
	challengers := 0
	var best *Candidate
	t.Candidates(e, func(c *Candidate) bool {
		count++
		switch {
		case c == nil || c.Election != n || t.byID[c.ID] != c:
			err = fmt.Errorf("the indexes of a candidate disagree")
			return false
		case c.Preempt != (c.place >= 0) || c.Aging != l.Aging || c.Rank != rankOf(c.Stood, c.Terms) || c.Began != 0:
			err = fmt.Errorf("candidate %v: challenger %d, aging %d beside %d, rank %d, began %d", c.ID, c.place, c.Aging, l.Aging, c.Rank, c.Began)
			return false
		}
		if c.Preempt {
			challengers++
			if best == nil || c.before(best) {
				best = c
			}
		}
		return true
	})
	if err != nil {
		return count, err
	}
	if err := e.challengers.Check(); err != nil {
		return count, err
	}
	wanted := best.challenges(l)
	switch {
	case challengers != e.challengers.Len() || best != e.challenger():
		return count, fmt.Errorf("%d challengers of %d counted", challengers, e.challengers.Len())
	case wanted != (e.index >= 0) || wanted && e.due != l.Began+l.Tenure:
		return count, fmt.Errorf("pre-emption wanted %v, to come at %d (%v)", wanted, e.due, e.index >= 0)
	}
	return count, nil
}
