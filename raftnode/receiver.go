package raftnode

import (
	"fmt"
	"io"

	"go.etcd.io/raft/v3/raftpb"
)

// ReceiveMessage implements Receiver.
func (h *Host) ReceiveMessage(group GroupID, from NodeID, m *raftpb.Message) {
	h.mu.Lock()
	g, alone := h.groups[group], len(h.groups) == 1
	h.mu.Unlock()
	if g != nil {
		if g.inbox.message(PeerMessage{From: from, Message: m, At: h.now()}) == nil { // lost when there is no room, as on a network
			g.hand(alone)
		}
	}
}

// ReceivePayload implements Receiver.
func (h *Host) ReceivePayload(group GroupID, from NodeID, payload []byte) {
	if g := h.Group(group); g != nil {
		_ = g.inbox.payload(PeerPayload{from, payload}) // lost when there is no room, as on a network
	}
}

// ReceiveSnapshot implements Receiver.
func (h *Host) ReceiveSnapshot(group GroupID, from NodeID, m *raftpb.Message, r io.Reader) error {
	g := h.Group(group)
	if g == nil {
		return fmt.Errorf("raftnode: node %v does not serve group %v", h.cfg.Identity.Node, group)
	}
	return g.receiveSnapshot(from, m, r)
}

// SnapshotSent implements Receiver.
func (h *Host) SnapshotSent(group GroupID, to NodeID, index uint64, err error) {
	if g := h.Group(group); g != nil {
		_ = g.inbox.put(func() error { // fails only when the group has ended
			g.inbox.in.SnapshotsSent = append(g.inbox.in.SnapshotsSent, SnapshotResult{to, index, err})
			return nil
		})
	}
}

// Unreachable implements Receiver.
func (h *Host) Unreachable(group GroupID, to NodeID) {
	if g := h.Group(group); g != nil {
		_ = g.inbox.put(func() error { // fails only when the group has ended
			g.inbox.in.Unreachable = addNode(g.inbox.in.Unreachable, to)
			return nil
		})
	}
}

// PeerLost implements Receiver.
func (h *Host) PeerLost(node NodeID) {
	h.mu.Lock()
	groups := h.running()
	h.mu.Unlock()
	for _, g := range groups {
		_ = g.inbox.put(func() error { // fails only when the group has ended
			g.inbox.in.Lost = addNode(g.inbox.in.Lost, node)
			return nil
		})
	}
}
