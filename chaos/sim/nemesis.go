package sim

import (
	"fmt"
	"time"

	"github.com/conch-lock/conch/raftnode"
)

// nemesis lets something go wrong, and comes again.
func (w *world) nemesis() {
	if w.healing {
		return
	}
	for range 1 + w.rng.IntN(2) {
		w.fault()
	}
	w.after(w.between(200*time.Millisecond, 5*time.Second), w.nemesis)
}

func (w *world) fault() {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	if l := w.leader(); l != nil && w.chance(0.4) {
		n = l
	}
	switch w.rng.IntN(14) {
	case 0, 1:
		w.crashSoon(n)
	case 2:
		w.kill(n)
	case 3:
		w.sometimes("all nodes crashed")
		for _, n := range w.nodes {
			w.kill(n)
		}
	case 4, 5:
		w.pauseNode(n, w.between(20*time.Millisecond, 6*time.Second))
	case 6:
		w.partition(n, true, true)
	case 7:
		w.partition(n, w.chance(0.5), w.chance(0.5))
	case 8:
		a, b := n, w.nodes[w.rng.IntN(len(w.nodes))]
		w.cutLink(a, b, w.chance(0.5), w.between(50*time.Millisecond, 5*time.Second))
	case 9:
		w.slowDisk(n)
	case 10:
		c := w.clients[w.rng.IntN(len(w.clients))]
		c.pause(w.between(10*time.Millisecond, 8*time.Second))
	case 11:
		w.roughNet()
	case 12:
		w.transfer()
	case 13:
		w.pin()
	}
}

// crashSoon lets a node crash at one of its next file operations.
func (w *world) crashSoon(n *node) {
	if !n.up {
		return
	}
	n.armed = n.fs.Ops() + 1 + uint64(w.rng.IntN(60))
	run := n.run
	w.after(w.between(100*time.Millisecond, 3*time.Second), func() {
		n.restartFrom(run)
	})
}

// restartFrom starts a node that crashed since the given process.
func (n *node) restartFrom(run int) {
	if n.run != run && !n.up {
		n.start()
	}
}

func (w *world) kill(n *node) {
	if !n.up {
		return
	}
	run := n.run
	n.crash("killed")
	w.after(w.between(20*time.Millisecond, 4*time.Second), func() { n.restartFrom(run) })
}

func (w *world) pauseNode(n *node, d time.Duration) {
	w.tell("node %v pauses for %v", n.id, d)
	w.sometimes("node paused")
	n.paused = max(n.paused, w.now+d)
}

// partition cuts a node off its peers, one way or both.
func (w *world) partition(n *node, in, out bool) {
	d := w.between(50*time.Millisecond, 6*time.Second)
	w.tell("node %v is cut off for %v, in %v, out %v", n.id, d, in, out)
	w.sometimes("partition")
	for _, p := range w.nodes {
		if p == n {
			continue
		}
		if in {
			w.cutFor(p.id, n.id, d)
		}
		if out {
			w.cutFor(n.id, p.id, d)
		}
	}
	if w.chance(0.5) {
		for _, c := range w.clients {
			if w.chance(0.5) {
				w.cutClient(c, n.id, d)
			}
		}
	}
}

func (w *world) cutLink(a, b *node, both bool, d time.Duration) {
	if a == b {
		return
	}
	w.tell("link from %v to %v is cut for %v, both ways %v", a.id, b.id, d, both)
	w.sometimes("link cut")
	w.cutFor(a.id, b.id, d)
	if both {
		w.cutFor(b.id, a.id, d)
	}
}

func (w *world) cutFor(from, to raftnode.NodeID, d time.Duration) {
	link := [2]raftnode.NodeID{from, to}
	w.cut[link] = true
	w.after(d, func() { delete(w.cut, link) })
}

func (w *world) cutClient(c *client, id raftnode.NodeID, d time.Duration) {
	c.cut[id] = true
	w.after(d, func() { delete(c.cut, id) })
}

func (w *world) slowDisk(n *node) {
	w.tell("node %v has a slow disk", n.id)
	w.sometimes("slow disk")
	n.slow = w.between(5*time.Millisecond, 700*time.Millisecond)
	w.after(w.between(100*time.Millisecond, 5*time.Second), func() { n.slow = time.Millisecond })
}

func (w *world) roughNet() {
	w.sometimes("rough network")
	w.net.loss, w.net.tail, w.net.double = 0.2*w.rng.Float64(), 0.1*w.rng.Float64(), 0.1*w.rng.Float64()
	w.tell("the network loses %.3f, delays %.3f, doubles %.3f", w.net.loss, w.net.tail, w.net.double)
	w.after(w.between(500*time.Millisecond, 5*time.Second), w.calmNet)
}

func (w *world) calmNet() { w.net.loss, w.net.tail, w.net.double = 0.001, 0.001, 0.001 }

func (w *world) transfer() {
	l := w.leader()
	if l == nil || w.now < l.paused {
		return
	}
	to := w.nodes[w.rng.IntN(len(w.nodes))]
	w.tell("leader %v is asked to hand over to %v", l.id, to.id)
	w.sometimes("leader transfer")
	l.in.Transfers = append(l.in.Transfers, raftnode.TransferRequest{To: to.id, Done: func(error) {}})
	l.wake(0)
}

// pin connects every client to the leader and then takes the leader from the
// others, or stops it: whoever trusts it too long is caught.
func (w *world) pin() {
	l := w.leader()
	if l == nil {
		return
	}
	w.tell("all clients are pinned to leader %v", l.id)
	w.sometimes("clients pinned to a leader in trouble")
	for _, c := range w.clients {
		c.node = l.id
	}
	d := w.between(200*time.Millisecond, 4*time.Second)
	w.after(w.between(10*time.Millisecond, 600*time.Millisecond), func() {
		switch w.rng.IntN(3) {
		case 0:
			w.pauseNode(l, d)
		case 1:
			for _, p := range w.nodes {
				if p != l {
					w.cutFor(p.id, l.id, d)
					w.cutFor(l.id, p.id, d)
				}
			}
		default:
			w.pauseNode(l, d/2)
			for _, p := range w.nodes {
				if p != l {
					w.cutFor(l.id, p.id, d)
				}
			}
		}
	})
}

// heal ends all faults.
func (w *world) heal() {
	w.tell("everything heals")
	w.healing = true
	clear(w.cut)
	w.calmNet()
	for _, c := range w.clients {
		clear(c.cut)
		c.got = 0
	}
	for _, n := range w.nodes {
		n.armed, n.slow = 0, time.Millisecond
		if !n.up {
			n.start()
		}
	}
}

// owes says what a healed cell still owes somebody, "" for nothing.
func (w *world) owes() string {
	if w.leader() == nil {
		return "no node leads"
	}
	for _, c := range w.clients {
		if c.got == 0 {
			return fmt.Sprintf("client %d got no lock: session %d, waits for claim %d, unanswered %v", c.id, c.session, c.waiting, sortedKeys(c.open))
		}
	}
	for _, n := range w.nodes {
		if index, _ := n.cell.Applied(); index+50 < w.witness.index {
			return fmt.Sprintf("node %v is at entry %d, %d is applied elsewhere", n.id, index, w.witness.index)
		}
	}
	leader := w.leader()
	if index, _ := leader.cell.Applied(); index < w.witness.index {
		return fmt.Sprintf("the leader is at entry %d, %d is applied elsewhere", index, w.witness.index)
	}
	for _, o := range w.observers {
		if !o.finished(leader) {
			return fmt.Sprintf("observer %d has not seen all leaders", o.id)
		}
	}
	return ""
}

// finish holds the end against what a healed cell owes: progress and equality.
func (w *world) finish() {
	if w.failed != nil {
		return
	}
	if debt := w.owes(); debt != "" {
		w.fail("%v after everything healed: %s", patience, debt)
		return
	}
	if err := w.witness.machine.Check(); err != nil {
		w.fail("in the end: %v", err)
	}
}
