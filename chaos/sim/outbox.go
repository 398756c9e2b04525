package sim

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/conch-lock/conch/raftnode"
)

// promises tells whether a message lets others count on what is on the disk.
func promises(m *raftpb.Message) bool {
	switch m.GetType() {
	case raftpb.MsgAppResp, raftpb.MsgVoteResp, raftpb.MsgPreVoteResp:
		return true
	}
	return false
}

// Send implements raftnode.Outbox.
func (n *node) Send(m *raftpb.Message) {
	if !n.up {
		return
	}
	if promises(m) {
		n.w.check(FailStop, n.broken.promise())
		if n.promised && n.reach(beforeSend) {
			n.w.sometimes(crashedBeforeSend)
			if m.GetType() == raftpb.MsgVoteResp && !m.GetReject() {
				n.w.sometimes(crashedVoting)
			}
			return
		}
		n.promised = false
		n.vouch(m)
	} else if n.promised && (m.GetType() == raftpb.MsgVote) && n.reach(beforeSend) {
		n.w.sometimes(crashedVoting)
		return
	}
	to := n.w.node(raftnode.NodeID(m.GetTo()))
	if to == nil {
		return
	}
	n.w.mix(uint64(m.GetType())<<48 ^ m.GetIndex() ^ m.GetTerm()<<24 ^ m.GetTo()<<60)
	after, times := n.w.net.arrivals()
	if times == 0 {
		n.w.net.stale(n.w.now, staleAfter, m) // lost, which is no better
	}
	for _, d := range after[:times] {
		n.w.net.stale(n.w.now, n.lag+d, m)
		n.w.later(n.lag+d, n.w.net.letter(wayTo(n, to), m))
	}
}

// vouch holds a promise against those that the node made before, in this or an
// earlier process.
func (n *node) vouch(m *raftpb.Message) {
	vote := raftnode.NodeID(0)
	switch {
	case m.GetType() == raftpb.MsgPreVoteResp:
		return // it counts on nothing
	case m.GetType() == raftpb.MsgVoteResp && !m.GetReject():
		vote = raftnode.NodeID(m.GetTo())
	}
	n.w.check(Raft, n.w.witness.raft.promised(n.id, m.GetTerm(), vote))
}

func (n *node) sendPayload(id raftnode.NodeID, payload []byte) bool {
	to := n.w.node(id)
	if to == nil || !n.up {
		return false
	}
	after, times := n.w.net.arrivals()
	for _, d := range after[:times] {
		n.w.later(n.lag+d, &packet{wayTo(n, to), bytes.Clone(payload)})
	}
	return true
}

// packet is a payload on its way.
type packet struct {
	way
	payload []byte
}

// happen lets it arrive.
func (p *packet) happen() {
	if p.leads() {
		p.to.in.Payloads = append(p.to.in.Payloads, raftnode.PeerPayload{From: p.from.id, Payload: p.payload})
		p.to.wake(0)
	}
}

// SendSnapshot implements raftnode.Outbox.
func (n *node) SendSnapshot(m *raftpb.Message, open func() (io.ReadCloser, error)) {
	to, index, run := n.w.node(raftnode.NodeID(m.GetTo())), m.GetSnapshot().GetMetadata().GetIndex(), n.run
	done := func(err error) {
		n.w.after(n.w.net.delay(), func() {
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
	if !n.up {
		return // it crashed at reading the file
	}
	n.w.after(n.lag+between(n.w.net.rng, time.Millisecond, 200*time.Millisecond), func() {
		if !to.up || to.retired || n.w.isCut(n.id, to.id) {
			done(fmt.Errorf("the link broke"))
			return
		}
		n.receiveSnapshot(to, index, data, content, done)
	})
}

// receiveSnapshot spools a snapshot at its receiver.
func (n *node) receiveSnapshot(to *node, index uint64, data, content []byte, done func(error)) {
	var m raftpb.Message
	if err := proto.Unmarshal(data, &m); err != nil {
		n.w.fail(Harness, "unmarshal: %v", err)
	}
	if len(to.in.Snapshots) > 0 {
		done(fmt.Errorf("another snapshot is being received"))
		return
	}
	run := to.run
	path, err := raftnode.Spool(to.fs, "cell", clusterID, groupID, &m, bytes.NewReader(content))
	if to.run != run {
		done(fmt.Errorf("the receiver crashed"))
		return
	}
	if err != nil {
		done(err)
		return
	}
	n.w.tell("node %v sent a snapshot at %d to node %v", n.id, index, to.id)
	n.w.sometimes(snapshotSent)
	to.in.Snapshots = append(to.in.Snapshots, raftnode.ReceivedSnapshot{From: n.id, Message: &m, Path: path, Done: done})
	to.wake(0)
}

// Flush implements raftnode.Outbox: what Send takes is on its way.
func (n *node) Flush() {}
