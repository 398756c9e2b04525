package sim

import (
	"fmt"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// belief is a client's belief to hold a lock.
type belief struct {
	claim sessions.Sequence
	items []locks.Item
	token locks.Token
	from  time.Duration

	election    locks.Name        // it leads this one, and items has it under a name that no lock has
	proclaiming sessions.Sequence // its newest proclamation
}

// The locks that there are: for claims of all kinds, and for permits alone, of
// which a lock has one capacity.
var (
	lockNames   = [...]locks.Name{"lock-0", "lock-1", "lock-2", "lock-3"}
	permitNames = [...]locks.Name{"room-0", "room-1"}
)

const capacity = 4

// act decides what to do next.
func (c *client) act() {
	if c.waiting != 0 || c.held != nil || c.session == 0 {
		return
	}
	rng, work := c.rng, c.w.set.work
	var kinds []Work
	for _, k := range []Work{Exclusive, Shared, Permits, Many, Campaigns, Ailing} {
		if work&k != 0 {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 {
		return
	}
	if work&Ailing == 0 && c.chance(0.01) {
		c.w.sometimes(sessionClosed)
		c.leaveCell()
		return
	}
	i := rng.IntN(len(lockNames))
	c.items = nil
	switch kinds[rng.IntN(len(kinds))] {
	case Campaigns:
		c.campaign()
		return
	case Exclusive:
		c.items = []locks.Item{{Name: lockNames[i], Mode: locks.Exclusive}}
		if c.chance(0.2) {
			c.items[0].Name = brittle
		}
	case Ailing:
		c.items = []locks.Item{{Name: locks.Name(fmt.Sprint("own-", c.id)), Mode: locks.Exclusive}}
	case Shared:
		c.items = []locks.Item{{Name: lockNames[i], Mode: locks.Shared}}
	case Permits:
		c.items = []locks.Item{{
			Name: permitNames[rng.IntN(len(permitNames))], Mode: locks.Permits,
			Permits: uint32(rng.IntN(capacity) + 1), Capacity: capacity,
		}}
	case Many:
		for _, n := range lockNames {
			if rng.IntN(2) == 0 || len(c.items) == 0 {
				mode := locks.Exclusive
				if work&Shared != 0 && rng.IntN(3) == 0 {
					mode = locks.Shared
				}
				c.items = append(c.items, locks.Item{Name: n, Mode: mode})
			}
		}
	}
	op := &machine.Acquire{Items: c.items}
	switch rng.IntN(4) {
	case 0:
		op.Try = true
	case 1:
		op.Wait = uint64(rng.IntN(3000) + 1)
	}
	if rng.IntN(8) == 0 {
		op.Delay = uint64(rng.IntN(1000))
	}
	c.stand(c.next(op, &op.Request), op)
}

// stand notes that a claim was made, and cancels it now and then.
func (c *client) stand(q sessions.Sequence, op machine.Op) {
	c.waiting = q
	c.wantBreak(q, op)
	if c.rng.IntN(6) == 0 {
		c.later(between(c.rng, time.Millisecond, 500*time.Millisecond), func() {
			if c.waiting == q {
				cancel := &machine.Cancel{Claim: q}
				c.waiting = 0
				c.next(cancel, &cancel.Request)
			}
		})
	}
}

// granted: the claim that waited is granted. The client looks at its own
// deadline before it believes it.
func (c *client) granted(g *machine.Claimed) {
	if g.ID.Session != c.session || g.ID.Sequence != c.waiting {
		return
	}
	if c.local() >= c.deadline {
		c.begin()
		return
	}
	c.waiting = 0
	if a := c.open[g.ID.Sequence]; a != nil {
		c.w.check(RealTime, c.w.witness.floor.answered("a claim", g.Revision, a.floor))
		c.w.ailing.answered(a)
		delete(c.open, g.ID.Sequence)
	}
	c.ack(g.ID.Sequence)
	c.w.witness.floor.tell(g.Revision)
	if known := c.w.witness.tokens.of[g.ID]; known != g.Token {
		c.w.fail(Tokens, "client %d was told of token %d for claim %v, which has token %d", c.id, g.Token, g.ID, known)
	}
	b := &belief{claim: g.ID.Sequence, items: c.items, token: g.Token, from: c.w.now}
	if g.Election {
		b.election = g.Names[0]
		b.items = []locks.Item{{Name: locks.Name("leader of ") + b.election, Mode: locks.Exclusive}}
		c.w.witness.leads(c, g)
	}
	c.held = b
	c.got++
	for _, other := range c.w.clients {
		if other != c && other.believes() && clash(b, other.held) {
			c.w.fail(Beliefs, "client %d has %v with token %d while client %d believes in it with token %d until %v",
				c.id, g.Names, g.Token, other.id, other.held.token, other.clock.real(other.deadline))
		}
	}
	most := c.holding()
	if c.w.ailing != nil {
		most = 100 * time.Millisecond
	}
	c.later(between(c.rng, 0, most), func() {
		switch {
		case c.held != b:
		case b.election != "":
			c.lead(b)
		default:
			c.release()
		}
	})
}

// holding bounds how long the client keeps what others wait for.
func (c *client) holding() time.Duration { return min(c.ttl, 5*time.Second) }

// believes says whether the client thinks that it holds a lock, paused or not.
func (c *client) believes() bool { return c.held != nil && c.local() < c.deadline }

// clash says whether two beliefs cannot be right together. Permits are added up
// by the cell alone: two of them do not clash.
func clash(a, b *belief) bool {
	if loose(a.election) || breakable(a.items) {
		return false
	}
	for _, x := range a.items {
		for _, y := range b.items {
			if x.Name == y.Name && (x.Mode == locks.Exclusive || y.Mode == locks.Exclusive ||
				x.Mode == locks.Permits && x.Permits+y.Permits > capacity) {
				return true
			}
		}
	}
	return false
}

func (c *client) release() {
	op := &machine.Release{Name: c.held.items[0].Name, Token: c.held.token}
	c.endBelief()
	c.next(op, &op.Request)
}

// crowd queues up more than a thousand claims for one lock.
func (c *client) crowd() {
	if c.life > 3 {
		return
	}
	for range 1100 {
		c.sequence++
		q := machine.Request{Session: c.session, Sequence: c.sequence, Acked: c.acked}
		op := &machine.Acquire{
			Request: q, Items: []locks.Item{{Name: "crowd", Mode: locks.Exclusive}}, Wait: uint64(500 + c.rng.IntN(3000)),
		}
		c.submit(op, func(machine.Reply, error) {})
	}
}
