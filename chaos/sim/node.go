package sim

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/conch-lock/conch/coordinator/cell"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
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
	fs    *disk.Mem
	clock clock
	boot  uint32

	// The process.
	up       bool
	run      int // counts processes, so that what was meant for an earlier one is lost
	paused   time.Duration
	cell     *cell.Cell
	replica  *raftnode.Replica
	in       raftnode.Inputs
	calls    []func() // requests of clients that wait for the next turn
	turnAt   time.Duration
	turnSeq  uint64
	lag      time.Duration // how long the disk takes in this turn
	slow     time.Duration // how long a sync takes at most
	armed    uint64        // crash at this file operation, 0: no
	attached map[sessions.ID]*client
}

func newNode(w *world, id raftnode.NodeID) *node {
	n := &node{w: w, id: id, fs: disk.NewMem(), clock: newClock(w.rng), slow: time.Millisecond}
	n.fs.SetHook(n.hook)
	return n
}

// hook sees every file operation: it takes time, and the machine may crash.
func (n *node) hook(op disk.Op) error {
	if op.Kind == disk.OpSync && n.up {
		n.lag += n.w.between(50*time.Microsecond, n.slow)
	}
	if n.armed != 0 && op.Seq >= n.armed {
		n.armed = 0
		n.w.sometimes("crash at " + op.Kind.String())
		n.crash("at " + op.Kind.String())
		return disk.ErrCrashed
	}
	return nil
}

// crash cuts the power: the process is gone and any part of what was not
// synced survives.
func (n *node) crash(why string) {
	n.w.tell("node %v crashes %s", n.id, why)
	n.w.sometimes("crash")
	n.down()
	rng := n.w.rng
	switch rng.IntN(3) {
	case 0:
		n.fs.Crash(disk.Survival{Keep: func(int) int { return 0 }})
	case 1:
		n.fs.Crash(disk.Survival{Keep: func(k int) int { return rng.IntN(k + 1) }})
	default:
		n.fs.Crash(disk.Survival{Keep: func(k int) int { return k * rng.IntN(2) }})
	}
	for _, p := range n.w.nodes {
		if p != n && n.w.chance(0.9) {
			run := p.run
			n.w.after(n.w.between(100*time.Microsecond, 5*time.Millisecond), func() {
				if p.run == run && p.up {
					p.in.Lost = append(p.in.Lost, n.id)
					p.wake(0)
				}
			})
		}
	}
}

func (n *node) down() {
	n.up = false
	n.run++
	n.in, n.calls = raftnode.Inputs{}, nil
	n.turnAt, n.lag, n.paused = 0, 0, 0
}

func (n *node) stop() {
	n.armed = 0
	if n.replica != nil {
		n.up = false
		_ = n.replica.Close()
		n.cell.Machine().Close()
		n.replica = nil
	}
}

// tap is the cell with a witness beside it.
type tap struct {
	*cell.Cell
	n *node
}

func (t tap) Apply(entries []raftnode.Entry) {
	for _, e := range entries {
		t.n.w.witness.apply(t.n, e)
	}
	t.Cell.Apply(entries)
	t.n.w.witness.compare(t.n)
}

// limits keep the state small, so that compaction and refusals happen.
func limits() machine.Limits {
	return machine.Limits{
		Sessions: 1000, Claims: 1000, Waiters: 100,
		Store: store.Options{KeepRevisions: 60},
	}
}

// start starts the process from what is on the disk.
func (n *node) start() {
	if n.replica != nil {
		n.cell.Machine().Close()
		n.replica = nil
	}
	n.boot++
	n.attached = map[sessions.ID]*client{}
	n.cell = cell.New(cell.Config{
		Self: n.id, Boot: n.boot, Limits: limits(),
		Wall:       func() int64 { return int64(n.w.now / time.Millisecond) },
		Send:       n.sendPayload,
		Output:     n.output,
		Leadership: func(raftnode.NodeID) {},
		Restored:   n.restored,
	})
	var initial []raftnode.Member
	for i := range n.w.cfg.Nodes {
		initial = append(initial, raftnode.Member{
			ID: raftnode.NodeID(i + 1), Name: fmt.Sprint("n", i+1), Address: fmt.Sprint("n", i+1, ":1"),
		})
	}
	replica, err := raftnode.NewReplica(raftnode.ReplicaConfig{
		Cluster: clusterID, Group: groupID, Node: n.id, FS: n.fs, Dir: "cell", Initial: initial,
		Machine: tap{n.cell, n}, Outbox: n,
		Tuning: raftnode.Tuning{
			SnapshotEntries: 150, SnapshotBytes: 1 << 20, SnapshotSlices: 1, TrailingEntries: 20, SegmentBytes: 32 << 10,
		},
		Rand:   rand.New(rand.NewPCG(n.w.rng.Uint64(), 2)),
		Logger: zerolog.Nop(),
	})
	if err != nil {
		if n.armedNow() {
			return
		}
		n.w.fail("node %v does not start: %v", n.id, err)
		return
	}
	n.replica, n.up = replica, true
	n.w.tell("node %v starts", n.id)
	n.wake(0)
}

// armedNow: the start itself met the crash that was planned.
func (n *node) armedNow() bool {
	n.cell.Machine().Close()
	if n.armed == 0 && !n.up {
		n.w.after(n.w.between(10*time.Millisecond, time.Second), n.restart)
		return true
	}
	return false
}

func (n *node) restart() {
	if !n.up {
		n.start()
	}
}

// wake makes the node take a turn soon.
func (n *node) wake(d time.Duration) {
	if !n.up {
		return
	}
	at := max(n.w.now+d, n.paused)
	if n.turnAt != 0 && n.turnAt <= at {
		return
	}
	n.turnAt = at
	n.turnSeq++
	seq, run := n.turnSeq, n.run
	n.w.after(at-n.w.now, func() {
		if n.run == run && n.turnSeq == seq && n.up {
			n.turn()
		}
	})
}

func (n *node) turn() {
	n.turnAt = 0
	if n.w.now < n.paused {
		n.wake(n.paused - n.w.now)
		return
	}
	n.lag = 0
	local := n.clock.local(n.w.now)
	calls, in, run := n.calls, n.in, n.run
	n.calls, n.in = nil, raftnode.Inputs{}
	for _, f := range calls {
		f()
	}
	n.cell.Sweep(local)
	out, err := n.replica.Turn(local, in)
	if n.run != run {
		return // it crashed within
	}
	if err != nil {
		n.w.tell("node %v stops: %v", n.id, err)
		n.w.sometimes("fail-stop")
		n.crash("after an error")
		n.w.after(n.w.between(50*time.Millisecond, 2*time.Second), n.restart)
		return
	}
	next := n.clock.real(out.Next) - n.w.now
	if out.Busy || len(n.calls) > 0 {
		next = 0
	}
	n.wake(max(next, n.lag, 20*time.Microsecond))
}

// Flush implements raftnode.Outbox: what Send takes is on its way.
func (n *node) Flush() {}

// Send implements raftnode.Outbox.
func (n *node) Send(m *raftpb.Message) {
	if !n.up {
		return
	}
	to := n.w.node(raftnode.NodeID(m.GetTo()))
	if to == nil {
		return
	}
	data, err := proto.Marshal(m)
	if err != nil {
		n.w.fail("marshal: %v", err)
		return
	}
	times := 1
	if n.w.chance(n.w.net.double) {
		times = 2
	}
	for range times {
		n.w.deliver(n, to, n.lag, func() {
			var m raftpb.Message
			if err := proto.Unmarshal(data, &m); err != nil {
				n.w.fail("unmarshal: %v", err)
			}
			to.in.Messages = append(to.in.Messages, raftnode.PeerMessage{From: n.id, Message: &m})
		})
	}
}

func (n *node) sendPayload(id raftnode.NodeID, payload []byte) bool {
	to := n.w.node(id)
	if to == nil || !n.up {
		return false
	}
	payload = append([]byte(nil), payload...)
	times := 1
	if n.w.chance(n.w.net.double) {
		times = 2
	}
	for range times {
		n.w.deliver(n, to, n.lag, func() {
			to.in.Payloads = append(to.in.Payloads, raftnode.PeerPayload{From: n.id, Payload: payload})
		})
	}
	return true
}

// SendSnapshot implements raftnode.Outbox.
func (n *node) SendSnapshot(m *raftpb.Message, open func() (io.ReadCloser, error)) {
	to, index, run := n.w.node(raftnode.NodeID(m.GetTo())), m.GetSnapshot().GetMetadata().GetIndex(), n.run
	done := func(err error) {
		n.w.after(n.w.delay(), func() {
			if n.run == run && n.up {
				n.in.SnapshotsSent = append(n.in.SnapshotsSent, raftnode.SnapshotResult{To: raftnode.NodeID(m.GetTo()), Index: index, Err: err})
				n.wake(0)
			}
		})
	}
	r, err := open()
	if err != nil || to == nil {
		done(fmt.Errorf("open: %v", err))
		return
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		done(err)
		return
	}
	data, err := proto.Marshal(m)
	if err != nil {
		done(err)
		return
	}
	sent := n.w.now
	n.w.after(n.lag+n.w.between(time.Millisecond, 200*time.Millisecond), func() {
		toRun := to.run
		if !to.up || n.w.cut[[2]raftnode.NodeID{n.id, to.id}] {
			done(fmt.Errorf("the link broke"))
			return
		}
		var m raftpb.Message
		if err := proto.Unmarshal(data, &m); err != nil {
			n.w.fail("unmarshal: %v", err)
		}
		path, err := raftnode.Spool(to.fs, "cell", clusterID, groupID, &m, bytes.NewReader(content))
		if to.run != toRun {
			n.w.after(n.w.between(50*time.Millisecond, 2*time.Second), to.restart)
			done(fmt.Errorf("the receiver crashed"))
			return
		}
		if err != nil {
			done(err)
			return
		}
		n.w.tell("node %v sent a snapshot at %d to node %v, begun at %v", n.id, index, to.id, sent)
		n.w.sometimes("snapshot sent")
		to.in.Snapshots = append(to.in.Snapshots, raftnode.ReceivedSnapshot{From: n.id, Message: &m, Path: path, Done: done})
		to.wake(0)
	})
}

// output takes what applying entries gave on this node, to tell the sessions
// that are attached here.
func (n *node) output(out machine.Output) {
	if !n.up {
		return // the state is still being restored
	}
	for _, e := range out.Events {
		c := n.attached[e.Session]
		if c == nil {
			continue
		}
		n.toClient(c, func() { c.told(e) })
	}
}

// restored: events may have been missed, so everybody has to ask again.
func (n *node) restored() {
	for id, c := range n.attached {
		if c.session != id {
			delete(n.attached, id)
		}
	}
	clear(n.attached)
	n.w.sometimes("snapshot restored")
}

// toClient lets something reach a client, unless its link is cut meanwhile.
func (n *node) toClient(c *client, do func()) {
	run := n.run
	n.w.after(n.lag+n.w.delay(), func() {
		if n.run == run && !c.cut[n.id] {
			c.receive(do)
		}
	})
}

func (w *world) node(id raftnode.NodeID) *node {
	if id < 1 || int(id) > len(w.nodes) {
		return nil
	}
	return w.nodes[id-1]
}

// deliver lets a message reach a node some time later, or never.
func (w *world) deliver(from, to *node, lag time.Duration, put func()) {
	if w.chance(w.net.loss) {
		return
	}
	run := to.run
	w.after(lag+w.delay(), func() {
		if to.run != run || !to.up || w.cut[[2]raftnode.NodeID{from.id, to.id}] {
			return
		}
		if len(to.in.Messages) > 4096 {
			return // its socket buffers are full
		}
		put()
		to.wake(0)
	})
}
