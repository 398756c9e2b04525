package sim

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/sessions"
)

// client acts like the SDK with one session: it keeps it alive, claims locks,
// stands in elections, reads and writes keys, repeats what got no answer, at any
// node, and believes in its session by its own clock alone.
type client struct {
	w     *world
	id    int
	rng   *rand.Rand
	clock clock
	node  raftnode.NodeID // where it is connected
	cut   map[raftnode.NodeID]time.Duration
	idle  bool // it makes a crowd of claims once, and nothing else

	pausedUntil time.Duration
	backlog     []func()

	life     int // counts sessions
	nonce    sessions.Nonce
	session  sessions.ID
	ttl      time.Duration
	deadline time.Duration   // by its own clock
	number   uint64          // of the newest keep-alive
	sent     []time.Duration // when, by its own clock, keep-alive 1 and so on
	heard    uint64          // the newest keep-alive that was acknowledged

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
	op      machine.Op
	request *machine.Request
	tries   int
	node    raftnode.NodeID // that was asked first
	invoked time.Duration
	polls   bool   // it asks for what became of a claim
	floor   uint64 // the newest revision that anybody had been told of
}

func newClient(w *world, id int) *client {
	rng := w.stream(streamClient, uint64(id))
	c := &client{w: w, id: id, rng: rng, clock: newClock(rng), cut: map[raftnode.NodeID]time.Duration{}}
	c.node = raftnode.NodeID(rng.IntN(len(w.nodes)) + 1)
	w.after(between(rng, 0, time.Second), c.begin)
	return c
}

func (c *client) chance(p float64) bool { return c.rng.Float64() < p }

func (c *client) local() time.Duration { return c.clock.local(c.w.now) }

func (c *client) isCut(id raftnode.NodeID) bool { return len(c.cut) > 0 && c.w.now < c.cut[id] }

func (c *client) cutFor(id raftnode.NodeID, d time.Duration) {
	c.cut[id] = max(c.cut[id], c.w.now+d)
}

// later does something after a time on the client's own clock, unless it has
// begun another life by then; while it is paused nothing happens.
func (c *client) later(d time.Duration, do func()) {
	life := c.life
	c.w.after(time.Duration(float64(d)/c.clock.rate)+time.Microsecond, func() {
		if c.life == life {
			c.receive(func() {
				if c.life == life {
					do()
				}
			})
		}
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
	c.w.sometimes(clientPaused)
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

// part of the TTL that a client counts on.
func safely(ttl time.Duration) time.Duration { return ttl * 9 / 10 }

// begin opens a new session.
func (c *client) begin() {
	c.endBelief()
	c.life++
	c.session, c.number, c.heard, c.sequence, c.acked, c.waiting = 0, 0, 0, 0, 0, 0
	c.sent = c.sent[:0]
	c.open = map[sessions.Sequence]*asked{}
	c.answered = map[sessions.Sequence]bool{}
	binary.BigEndian.PutUint64(c.nonce[:], uint64(c.id)<<32|uint64(c.life))
	c.ttl = c.w.set.ttls()[c.rng.IntN(4)]
	c.deadline = c.local() + safely(c.ttl)
	c.w.witness.byNonce[c.nonce] = &opening{client: c, safe: c.deadline}
	c.openSession()
}

func (c *client) openSession() {
	if c.session != 0 {
		return
	}
	if c.local() >= c.deadline {
		c.later(between(c.rng, 10*time.Millisecond, 200*time.Millisecond), c.begin)
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
		if c.idle {
			c.crowd()
			return
		}
		c.act()
		c.useKeys()
	})
	c.later(300*time.Millisecond, func() {
		if c.session == 0 && c.chance(0.3) {
			c.node = c.anyNode()
		}
		c.openSession()
	})
}

// anyNode draws a node that belongs to the cell.
func (c *client) anyNode() raftnode.NodeID {
	for range 4 {
		if n := c.w.nodes[c.rng.IntN(len(c.w.nodes))]; !n.retired && !n.refused && !n.off {
			return n.id
		}
	}
	return c.w.nodes[c.rng.IntN(len(c.w.nodes))].id
}

// safe is until when, by the client's clock, keep-alive n lets it believe.
func (c *client) safe(id sessions.ID, n uint64) time.Duration {
	if id != c.session {
		return 0
	}
	if n < 1 || n > uint64(len(c.sent)) {
		c.w.fail(Harness, "client %d: keep-alive %d was heard and never sent", c.id, n)
		return 0
	}
	return c.sent[n-1] + safely(c.ttl)
}

func (c *client) keepAlive() {
	c.number++
	n, id := c.number, c.session
	c.sent = append(c.sent, c.local())
	c.toNode(func(at *node) {
		at.attached[id] = c
		at.cell.Hear(id, n)
	})
	c.later(c.ttl/3, c.keepAlive)
	if n > c.heard+2 {
		if at := c.w.node(c.node); at.up && at.cell.Leading() && !c.isCut(at.id) {
			c.w.sometimes(keepAliveUnconfirmed)
		}
		if c.chance(0.5) {
			c.move()
		}
	}
}

// move connects to another node.
func (c *client) move() {
	c.node = c.anyNode()
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
	c.w.sometimes(clientGaveUp)
	c.begin()
}

// told takes what a node pushes.
func (c *client) told(e machine.Event) {
	if e.Session != c.session || c.session == 0 {
		return
	}
	c.w.witness.floor.tell(e.Revision)
	switch e.Kind {
	case machine.Alive:
		c.alive(e.Number)
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

// alive: keep-alive n was acknowledged.
func (c *client) alive(n uint64) {
	if n <= c.heard {
		return
	}
	if c.local() >= c.deadline { // too late: it has given up
		c.begin()
		return
	}
	c.heard = n
	c.deadline = max(c.deadline, c.sent[n-1]+safely(c.ttl))
	c.w.witness.lives.acknowledged(c.session, c.deadline)
}

// endBelief: the client does not believe in a lock any more.
func (c *client) endBelief() { c.held = nil }

// rest waits a little before the next act.
func (c *client) rest() { c.later(c.w.set.pace*between(c.rng, 0, 300*time.Millisecond), c.act) }

// releasing says whether the client gives something back of that session.
func (c *client) releasing(id sessions.ID) bool {
	if id != c.session {
		return false
	}
	for _, a := range c.open {
		if _, ok := a.op.(*machine.Release); ok {
			return true
		}
	}
	return false
}

func sortedKeys(m map[sessions.Sequence]*asked) []sessions.Sequence {
	l := make([]sessions.Sequence, 0, len(m))
	for q := range m {
		l = append(l, q)
	}
	slices.Sort(l)
	return l
}
