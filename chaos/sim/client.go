package sim

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/sessions"
)

// client acts like the SDK with one session: it keeps it alive, claims locks and
// stands in elections, holds them for a while, releases or loses them, repeats
// what got no answer,
// at any node, and believes in its session by its own clock alone.
type client struct {
	w     *world
	id    int
	clock clock
	node  raftnode.NodeID // where it is connected
	cut   map[raftnode.NodeID]bool

	pausedUntil time.Duration
	backlog     []func()

	life     int // counts sessions
	nonce    sessions.Nonce
	session  sessions.ID
	ttl      time.Duration
	deadline time.Duration // by its own clock
	number   uint64        // of the newest keep-alive
	sent     map[uint64]time.Duration
	heard    uint64 // the newest keep-alive that was acknowledged

	sequence sessions.Sequence
	open     map[sessions.Sequence]*asked
	answered map[sessions.Sequence]bool // above acked
	acked    sessions.Sequence

	waiting sessions.Sequence // the claim that waits, 0 for none
	items   []locks.Item
	held    *belief
	got     int // locks that were granted
}

// asked is a request without an answer.
type asked struct {
	op    machine.Op
	tries int
}

// belief is a client's belief to hold a lock.
type belief struct {
	claim sessions.Sequence
	names []locks.Name
	mode  locks.Mode
	token locks.Token
	from  time.Duration

	election    locks.Name        // it leads this one, and names has it under a name that no lock has
	proclaiming sessions.Sequence // its newest proclamation
}

const lockNames = 4

func newClient(w *world, id int) *client {
	c := &client{w: w, id: id, clock: newClock(w.rng), cut: map[raftnode.NodeID]bool{}}
	c.node = raftnode.NodeID(w.rng.IntN(len(w.nodes)) + 1)
	w.after(w.between(0, time.Second), c.begin)
	return c
}

func (c *client) local() time.Duration { return c.clock.local(c.w.now) }

// later does something after a time on the client's own clock, unless it has
// begun another life by then; while it is paused nothing happens.
func (c *client) later(d time.Duration, do func()) {
	life := c.life
	c.w.after(time.Duration(float64(d)/c.clock.rate)+time.Microsecond, func() {
		c.receive(func() {
			if c.life == life {
				do()
			}
		})
	})
}

// receive runs what reaches the client, later when it is paused.
func (c *client) receive(do func()) {
	if c.w.now < c.pausedUntil {
		c.backlog = append(c.backlog, do)
		return
	}
	do()
}

func (c *client) pause(d time.Duration) {
	c.w.tell("client %d pauses for %v", c.id, d)
	c.w.sometimes("client paused")
	c.pausedUntil = c.w.now + d
	c.w.after(d, func() {
		if c.w.now >= c.pausedUntil {
			backlog := c.backlog
			c.backlog = nil
			for _, do := range backlog {
				do()
			}
		}
	})
}

// begin opens a new session.
func (c *client) begin() {
	c.endBelief()
	c.life++
	c.session, c.number, c.heard, c.sequence, c.acked, c.waiting = 0, 0, 0, 0, 0, 0
	c.sent = map[uint64]time.Duration{}
	c.open = map[sessions.Sequence]*asked{}
	c.answered = map[sessions.Sequence]bool{}
	binary.BigEndian.PutUint64(c.nonce[:], uint64(c.id)<<32|uint64(c.life))
	c.ttl = []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second}[c.w.rng.IntN(4)]
	c.deadline = c.local() + c.ttl*9/10
	c.w.witness.byNonce[c.nonce] = &opening{client: c, safe: c.clock.real(c.deadline)}
	c.openSession()
}

func (c *client) openSession() {
	if c.session != 0 {
		return
	}
	if c.local() >= c.deadline {
		c.later(c.w.between(10*time.Millisecond, 200*time.Millisecond), c.begin)
		return
	}
	life := c.life
	c.submit(&machine.OpenSession{Nonce: c.nonce, TTL: uint64(c.ttl / time.Millisecond)}, func(p machine.Reply, err error) {
		if c.life != life || c.session != 0 || err != nil || p.Code != machine.OK {
			return
		}
		c.session = p.Session
		c.w.tell("client %d has session %d, TTL %v", c.id, c.session, c.ttl)
		if n := c.w.node(c.node); n.up {
			n.attached[c.session] = c
		}
		c.keepAlive()
		c.watchDeadline()
		c.act()
	})
	c.later(300*time.Millisecond, c.openSession)
}

// safe is the true time until which keep-alive n lets the client believe.
func (c *client) safe(id sessions.ID, n uint64) time.Duration {
	if id != c.session {
		return 0
	}
	at, ok := c.sent[n]
	if !ok {
		c.w.fail("client %d: keep-alive %d was heard and never sent", c.id, n)
	}
	return c.clock.real(at + c.ttl*9/10)
}

func (c *client) keepAlive() {
	c.number++
	n, id := c.number, c.session
	c.sent[n] = c.local()
	c.toNode(func(at *node) {
		at.attached[id] = c
		at.cell.Hear(id, n)
	})
	c.later(c.ttl/3, c.keepAlive)
	if n > c.heard+2 && c.w.chance(0.5) {
		c.move()
	}
}

// move connects to another node.
func (c *client) move() {
	c.node = raftnode.NodeID(c.w.rng.IntN(len(c.w.nodes)) + 1)
	for _, q := range sortedKeys(c.open) {
		c.ask(q)
	}
}

// watchDeadline ends the client's belief by its own clock.
func (c *client) watchDeadline() {
	if left := c.deadline - c.local(); left > 0 {
		c.later(left, c.watchDeadline)
		return
	}
	c.w.tell("client %d gives up session %d", c.id, c.session)
	c.w.sometimes("client gave up")
	c.begin()
}

// told takes what a node pushes.
func (c *client) told(e machine.Event) {
	if e.Session != c.session {
		return
	}
	switch e.Kind {
	case machine.Alive:
		if e.Number <= c.heard {
			return
		}
		if c.local() >= c.deadline { // too late: it has given up
			c.begin()
			return
		}
		c.heard = e.Number
		c.deadline = max(c.deadline, c.sent[e.Number]+c.ttl*9/10)
		for n := range c.sent {
			if n+500 < e.Number {
				delete(c.sent, n)
			}
		}
	case machine.SessionOver:
		c.begin()
	case machine.ClaimGranted:
		c.granted(e.Reply.Claim)
	case machine.ClaimOver:
		if e.Sequence == c.waiting {
			c.waiting = 0
			c.rest()
		} else if c.held != nil && c.held.claim == e.Sequence {
			c.endBelief()
			c.rest()
		}
	}
}

// act decides what to do next.
func (c *client) act() {
	if c.waiting != 0 || c.held != nil || c.session == 0 {
		return
	}
	rng := c.w.rng
	if rng.IntN(3) == 0 {
		c.campaign()
		return
	}
	names := []int{rng.IntN(lockNames)}
	if rng.IntN(5) == 0 {
		names = append(names, (names[0]+1)%lockNames)
		if names[1] < names[0] {
			names[0], names[1] = names[1], names[0]
		}
	}
	mode := locks.Exclusive
	if rng.IntN(4) == 0 {
		mode = locks.Shared
	}
	c.items = nil
	for _, i := range names {
		c.items = append(c.items, locks.Item{Name: locks.Name(fmt.Sprint("lock-", i)), Mode: mode})
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
	c.stand(c.next(op, &op.Request))
}

// stand notes that a claim was made, and cancels it now and then.
func (c *client) stand(q sessions.Sequence) {
	c.waiting = q
	if c.w.rng.IntN(6) == 0 {
		c.later(c.w.between(time.Millisecond, 500*time.Millisecond), func() {
			if c.waiting == q {
				cancel := &machine.Cancel{Claim: q}
				c.w.sometimes("cancel")
				c.waiting = 0
				c.next(cancel, &cancel.Request)
			}
		})
	}
}

// next sends a new request and gives its sequence.
func (c *client) next(op machine.Op, r *machine.Request) sessions.Sequence {
	c.sequence++
	*r = machine.Request{Session: c.session, Sequence: c.sequence, Acked: c.acked}
	c.open[c.sequence] = &asked{op: op}
	c.ask(c.sequence)
	return c.sequence
}

// ask sends a request, and again until it is answered.
func (c *client) ask(q sessions.Sequence) {
	a := c.open[q]
	if a == nil {
		return
	}
	a.tries++
	if a.tries > 1 {
		c.w.sometimes("retry")
	}
	life, tries := c.life, a.tries
	c.submit(a.op, func(p machine.Reply, err error) {
		if c.life == life && err == nil && c.open[q] == a {
			delete(c.open, q)
			c.ack(q)
			c.reply(q, a.op, p)
		}
	})
	c.later(c.w.between(200*time.Millisecond, time.Second), func() {
		if c.open[q] == a && a.tries == tries {
			if c.w.chance(0.3) {
				c.node = raftnode.NodeID(c.w.rng.IntN(len(c.w.nodes)) + 1)
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

func (c *client) reply(q sessions.Sequence, op machine.Op, p machine.Reply) {
	c.w.tell("client %d, session %d: %T %d is answered with code %d, claim %v", c.id, c.session, op, q, p.Code, p.Claim)
	if p.Code == machine.SessionNotFound {
		c.begin()
		return
	}
	switch o := op.(type) {
	case *machine.Acquire, *machine.Campaign:
		switch {
		case p.Claim != nil && p.Claim.Granted:
			c.granted(p.Claim)
		case p.Claim == nil && c.waiting == q:
			c.w.sometimes(fmt.Sprint("refused with code ", p.Code))
			c.waiting = 0
			c.rest()
		case p.Claim != nil:
			c.poll(q, op)
		}
	case *machine.Release:
		c.rest()
		if p.Code == machine.NotHolder {
			c.w.fail("client %d: its release of token %d was refused: %s", c.id, o.Token, p.Message)
		}
	case *machine.Cancel:
		c.rest()
	case *machine.Proclaim:
		c.proclaimed(q, p)
	case *machine.Resign:
		c.left(o.Leadership, p)
	case *machine.Transfer:
		c.left(o.Leadership, p)
	}
}

// poll asks again for a claim that waits, since the push may be lost.
func (c *client) poll(q sessions.Sequence, op machine.Op) {
	c.later(c.w.between(300*time.Millisecond, 3*time.Second), func() {
		if c.waiting == q && c.open[q] == nil {
			c.open[q] = &asked{op: op}
			c.ask(q)
		}
	})
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
	delete(c.open, g.ID.Sequence)
	c.ack(g.ID.Sequence)
	c.w.witness.seen(g.Revision)
	if known := c.w.witness.tokens[g.ID]; known != g.Token {
		c.w.fail("client %d was told of token %d for claim %v, which has token %d", c.id, g.Token, g.ID, known)
	}
	b := &belief{claim: g.ID.Sequence, names: g.Names, token: g.Token, from: c.w.now}
	if g.Election {
		b.election = g.Names[0]
		b.names = []locks.Name{"leader of " + b.election}
		c.w.witness.leads(c, g)
	} else {
		b.mode = c.items[0].Mode
	}
	c.held = b
	c.got++
	c.w.counts["held"]++
	for _, other := range c.w.clients {
		if other != c && other.believes() && overlap(b, other.held) {
			c.w.fail("client %d has %v with token %d while client %d believes in it with token %d until %v",
				c.id, g.Names, g.Token, other.id, other.held.token, other.clock.real(other.deadline))
		}
	}
	c.later(c.w.between(0, c.ttl), func() {
		switch {
		case c.held != b:
		case b.election != "":
			c.lead(b)
		default:
			c.release()
		}
	})
}

// believes says whether the client thinks that it holds a lock, paused or not.
func (c *client) believes() bool { return c.held != nil && c.local() < c.deadline }

func overlap(a, b *belief) bool {
	if a.mode == locks.Shared && b.mode == locks.Shared || loose(a.election) {
		return false
	}
	for _, x := range a.names {
		for _, y := range b.names {
			if x == y {
				return true
			}
		}
	}
	return false
}

func (c *client) endBelief() { c.held = nil }

func (c *client) release() {
	op := &machine.Release{Name: c.held.names[0], Token: c.held.token}
	c.endBelief()
	c.next(op, &op.Request)
}

// rest waits a little before the next act.
func (c *client) rest() { c.later(c.w.between(0, 300*time.Millisecond), c.act) }

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
func (c *client) toNode(do func(*node)) {
	n := c.w.node(c.node)
	run := n.run
	c.w.after(c.w.delay(), func() {
		if n.run != run || !n.up || c.cut[n.id] || len(n.calls) > 4096 {
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

func sortedKeys(m map[sessions.Sequence]*asked) []sessions.Sequence {
	var l []sessions.Sequence
	for q := range m {
		l = append(l, q)
	}
	for i := range l {
		for j := i; j > 0 && l[j] < l[j-1]; j-- {
			l[j], l[j-1] = l[j-1], l[j]
		}
	}
	return l
}
