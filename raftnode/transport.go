package raftnode

import (
	"io"

	"go.etcd.io/raft/v3/raftpb"
)

// Identity is who a node is: what it tells a peer first, and what its data directory says it belongs to.
type Identity struct {
	// Cluster is the number all nodes of one cluster share. Never 0.
	Cluster uint64
	// Node is this node's id. Never 0.
	Node NodeID
	// Name is the node's name, for people.
	Name string
	// Directory is the number of the node's data directory, drawn when that was new. The host fills it in.
	Directory uint64
}

// Transport carries messages to the other nodes of the cluster. It may lose, double, delay and reorder raft and
// application messages, but must never change one. All methods may be called at any time from any goroutine, and none
// waits for the network. The package raftnode/transport is the real one.
type Transport interface {
	// Flush sends what is queued, as far as that is possible without waiting, and has the rest sent by others.
	// Nothing that Send and SendPayload took need go out before.
	Flush()

	// Send queues a raft message for the node m.To of the group. The message is shared with the raft log: it must be
	// read only, and only until it is encoded. When the queue to that node is full, or it has no connection, the message
	// is dropped and Receiver.Unreachable is called. MsgSnap is never handed to Send.
	Send(group GroupID, m *raftpb.Message)

	// SendPayload queues an application message. It reports false, and nothing is sent, when the queue is full or the
	// node is unknown. The payload must not be modified afterwards.
	SendPayload(group GroupID, to NodeID, payload []byte) bool

	// SendSnapshot begins to send a snapshot to the node m.To, on a connection of its own: first m (a MsgSnap without
	// content), then all that the reader from open gives. It ends with exactly one call of Receiver.SnapshotSent,
	// whatever happens; at most one snapshot a node and group is under way, a second one fails at once.
	SendSnapshot(group GroupID, m *raftpb.Message, open func() (io.ReadCloser, error))

	// SetPeers replaces the addresses of the other nodes: connections to nodes that are gone are closed, and messages
	// from nodes not in the map are refused at the handshake, unless the map is empty (a node that was told of nobody
	// yet, because it is about to join, listens to every node of its cluster).
	SetPeers(addresses map[NodeID]string)

	// Close ends all connections and waits for every goroutine of the transport; no call of the Receiver is made afterwards.
	Close() error
}

// Receiver is what a Transport calls: implemented by Host. Its methods may be called from any goroutine. None of them
// blocks for long, except ReceiveSnapshot.
type Receiver interface {
	// ReceiveMessage takes a raft message for a group. from is the node the connection was authenticated for. The
	// receiver owns m. When the group's queue is full, or there is no such group, it is dropped.
	ReceiveMessage(group GroupID, from NodeID, m *raftpb.Message)

	// ReceivePayload takes an application message for a group; the receiver owns the payload.
	ReceivePayload(group GroupID, from NodeID, payload []byte)

	// ReceiveSnapshot takes a snapshot whose bytes come from r. It returns nil once the whole is on disk, checked, and
	// handed to raft; any error is to be sent back to the sending side, which hands it to its SnapshotSent.
	// It reads r to its end, so r needs a deadline for progress.
	ReceiveSnapshot(group GroupID, from NodeID, m *raftpb.Message, r io.Reader) error

	// SnapshotSent tells how SendSnapshot ended: nil when the other side answered that it has the snapshot.
	SnapshotSent(group GroupID, to NodeID, index uint64, err error)

	// Unreachable says that a message of the group to that node was dropped.
	Unreachable(group GroupID, to NodeID)

	// PeerLost says that an established connection to or from that node broke: it was closed or reset by the other side,
	// or refused when redialled. Silence is not a loss. It is the sign that the node's process ended, and lets its
	// followers look for a new leader at once, so it must be called as soon as it is known, once a connection.
	PeerLost(node NodeID)

	// Admit decides on a connection from that node, whose data directory has that number. It is called last in the
	// handshake, before anything else is taken from the connection, and waits for the disk. An error is told to the
	// node; one that wraps ErrOtherDirectory is its end, see Expelled.
	Admit(from NodeID, directory uint64) error

	// Expelled says that the Admit of another node refused this one with ErrOtherDirectory.
	Expelled(by NodeID, reason error)
}

// NewTransport makes the transport of a host, listening and ready. Calls of r may begin before it returns.
type NewTransport func(self Identity, r Receiver) (Transport, error)
