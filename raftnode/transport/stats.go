package transport

import (
	"sync/atomic"
	"time"

	"github.com/conch-lock/conch/raftnode"
)

// Stats is a picture of the transport, for metrics. Counters only grow, and
// count from the start of the process; those of a peer vanish with it.
type Stats struct {
	Peers []PeerStats // by node id

	Connections  int    // connections taken that are open now
	Accepted     uint64 // connections taken
	Limited      uint64 // connections closed at once because there were too many
	Refused      uint64 // connections that failed or were refused in the handshake
	Panics       uint64 // panics of the receiver
	ReceivedLost uint64 // bytes received on connections that never said who they were
}

// PeerStats is the part of Stats about one peer.
type PeerStats struct {
	ID      raftnode.NodeID
	Address string

	Connected bool          // the connection to the peer is ready
	Receiving bool          // a connection from the peer is open
	RoundTrip time.Duration // as last measured; 0: not yet

	QueuedMessages, QueuedBytes int // waiting to be written

	SentMessages, ReceivedMessages   uint64
	SentBytes, ReceivedBytes         uint64 // on the wire, snapshots included
	Flushes                          uint64 // batches written: messages a flush tell how well batching works
	Connects, DialFailures           uint64
	Broken, Silent                   uint64 // connections lost to the peer, by how
	DroppedFull, DroppedLost         uint64 // messages dropped: queue full; connection lost or never made
	DroppedTooLarge                  uint64
	SnapshotsSent, SnapshotsReceived uint64
	SnapshotsFailed                  uint64

	LastError string // why the last connection to it failed or was lost; empty when connected
}

// counters are those of one peer.
type counters struct {
	sentMessages, receivedMessages   atomic.Uint64
	sentBytes, receivedBytes         atomic.Uint64
	flushes                          atomic.Uint64
	connects, dialFailures           atomic.Uint64
	broken, silent                   atomic.Uint64
	droppedFull, droppedLost         atomic.Uint64
	droppedTooLarge                  atomic.Uint64
	snapshotsSent, snapshotsReceived atomic.Uint64
	snapshotsFailed                  atomic.Uint64
	roundTrip                        atomic.Int64 // nanoseconds
}
