package sim

import (
	"fmt"
	"strconv"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// electionNames is how many elections there are. In the last one candidates
// pre-empt each other: a leader may believe for a while after its tenure has
// ended there, and only the token protects.
const electionNames = 3

func electionName(i int) locks.Name { return locks.Name("election-" + strconv.Itoa(i)) }

// loose says whether an election lets a candidate end another's tenure.
func loose(n locks.Name) bool { return n == electionName(electionNames-1) }

// campaign stands in an election.
func (c *client) campaign() {
	rng := c.rng
	op := &machine.Campaign{Name: electionName(rng.IntN(electionNames)), Aging: 1000, Priority: int64(rng.IntN(4))}
	op.Value = fmt.Appendf(nil, "client %d, life %d", c.id, c.life)
	switch rng.IntN(4) {
	case 0:
		op.Try = true
	case 1:
		op.Wait = uint64(rng.IntN(3000) + 1)
	}
	if loose(op.Name) {
		// Nobody without a minimum tenure can be sure to lead there.
		op.Wait = uint64(rng.IntN(3000) + 1)
		op.Preempt = rng.IntN(2) == 0
		op.Tenure = uint64(rng.IntN(3) * 300)
	}
	c.stand(c.next(op, &op.Request), op)
}

// lead is what a leader does: it proclaims now and then, and goes in the end.
func (c *client) lead(b *belief) {
	if c.held != b {
		return
	}
	if c.chance(0.5) {
		c.leave(b)
		return
	}
	op := &machine.Proclaim{Value: fmt.Appendf(nil, "client %d at %v", c.id, c.w.now)}
	op.Name, op.Token = b.election, b.token
	c.w.sometimes(proclaimed)
	b.proclaiming = c.next(op, &op.Request)
}

// proclaimed takes the answer to a proclamation.
func (c *client) proclaimed(q sessions.Sequence, p machine.Reply) {
	b := c.held
	if b == nil || b.proclaiming != q {
		return
	}
	if p.Code == machine.NotHolder && !loose(b.election) {
		c.w.fail(Beliefs, "client %d: its proclamation as leader of %s with token %d was refused: %s", c.id, b.election, b.token, p.Message)
	}
	c.later(between(c.rng, 0, c.holding()/4), func() { c.lead(b) })
}

// leave resigns or hands over: to somebody who waits, or to some client that may
// not even stand. From then on the client does not believe that it leads.
func (c *client) leave(b *belief) {
	c.endBelief()
	if to := c.heir(b.election); to != 0 && c.chance(0.5) {
		op := &machine.Transfer{To: to}
		op.Name, op.Token = b.election, b.token
		c.next(op, &op.Request)
		return
	}
	c.resign(b.election, b.token)
}

// heir draws a session to hand over to.
func (c *client) heir(n locks.Name) sessions.ID {
	var waiting []sessions.ID
	if v, ok := c.w.witness.machine.Election(n, 10); ok {
		for _, s := range v.Standing {
			waiting = append(waiting, s.ID.Session)
		}
	}
	if len(waiting) == 0 || c.chance(0.2) {
		return c.w.clients[c.rng.IntN(len(c.w.clients))].session
	}
	return waiting[c.rng.IntN(len(waiting))]
}

func (c *client) resign(n locks.Name, token locks.Token) {
	op := &machine.Resign{}
	op.Name, op.Token = n, token
	c.next(op, &op.Request)
}

// left takes the answer of who went.
func (c *client) left(as machine.Leadership, p machine.Reply) {
	switch {
	case p.Code == machine.NotFound:
		c.w.sometimes(handedToNobody)
		c.resign(as.Name, as.Token)
		return
	case p.Code == machine.NotHolder && !loose(as.Name):
		c.w.fail(Beliefs, "client %d: as leader of %s with token %d it was refused: %s", c.id, as.Name, as.Token, p.Message)
	}
	if c.chance(0.2) { // it is late, and leads no more
		c.w.sometimes(proclaimedLate)
		late := &machine.Proclaim{Leadership: as, Value: fmt.Appendf(nil, "client %d, late at %v", c.id, c.w.now)}
		c.next(late, &late.Request)
	}
	c.rest()
}
