package sim

import (
	"hash/crc64"
	"io"
	"time"

	"github.com/conch-lock/conch/coordinator/cell"
	"github.com/conch-lock/conch/raftnode"
)

// tap is the cell with a witness beside it.
type tap struct {
	*cell.Cell
	n *node
}

// Apply implements raftnode.Machine.
func (t tap) Apply(entries []raftnode.Entry) {
	n := t.n
	if !n.up {
		return // it crashed earlier in this turn
	}
	leads := n.leads()
	if n.reach(beforeApply) {
		n.w.sometimes(crashedBeforeApply)
		if leads {
			n.w.sometimes(leaderCrashedBeforeApply)
		}
		return
	}
	for _, e := range entries {
		n.w.witness.apply(n, e)
		if len(e.Data) > 0 && e.Term == n.term && n.unproven > 0 {
			n.unproven--
		}
	}
	t.Cell.Apply(entries)
	n.w.witness.compare(n)
	if n.reach(afterApply) {
		n.w.sometimes(crashedAfterApply)
	}
}

// Lead implements raftnode.Machine.
func (t tap) Lead(term uint64) {
	if !t.n.up {
		return
	}
	t.n.w.tell("node %v leads in term %d", t.n.id, term)
	t.n.term, t.n.unproven = term, 0
	t.n.w.witness.lead(t.n, term)
	t.Cell.Lead(term)
}

// Unlead implements raftnode.Machine.
func (t tap) Unlead(leader raftnode.NodeID) {
	if t.Cell.Leading() && t.n.unproven > 0 {
		t.n.w.sometimes(timeOfLostTerm)
	}
	t.Cell.Unlead(leader)
}

// Propose implements raftnode.Machine.
func (t tap) Propose(now time.Duration, most int) [][]byte {
	l := t.Cell.Propose(now, most)
	t.n.unproven += len(l)
	return l
}

// ProposalDropped implements raftnode.Machine.
func (t tap) ProposalDropped(payload []byte) {
	t.n.w.sometimes(proposalDropped)
	if full := t.n.replica.Status().Full; full > t.n.dropped {
		t.n.dropped = full
		t.n.w.sometimes(uncommittedFull)
	}
	t.n.unproven--
	t.Cell.ProposalDropped(payload)
}

// Snapshot implements raftnode.Machine.
func (t tap) Snapshot() raftnode.SnapshotSource {
	index, _ := t.Cell.Applied()
	return &tappedSource{SnapshotSource: t.Cell.Snapshot(), n: t.n, index: index, run: t.n.run}
}

// Restore implements raftnode.Machine.
func (t tap) Restore(r io.Reader, index, term uint64) error {
	if err := t.Cell.Restore(r, index, term); err != nil {
		return err
	}
	t.n.quorums = nil // what changed on the way to the snapshot is not seen here
	t.n.w.witness.restored(t.n, index)
	return nil
}

// tappedSource is a snapshot on its way to a file, whose bytes must be those of
// every other node at the same entry.
type tappedSource struct {
	raftnode.SnapshotSource
	n     *node
	index uint64
	run   int
	sum   uint64
}

// Next implements raftnode.SnapshotSource.
func (s *tappedSource) Next(buf []byte) ([]byte, bool) {
	if s.n.reach(inSnapshot) {
		s.n.w.sometimes(crashedInSnapshot)
	}
	piece, done := s.SnapshotSource.Next(buf)
	s.sum = crc64.Update(s.sum, crc, piece)
	if done && s.n.run == s.run {
		s.n.w.sometimes(snapshotTaken)
		if at, _ := s.n.cell.Applied(); at > s.index {
			s.n.w.sometimes(snapshotWithImages)
		}
		s.n.w.check(Snapshots, s.n.w.witness.snapshots.taken(s.n.id, s.index, s.sum))
	}
	return piece, done
}
