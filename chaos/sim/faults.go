package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/conch-lock/conch/raftnode"
)

// victim draws a node that runs: the leader in two of five cases.
func (w *world) victim(rng *rand.Rand) *node {
	if l := w.leader(); l != nil && rng.IntN(5) < 2 {
		return l
	}
	up := w.running()
	if len(up) == 0 {
		return nil
	}
	return up[rng.IntN(len(up))]
}

// running lists the nodes whose process runs, those that were removed left out.
func (w *world) running() []*node {
	var l []*node
	for _, n := range w.nodes {
		if n.up && !n.retired {
			l = append(l, n)
		}
	}
	return l
}

// fault lets something go wrong.
func (w *world) fault(kind Fault, rng *rand.Rand) {
	n := w.victim(rng)
	if n == nil && kind != faultClientPause && kind != faultClientClock && kind != faultClientCut {
		return
	}
	for _, of := range []func(*world, Fault, *rand.Rand, *node) bool{
		(*world).processFault, (*world).linkFault, (*world).diskFault, (*world).clockFault, (*world).clientFault, (*world).memberFault,
	} {
		if of(w, kind, rng, n) {
			return
		}
	}
}

func (w *world) processFault(kind Fault, rng *rand.Rand, n *node) bool {
	switch kind {
	case faultCrash:
		n.arm(point(rng.IntN(int(points))), 1+rng.IntN(40), 2*time.Second)
	case faultKill:
		n.crash("killed")
	case faultKillAll:
		if voters := w.voters(); len(voters) > 0 && !slices.ContainsFunc(voters, func(n *node) bool { return !n.up && !n.refused }) {
			w.sometimes(crashedAll)
		}
		for _, n := range w.nodes {
			if n.up {
				n.crash("with all")
			}
		}
	case faultPause:
		w.pauseNode(n, between(rng, 20*time.Millisecond, 6*time.Second))
	case faultPin:
		w.pin(rng)
	case faultTransfer:
		w.transfer(rng)
	default:
		return false
	}
	return true
}

func (w *world) pauseNode(n *node, d time.Duration) {
	w.tell("node %v pauses for %v", n.id, d)
	w.sometimes(nodePaused)
	if n.cell.Leading() {
		w.sometimes(leaderPaused)
	}
	n.paused = max(n.paused, w.now+d)
}

// resume ends a pause.
func (n *node) resume() {
	if n.paused > n.w.now {
		n.paused = n.w.now
		n.wake(0)
	}
}

func (w *world) transfer(rng *rand.Rand) {
	l := w.leader()
	if l == nil || w.now < l.paused {
		return
	}
	to := w.nodes[rng.IntN(len(w.nodes))]
	w.tell("leader %v is asked to hand over to %v", l.id, to.id)
	l.in.Transfers = append(l.in.Transfers, raftnode.TransferRequest{To: to.id, Done: func(err error) {
		if err == nil && to != l {
			w.sometimes(leaderTransferred)
		}
	}})
	l.wake(0)
}

// pin connects every client to the leader, or all but one, and then takes the
// leader from the others, stops it, or has it wake up alone: whoever trusts it too
// long is caught. Two clients go on reading there.
func (w *world) pin(rng *rand.Rand) {
	l := w.leader()
	if l == nil {
		return
	}
	w.tell("all clients are pinned to leader %v", l.id)
	w.sometimes(clientsPinned)
	for _, c := range w.clients {
		c.node = l.id
	}
	d := between(rng, 200*time.Millisecond, 4*time.Second)
	how := rng.IntN(4)
	if rng.IntN(2) == 0 {
		apart := w.clients[rng.IntN(len(w.clients))]
		apart.node = w.nodes[rng.IntN(len(w.nodes))].id
	}
	for range 2 {
		w.clients[rng.IntN(len(w.clients))].readOn(l, w.now+d+time.Second)
	}
	w.after(between(rng, 10*time.Millisecond, 600*time.Millisecond), func() {
		if !l.up || w.healed != 0 {
			return
		}
		if how != 1 {
			w.pauseNode(l, d)
		}
		for _, p := range w.nodes {
			switch {
			case p == l || how == 0:
			case how == 3: // when it wakes up, it does so alone
				w.cutFor(l.id, p.id, d+time.Second)
				w.cutFor(p.id, l.id, d+time.Second)
			default:
				w.cutFor(l.id, p.id, d)
				if how == 1 {
					w.cutFor(p.id, l.id, d)
				}
			}
		}
	})
}

func (w *world) clockFault(kind Fault, rng *rand.Rand, n *node) bool {
	switch kind {
	case faultClockJump:
		// Less than a leader's longest turn, nobody can tell from time that passed.
		jump := between(rng, 100*time.Millisecond, 10*time.Second)
		w.tell("the clock of node %v jumps by %v", n.id, jump)
		w.sometimes(clockJumped)
		if n.cell.Leading() {
			w.sometimes(leaderClockJumped)
		}
		n.clock.set(w.now, n.clock.rate, jump)
		n.wake(0)
	case faultClockRate:
		w.sometimes(clockChanged)
		n.clock.set(w.now, drawRate(rng), 0)
		n.wake(0)
	case faultWallJump:
		w.sometimes(wallJumped)
		n.wall += time.Duration(rng.Int64N(int64(2*time.Hour))) - time.Hour
	default:
		return false
	}
	return true
}

func (w *world) clientFault(kind Fault, rng *rand.Rand, _ *node) bool {
	c := w.clients[rng.IntN(len(w.clients))]
	switch kind {
	case faultClientPause:
		c.pause(between(rng, 10*time.Millisecond, 8*time.Second))
	case faultClientClock:
		w.sometimes(clientClockJumped)
		c.clock.set(w.now, drawRate(rng), between(rng, 0, 3*time.Second))
	case faultClientCut:
		d := between(rng, 50*time.Millisecond, 6*time.Second)
		for _, n := range w.nodes {
			if rng.IntN(2) == 0 {
				c.cutFor(n.id, d)
			}
		}
	default:
		return false
	}
	return true
}
