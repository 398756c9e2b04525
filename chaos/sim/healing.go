package sim

import (
	"fmt"
	"slices"
	"time"
)

// patience is how long a healed cell has until everybody must have got on. A
// client may still be paused for 8 s, and six may hold one lock for 5 s each.
const patience = time.Minute

// heal ends all faults.
func (w *world) heal() {
	w.tell("everything heals")
	w.healed = w.now
	w.witness.stable = w.now
	clear(w.net.cut)
	w.net.calm()
	for _, c := range w.clients {
		clear(c.cut)
		c.got = 0
	}
	for _, n := range w.nodes {
		n.disarm()
		n.emptied()
		n.off = false
		n.usual()
		n.resume()
		n.start()
	}
	w.probe = newProbe(w)
}

// owes says what a healed cell still owes somebody, "" for nothing.
func (w *world) owes() string {
	leader := w.leader()
	if leader == nil {
		return "no node leads"
	}
	if w.probe.wrote == 0 {
		return "no write was answered"
	}
	for _, c := range w.clients {
		if c.got == 0 && !c.idle {
			return fmt.Sprintf("client %d got no lock: session %d, waits for claim %d, unanswered %v", c.id, c.session, c.waiting, sortedKeys(c.open))
		}
	}
	for _, n := range w.voters() {
		if n.refused || n.retired {
			continue
		}
		if index, _ := n.cell.Applied(); index+50 < w.witness.index {
			return fmt.Sprintf("node %v is at entry %d, %d is applied elsewhere", n.id, index, w.witness.index)
		}
	}
	if index, _ := leader.cell.Applied(); index < w.witness.index {
		return fmt.Sprintf("the leader is at entry %d, %d is applied elsewhere", index, w.witness.index)
	}
	if told, has := w.witness.floor.told, leader.cell.Machine().Store().Revision(); has < told {
		return fmt.Sprintf("the leader is at revision %d, a client was told of revision %d", has, told)
	}
	for _, o := range w.observers {
		if !o.finished(leader) {
			return fmt.Sprintf("observer %d has not seen all leaders", o.id)
		}
	}
	return w.abandoned()
}

// abandoned says which session is still there that its client left before
// everything healed.
func (w *world) abandoned() string {
	for id, s := range w.witness.lives.sessions {
		if s.client.session != id && w.witness.machine.Sessions().Get(id) != nil && s.heard < w.healed {
			return fmt.Sprintf("session %d, which client %d left, is still there", id, s.client.id)
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
		w.fail(Progress, "%v after everything healed: %s", patience, debt)
		return
	}
	w.check(Invariants, w.witness.machine.Check())
	w.equal()
}

// equal waits for a moment at which all voters that run have applied the same,
// and compares their states in full.
func (w *world) equal() {
	lags := func(n *node) bool {
		index, _ := n.cell.Applied()
		return n.up && index != w.witness.index
	}
	for end := w.now + patience; slices.ContainsFunc(w.voters(), lags); {
		if w.failed != nil {
			return
		}
		if w.now > end {
			w.fail(Progress, "%v after that there was no moment at which all nodes had applied the same", patience)
			return
		}
		w.run(w.now + time.Millisecond)
	}
	sum := w.witness.machine.Store().Hash()
	for _, n := range w.voters() {
		if n.up && n.cell.Machine().Store().Hash() != sum {
			w.fail(Equal, "node %v has another state at entry %d in the end", n.id, w.witness.index)
		}
	}
}
