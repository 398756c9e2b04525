package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

	"github.com/conch-lock/conch/coordinator/cell"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/raftnode/disk"
	"github.com/conch-lock/conch/sessions"
)

// The cluster and group that is simulated.
const (
	clusterID = 77
	groupID   = raftnode.GroupID(1)
)

// node is one machine: its disk outlives its process.
type node struct {
	w     *world
	id    raftnode.NodeID
	rng   *rand.Rand
	fs    *disk.Mem
	clock clock
	wall  time.Duration // how far its wall clock is off
	boot  uint32

	founder bool // one of the initial members
	begun   bool // it has had data: it must never begin anew
	retired bool // it was removed from the group: nobody starts it again
	refused bool // its data are damaged, and it does not start with them
	hurt    bool // its data were damaged since it ran last
	wounded bool // its data were damaged, and two snapshots since have not replaced them yet
	scars   int  // snapshots until they have
	newest  uint64
	off     bool // nobody starts it until everything heals

	// The process.
	up       bool
	run      int // counts processes, so that what was meant for an earlier one is lost
	term     uint64
	paused   time.Duration
	cell     *cell.Cell
	replica  *raftnode.Replica
	in       raftnode.Inputs
	spare    []raftnode.PeerMessage // memory for those to come
	letters  []*letter              // those in the inputs whose memory can be used again
	calls    []func()               // requests of clients that wait for the next turn
	turnAt   time.Duration          // of the next turn
	turnSeq  uint64                 // its place among the events; 0: none is planned
	lastTurn time.Duration          // by its own clock
	lag      time.Duration          // how long the disk takes in this turn
	synced   time.Duration          // how long it took in the one before
	busy     time.Duration          // until when the turn takes that was begun last
	attached map[sessions.ID]*client
	promised bool     // it has fsynced since it promised something last
	unproven int      // entries that it proposed and has not seen applied
	dropped  uint64   // rounds that it dropped since too much was not committed
	quorums  *quorums // of the members as it applied them last; nil: it has just begun with them
	storage
}

func (w *world) newNode() *node {
	id := raftnode.NodeID(len(w.nodes) + 1)
	rng := w.stream(streamNode, uint64(id))
	n := &node{w: w, id: id, rng: rng, fs: disk.NewMem(), clock: newClock(rng), storage: newStorage()}
	n.fs.SetHook(n.hook)
	w.nodes = append(w.nodes, n)
	return n
}

func (w *world) node(id raftnode.NodeID) *node {
	if id < 1 || int(id) > len(w.nodes) {
		return nil
	}
	return w.nodes[id-1]
}

// start starts the process from what is on the disk.
func (n *node) start() {
	if n.up || n.retired || n.refused || n.off {
		return
	}
	if n.replica != nil {
		n.cell.Machine().Close()
		n.replica = nil
	}
	n.boot++
	n.run++
	n.storage.restarted()
	n.attached = map[sessions.ID]*client{}
	n.cell = cell.New(cell.Config{
		Self: n.id, Boot: n.boot, Limits: n.w.set.limits,
		Wall:       func() int64 { return int64((n.w.now + n.wall) / time.Millisecond) },
		Send:       n.sendPayload,
		Output:     n.output,
		Leadership: func(raftnode.NodeID) {},
		Restored:   n.restored,
	})
	var initial []raftnode.Member
	if n.founder {
		for i := range n.w.cfg.Nodes {
			initial = append(initial, member(raftnode.NodeID(i+1)))
		}
	}
	run := n.run
	replica, err := raftnode.NewReplica(raftnode.ReplicaConfig{
		Cluster: clusterID, Group: groupID, Node: n.id, FS: n.fs, Dir: "cell", Initial: initial, Begun: n.begun,
		Machine: tap{n.cell, n}, Outbox: n, MembersChanged: n.membersChanged,
		Tuning:     n.w.set.tuning,
		Rand:       rand.New(rand.NewPCG(n.rng.Uint64(), 2)),
		Background: n.background,
		Logger:     zerolog.New(news{n}).Level(zerolog.InfoLevel),
	})
	if n.run != run { // it crashed meanwhile
		n.w.sometimes(crashedStarting)
		n.cell.Machine().Close()
		return
	}
	if err != nil {
		n.cell.Machine().Close()
		n.startFailed(err)
		return
	}
	n.begun = n.begun || n.founder || replica.Status().Snapshot > 0
	n.hurt = false
	n.replica, n.up, n.term, n.dropped = replica, true, 0, 0
	n.quorums = quorumsOf(replica.Status())
	if n.wounded {
		n.scars, n.newest = 2, replica.Status().Snapshot
	}
	n.w.tell("node %v starts", n.id)
	n.started()
	n.wake(0)
}

func member(id raftnode.NodeID) raftnode.Member {
	return raftnode.Member{ID: id, Name: fmt.Sprint("n", id), Address: fmt.Sprint("n", id, ":1")}
}

// crash cuts the power: the process is gone and any part of what was not synced
// survives. Somebody starts it again after a while.
func (n *node) crash(why string) {
	n.w.tell("node %v crashes %s", n.id, why)
	n.w.sometimes(crashed)
	n.died()
	n.down()
	n.fs.Crash(survival(n.rng))
	for _, p := range n.w.nodes {
		if p != n && n.w.net.chance(0.9) {
			run := p.run
			n.w.after(between(n.w.net.rng, 100*time.Microsecond, 5*time.Millisecond), func() {
				if p.run == run && p.up {
					p.in.Lost = append(p.in.Lost, n.id)
					p.wake(0)
				}
			})
		}
	}
	again := between(n.rng, 20*time.Millisecond, 4*time.Second)
	if n.w.healed != 0 {
		again = 20 * time.Millisecond // its disk failed before everything healed, and shows it only now
	}
	n.w.after(again, n.start)
}

func (n *node) down() {
	n.up = false
	n.run++
	n.in, n.calls, n.letters = raftnode.Inputs{}, nil, nil
	n.turnSeq, n.lag, n.synced, n.paused, n.busy, n.unproven = 0, 0, 0, 0, 0, 0
}

// stop ends the process in order.
func (n *node) stop() {
	n.disarm()
	if n.replica == nil {
		return
	}
	if n.up {
		n.down()
		_ = n.replica.Close()
		n.fs.Crash(disk.KeepUnsynced())
	}
	n.cell.Machine().Close()
	n.replica = nil
}

// wake makes the node take a turn soon.
func (n *node) wake(d time.Duration) {
	if !n.up {
		return
	}
	at := max(n.w.now+d, n.paused, n.busy)
	if n.turnSeq != 0 && n.turnAt <= at {
		return
	}
	n.w.events++
	n.turnAt, n.turnSeq = at, n.w.events
}

// turnTakes is how long a turn takes beside what the disk takes.
const turnTakes = 20 * time.Microsecond

func (n *node) turn() {
	n.turnSeq = 0
	if n.w.now < n.paused {
		n.wake(n.paused - n.w.now)
		return
	}
	n.lag = 0
	local := n.clock.local(n.w.now)
	if n.cell.Leading() && local-n.lastTurn > 100*time.Millisecond {
		n.w.sometimes(ownPauseNotCounted)
	}
	n.lastTurn = local
	calls, in, run := n.calls, n.in, n.run
	in.Synced = n.synced
	n.calls, n.in = nil, raftnode.Inputs{Messages: n.spare[:0]}
	for _, f := range calls {
		f()
	}
	n.cell.Sweep(local)
	out, err := n.replica.Turn(local, in)
	if n.run != run {
		return // it crashed within
	}
	if err != nil {
		n.stopped(err)
		return
	}
	if n.wounded {
		n.scar()
	}
	clear(in.Messages)
	n.spare = in.Messages
	n.w.net.read(n.letters)
	n.letters = n.letters[:0]
	next := n.clock.real(out.Next) - n.w.now
	if out.Busy || len(n.calls) > 0 || n.turnSeq != 0 {
		next = 0
	}
	n.turnSeq = 0
	n.synced = n.lag
	n.busy = n.w.now + max(n.lag, turnTakes)
	n.wake(next)
}

// background runs work on files a while later, as a goroutine of its own does.
func (n *node) background(work func()) {
	run := n.run
	n.w.after(between(n.rng, 10*time.Microsecond, 20*time.Millisecond), func() {
		if n.run == run && n.up {
			work()
			n.wake(0)
		}
	})
}

// toClient lets something reach a client, unless its link is cut meanwhile.
func (n *node) toClient(c *client, do func()) {
	run := n.run
	n.w.after(n.lag+n.w.net.delay(), func() {
		if n.run == run && !c.isCut(n.id) {
			c.receive(do)
		}
	})
}

// output takes what applying entries gave on this node, to tell the sessions
// that are attached here.
func (n *node) output(out machine.Output) {
	if !n.up {
		return // the state is still being restored
	}
	for _, e := range out.Events {
		if c := n.attached[e.Session]; c != nil {
			n.toClient(c, func() { c.told(e) })
		}
	}
}

// restored: events may have been missed, so everybody has to ask again.
func (n *node) restored() { clear(n.attached) }
