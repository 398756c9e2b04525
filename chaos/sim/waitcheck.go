package sim

import (
	"fmt"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// waitCheck holds that a claim waits as long as it was ready to, in the cell's
// time, and that nobody is granted a lock during its delay.
type waitCheck struct {
	now, before sessions.Time                   // after this entry and after the one before
	waiting     map[locks.ClaimID]sessions.Time // until when; 0: for ever
	delays      map[locks.ClaimID]sessions.Duration
	ofToken     map[locks.Token]sessions.Duration // the delay of a grant
	holders     map[locks.Name]map[locks.Token]bool
	delayed     map[locks.Name]sessions.Time // until then nobody is granted
}

func newWaitCheck() waitCheck {
	return waitCheck{
		waiting: map[locks.ClaimID]sessions.Time{}, delays: map[locks.ClaimID]sessions.Duration{},
		ofToken: map[locks.Token]sessions.Duration{}, holders: map[locks.Name]map[locks.Token]bool{},
		delayed: map[locks.Name]sessions.Time{},
	}
}

// begin takes the cell's time in an entry.
func (c *waitCheck) begin(now sessions.Time) { c.before, c.now = c.now, now }

// waits takes a claim that was accepted and waits.
func (c *waitCheck) waits(id locks.ClaimID, wait uint64) {
	if _, again := c.waiting[id]; again {
		return
	}
	until := sessions.Time(0)
	if wait > 0 {
		until = c.now + sessions.Duration(wait)*sessions.Millisecond
	}
	c.waiting[id] = until
}

// over takes a claim that waited and does not any more: it is granted, or its
// time is over, or it was withdrawn.
func (c *waitCheck) over(id locks.ClaimID, granted bool, code machine.Code) error {
	until, known := c.waiting[id]
	delete(c.waiting, id)
	switch {
	case !known || until == 0 && code != machine.WaitTimedOut:
	case code == machine.WaitTimedOut && (until == 0 || c.now < until):
		return fmt.Errorf("claim %v was ready to wait until %v, and its time was over at %v", id, until, c.now)
	case granted && until <= c.before: // an entry before this one was to end it
		return fmt.Errorf("claim %v was ready to wait until %v, and was granted after %v", id, until, c.before)
	}
	return nil
}

// overdue says who waits longer than it was ready to.
func (c *waitCheck) overdue() error {
	for id, until := range c.waiting {
		if until != 0 && until <= c.now {
			return fmt.Errorf("claim %v was ready to wait until %v, and still waits at %v", id, until, c.now)
		}
	}
	return nil
}

// asks notes what delay a claim asks for.
func (c *waitCheck) asks(id locks.ClaimID, delay uint64) {
	if delay > 0 {
		c.delays[id] = sessions.Duration(delay) * sessions.Millisecond
	}
}

// granted notes the token of a claim.
func (c *waitCheck) granted(id locks.ClaimID, t locks.Token) {
	if d := c.delays[id]; d > 0 {
		c.ofToken[t] = d
	}
}

// lock takes a change of who holds a lock.
func (c *waitCheck) lock(n locks.Name, r locks.Record) error {
	for _, x := range r.Ended {
		delete(c.holders[n], x.Token)
		if d := c.ofToken[x.Token]; d > 0 && x.Ended != locks.Released {
			c.delayed[n] = max(c.delayed[n], c.now+d)
		}
	}
	for _, h := range r.Holders {
		if c.holders[n][h.Token] {
			continue
		}
		if c.holders[n] == nil {
			c.holders[n] = map[locks.Token]bool{}
		}
		c.holders[n][h.Token] = true
		if c.now < c.delayed[n] {
			return fmt.Errorf("token %d was granted at %v, and a delay was to last until %v", h.Token, c.now, c.delayed[n])
		}
	}
	return nil
}
