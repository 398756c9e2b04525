package sim

import (
	"errors"
	"time"

	"github.com/conch-lock/conch/coordinator/cell"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/sessions"
)

// next sends a new request and gives its sequence.
func (c *client) next(op machine.Op, r *machine.Request) sessions.Sequence {
	c.sequence++
	*r = machine.Request{Session: c.session, Sequence: c.sequence, Acked: c.acked}
	c.open[c.sequence] = &asked{op: op, request: r, invoked: c.w.now, floor: c.w.witness.floor.told}
	c.ask(c.sequence)
	return c.sequence
}

// ask sends a request, and again until it is answered.
func (c *client) ask(q sessions.Sequence) {
	a := c.open[q]
	if a == nil {
		return
	}
	if a.tries++; a.tries == 1 {
		a.node = c.node
	} else {
		c.w.sometimes(retried)
	}
	life, tries := c.life, a.tries
	c.submit(a.op, func(p machine.Reply, err error) {
		if errors.Is(err, cell.ErrUnknown) {
			c.w.sometimes(unknownOutcome)
		} else if err != nil {
			c.w.sometimes(requestRefused)
		}
		if c.life == life && err == nil && c.open[q] == a {
			delete(c.open, q)
			c.ack(q)
			c.reply(q, a, p)
		}
	})
	c.later(between(c.rng, 200*time.Millisecond, time.Second), func() {
		if c.open[q] == a && a.tries == tries {
			if c.chance(0.3) {
				c.node = c.anyNode()
			}
			c.ask(q)
		}
	})
}

func (c *client) ack(q sessions.Sequence) {
	c.answered[q] = true
	for c.answered[c.acked+1] {
		c.acked++
		delete(c.answered, c.acked)
	}
}

// reply takes the answer to a request.
func (c *client) reply(q sessions.Sequence, a *asked, p machine.Reply) {
	if c.w.cfg.Log != nil {
		c.w.tell("client %d, session %d: %T %d is answered with code %d, claim %v", c.id, c.session, a.op, q, p.Code, p.Claim)
	}
	c.w.check(RealTime, c.w.witness.floor.answered("a request", p.Revision, a.floor))
	c.w.witness.floor.tell(p.Revision)
	c.w.ailing.answered(a)
	if p.Code == machine.SessionNotFound {
		c.begin()
		return
	}
	switch o := a.op.(type) {
	case *machine.Acquire, *machine.Campaign:
		switch {
		case p.Claim != nil && p.Claim.Granted:
			c.granted(p.Claim)
		case p.Claim == nil && c.waiting == q:
			c.waiting = 0
			c.rest()
		case p.Claim != nil:
			c.poll(q, a)
		}
	case *machine.Release:
		c.rest()
		if p.Code == machine.NotHolder && o.Name != brittle {
			c.w.fail(Beliefs, "client %d: its release of token %d was refused: %s", c.id, o.Token, p.Message)
		}
	case *machine.Cancel:
		c.rest()
	case *machine.Proclaim:
		c.proclaimed(q, p)
	case *machine.Resign:
		c.left(o.Leadership, p)
	case *machine.Transfer:
		c.left(o.Leadership, p)
	case *machine.Txn:
		c.wrote(o, p)
	}
}

// poll asks again for a claim that waits, since the push may be lost.
func (c *client) poll(q sessions.Sequence, a *asked) {
	c.later(between(c.rng, 300*time.Millisecond, 3*time.Second), func() {
		if c.waiting == q && c.open[q] == nil {
			c.open[q] = &asked{op: a.op, request: a.request, invoked: a.invoked, floor: a.floor, polls: true} // the outcome may be an old one
			c.ask(q)
		}
	})
}

// submit hands an operation to the client's node; the reply may be lost.
func (c *client) submit(op machine.Op, done func(machine.Reply, error)) {
	id := c.session
	c.toNode(func(n *node) {
		if id != 0 {
			n.attached[id] = c
		}
		n.calls = append(n.calls, func() {
			n.cell.Submit(n.clock.local(c.w.now), op, func(p machine.Reply, err error) {
				if n.up {
					n.toClient(c, func() { done(p, err) })
				}
			})
		})
	})
}

// toNode lets something reach the client's node, unless the link is cut.
func (c *client) toNode(do func(*node)) { c.reach(c.w.node(c.node), do) }

// reach lets something reach a node, unless the link is cut.
func (c *client) reach(n *node, do func(*node)) {
	run := n.run
	c.w.after(c.w.net.delay(), func() {
		if n.run != run || !n.up || c.isCut(n.id) || len(n.calls) > most {
			return
		}
		if c.w.now < n.paused {
			n.calls = append(n.calls, func() { do(n) })
		} else {
			do(n)
		}
		n.wake(0)
	})
}
