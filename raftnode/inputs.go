package raftnode

import (
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// Inputs is all that reached a replica since its last turn. Slices that are empty cost nothing.
type Inputs struct {
	// Synced is how long the log's syncs took in the turn before this one, 0 when nobody measured it. A leader whose disk
	// takes long, and longer than those of the others, hands over.
	Synced time.Duration
	// Messages are raft messages of peers, in the order of arrival. They are checked before raft sees them.
	Messages []PeerMessage
	// Payloads are application messages of peers.
	Payloads []PeerPayload
	// Snapshots are snapshots received and on disk.
	Snapshots []ReceivedSnapshot
	// SnapshotsSent tells how sending snapshots ended.
	SnapshotsSent []SnapshotResult
	// Unreachable are nodes to which a message was dropped.
	Unreachable []NodeID
	// Lost are nodes whose connection broke.
	Lost []NodeID
	// Reads are functions to call once everything committed before now has been applied here (nil), or with the reason
	// why that could not be established.
	Reads []func(error)
	// Transfers are requests to hand leadership over.
	Transfers []TransferRequest
	// Changes are requests to change the members.
	Changes []ChangeRequest
}

// PeerMessage is a raft message and the node it came from, as the connection vouches for it.
type PeerMessage struct {
	From    NodeID
	Message *raftpb.Message
	// At is when it arrived, 0 when nobody looked.
	At time.Duration
}

// PeerPayload is an application message and the node it came from.
type PeerPayload struct {
	From    NodeID
	Payload []byte
}

// ReceivedSnapshot is a snapshot file that Spool wrote and checked, with the message it came with.
type ReceivedSnapshot struct {
	From    NodeID
	Message *raftpb.Message
	// Path is the file in the group's incoming directory. The replica moves or removes it.
	Path string
	// Done is called with nil when raft has taken notice of the snapshot (it may have been out of date), or the reason
	// why not. Nil: nobody wants to know.
	Done func(error)
}

// SnapshotResult tells how sending a snapshot ended.
type SnapshotResult struct {
	To    NodeID
	Index uint64
	Err   error
}

// TransferRequest asks that leadership be handed over.
type TransferRequest struct {
	// To is the member to lead; 0: the voter that is furthest along.
	To NodeID
	// Done is called with nil when the node leads.
	Done func(error)
}

// Outputs tells the driver when the replica wants its next turn.
type Outputs struct {
	// Busy is set when there is work left that was put off so that this turn ends: take the next turn at once, with what
	// has arrived meanwhile.
	Busy bool
	// Next is when the next turn is due at the latest.
	Next time.Duration
	// Late is by how much this turn came later than the one before had asked for, when that was more than an election
	// takes: the node was paused or starved.
	Late time.Duration
}

// fail answers all requests that came too late.
func (in Inputs) fail(err error) {
	for _, done := range in.Reads {
		done(err)
	}
	for _, t := range in.Transfers {
		t.Done(err)
	}
	for _, c := range in.Changes {
		c.Done(err)
	}
	for _, s := range in.Snapshots {
		if s.Done != nil {
			s.Done(err)
		}
	}
}
