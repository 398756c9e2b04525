package raftnode

import (
	"io"
	"time"
)

// Entry is one committed entry of the log.
type Entry struct {
	// Index is the entry's place in the log, starting at 1, without gaps.
	Index uint64
	// Term is the leader's term under which the entry was proposed.
	Term uint64
	// Data is the payload as proposed; nil for an entry of raft's own (a new leader's first entry, a change of members).
	// It is shared with the log: it must not be modified.
	Data []byte
}

// Machine is the replicated state machine of one group.
//
// The replica makes every call, one after the other, each seeing what the one before did, so a Machine needs no lock for
// them. A Machine must be deterministic: its state is a function of the entries applied and of nothing else.
type Machine interface {
	// Apply applies committed entries, in order and without gaps: the first follows Applied.
	// There is one call for all entries that became available together, and it includes raft's own entries (Data nil),
	// which change nothing but Applied. Entries must not be kept beyond the call unless copied; their Data may be.
	// A payload the machine cannot understand is the machine's to answer for: Apply has no error, since an entry that is
	// committed cannot be refused. A panic ends the process.
	Apply(entries []Entry)

	// Applied returns the index and term of the last entry applied or restored; zeros for a new machine.
	Applied() (index, term uint64)

	// Lead says that this replica leads in the given term and has applied an entry of that term, so that everything
	// committed before is applied too. From here on Propose is asked for payloads.
	Lead(term uint64)

	// Unlead says that this replica does not lead (any more) and that the leader it knows is the given one, 0 when none.
	// It is called whenever that changes, and before anything is applied that was committed after the loss: whoever
	// waits for a proposal made while leading has to be told that its outcome is unknown, unless it was seen applied.
	Unlead(leader NodeID)

	// Propose is asked once a turn, while leading, for the payloads to put in the log, each of at most maxBytes bytes;
	// nil for none. now is the time handed to the turn. The payloads belong to the replica from then on.
	// An empty payload is not allowed.
	Propose(now time.Duration, maxBytes int) [][]byte

	// Eager tells whether somebody on that node awaits what is committed, so that it must hear of commits at once. Others
	// hear with the next round, or Tuning.NewsDelay later: telling them apart costs both nodes two turns.
	Eager(node NodeID) bool

	// ProposalDropped gives a payload back that did not enter the log: nothing happened and nothing will.
	ProposalDropped(payload []byte)

	// Receive takes an application message sent to this group by another node with Group.Send. It may be lost, doubled
	// or late, as any message.
	Receive(from NodeID, payload []byte)

	// Snapshot returns the state as it is now, at Applied. The replica reads it a piece at a time while it goes on applying
	// entries, so the source must hold the state still for itself. At most one source is open at a time.
	Snapshot() SnapshotSource

	// Restore replaces the whole state by the content of a snapshot taken at the given index and term; Applied returns
	// these afterwards. An r without a single byte is the state of a new machine (with which every group begins, at
	// index 1). r checks what it reads: an error from it must be returned, and makes the replica stop.
	Restore(r io.Reader, index, term uint64) error
}

// SnapshotSource is a state held still while it is written out.
type SnapshotSource interface {
	// Next returns the next piece, of some 64 KiB at most, and whether it was the last. buf may be used for it; the piece
	// is valid until the following call. The pieces, put together, must be the same on every replica at that index.
	Next(buf []byte) (chunk []byte, done bool)
	// Close ends the source; it is called exactly once, after the last piece or earlier when the snapshot is given up.
	Close()
}
