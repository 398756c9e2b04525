package main

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
)

const (
	clusterID = 99
	groupID   = raftnode.GroupID(1)
	folder    = "cell"
	nodes     = 3
)

// node is a replica on a disk of its own, or the disk alone.
type node struct {
	c       *cluster
	id      raftnode.NodeID
	fs      *disk.Mem
	boot    uint32
	cell    *cell.Cell
	replica *raftnode.Replica // nil: it is down
	in      raftnode.Inputs
	refused error // why it did not start
	died    error // why it stopped
	cut     bool  // from all others
}

// start starts it from its disk.
func (n *node) start() {
	n.boot++
	n.in = raftnode.Inputs{}
	n.cell = cell.New(cell.Config{
		Self: n.id, Boot: n.boot, Limits: machine.Limits{Sessions: 100, Claims: 100, Waiters: 100, Store: store.Options{KeepRevisions: 60}},
		Wall:       func() int64 { return int64(n.c.now / time.Millisecond) },
		Send:       n.sendPayload,
		Output:     func(machine.Output) {},
		Leadership: func(raftnode.NodeID) {},
		Restored:   func() {},
	})
	var initial []raftnode.Member
	for i := range nodes {
		initial = append(initial, raftnode.Member{ID: raftnode.NodeID(i + 1), Name: fmt.Sprint("n", i+1), Address: fmt.Sprint("n", i+1, ":1")})
	}
	n.replica, n.refused = raftnode.NewReplica(raftnode.ReplicaConfig{
		Cluster: clusterID, Group: groupID, Node: n.id, FS: n.fs, Dir: folder, Initial: initial, Begun: n.c.begun,
		Machine: n.cell, Outbox: n,
		Tuning: raftnode.Tuning{SnapshotEntries: 40, SnapshotBytes: 1 << 20, SnapshotSlices: 1, TrailingEntries: 10, SegmentBytes: 16 << 10},
		Rand:   rand.New(rand.NewPCG(n.c.rng.Uint64(), 3)),
		Logger: zerolog.Nop(),
	})
	if n.refused != nil {
		n.replica = nil
		n.cell.Machine().Close()
	}
}

func (n *node) stop() {
	if n.replica != nil {
		_ = n.replica.Close()
		n.down()
	}
}

func (n *node) down() {
	n.replica = nil
	n.cell.Machine().Close()
}

// turn gives it a turn with what has arrived.
func (n *node) turn() {
	if n.replica == nil {
		return
	}
	in := n.in
	n.in = raftnode.Inputs{}
	n.cell.Sweep(n.c.now)
	if _, err := n.replica.Turn(n.c.now, in); err != nil {
		n.died = err
		_ = n.replica.Close()
		n.down()
	}
}

// reaches says whether messages get through to another node.
func (n *node) reaches(id raftnode.NodeID) *node {
	if id < 1 || id > nodes {
		return nil
	}
	to := n.c.nodes[id-1]
	if to.replica == nil || to.cut || n.cut {
		return nil
	}
	return to
}

// Send implements raftnode.Outbox.
func (n *node) Send(m *raftpb.Message) {
	to := n.reaches(raftnode.NodeID(m.GetTo()))
	if to == nil {
		return
	}
	to.in.Messages = append(to.in.Messages, raftnode.PeerMessage{From: n.id, Message: copied(m)})
}

// Flush implements raftnode.Outbox: nothing waits for it.
func (n *node) Flush() {}

// copied is what the network makes of a message: the bytes, and a new one of them.
func copied(m *raftpb.Message) *raftpb.Message {
	data, err := proto.Marshal(m)
	var out raftpb.Message
	if err == nil {
		err = proto.Unmarshal(data, &out)
	}
	if err != nil {
		panic(fmt.Sprintf("damage: a message of raft: %v", err))
	}
	return &out
}

func (n *node) sendPayload(id raftnode.NodeID, payload []byte) bool {
	to := n.reaches(id)
	if to == nil {
		return false
	}
	to.in.Payloads = append(to.in.Payloads, raftnode.PeerPayload{From: n.id, Payload: bytes.Clone(payload)})
	return true
}

// SendSnapshot implements raftnode.Outbox.
func (n *node) SendSnapshot(m *raftpb.Message, open func() (io.ReadCloser, error)) {
	done := func(err error) {
		n.in.SnapshotsSent = append(n.in.SnapshotsSent, raftnode.SnapshotResult{
			To: raftnode.NodeID(m.GetTo()), Index: m.GetSnapshot().GetMetadata().GetIndex(), Err: err,
		})
	}
	r, err := open()
	if err != nil {
		done(err)
		return
	}
	defer r.Close()
	to := n.reaches(raftnode.NodeID(m.GetTo()))
	if to == nil {
		done(fmt.Errorf("node %d is not to be reached", m.GetTo()))
		return
	}
	path, err := raftnode.Spool(to.fs, folder, clusterID, groupID, copied(m), r)
	if err != nil {
		done(err)
		return
	}
	to.in.Snapshots = append(to.in.Snapshots, raftnode.ReceivedSnapshot{From: n.id, Message: copied(m), Path: path, Done: done})
}
