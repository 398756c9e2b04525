package raftnode

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// entryOverhead is what an entry takes on the wire beside its data, at most; it serves to bound messages.
const entryOverhead = 24

// memoryLog is the part of the log that raft reads: the entries since the last compaction, all of which are on disk too,
// and the description of the newest snapshot. It implements raft.Storage.
//
// Invariant: entries[i].Index == base+1+i. Entries are never modified, since raft and the peers' queues share them.
type memoryLog struct {
	state    *raftpb.HardState // as read at the start; raft asks once
	snapshot *raftpb.Snapshot  // newest one on disk, without its content; nil: none yet
	base     uint64            // index of the entry before the first
	baseTerm uint64
	entries  []*raftpb.Entry

	// lacking is set while a member is not in the newest snapshot yet, being newer: raft would refuse the snapshot there.
	lacking bool
	// wanted is set when a snapshot was asked for that could not be given.
	wanted bool
}

func (l *memoryLog) last() uint64 { return l.base + uint64(len(l.entries)) }

// InitialState implements raft.Storage.
func (l *memoryLog) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	conf := l.snapshot.GetMetadata().GetConfState()
	if conf == nil {
		conf = &raftpb.ConfState{}
	}
	return l.state, conf, nil
}

// Entries implements raft.Storage.
func (l *memoryLog) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	if lo <= l.base {
		return nil, raft.ErrCompacted
	}
	if hi > l.last()+1 || lo >= hi {
		return nil, raft.ErrUnavailable
	}
	all := l.entries[lo-l.base-1 : hi-l.base-1]
	n, size := 0, uint64(0)
	for n < len(all) {
		size += uint64(len(all[n].GetData())) + entryOverhead
		if n > 0 && size > maxSize {
			break
		}
		n++
	}
	return all[:n:n], nil
}

// Term implements raft.Storage.
func (l *memoryLog) Term(i uint64) (uint64, error) {
	switch {
	case i < l.base:
		return 0, raft.ErrCompacted
	case i == l.base:
		return l.baseTerm, nil
	case i > l.last():
		return 0, raft.ErrUnavailable
	}
	return l.entries[i-l.base-1].GetTerm(), nil
}

// LastIndex implements raft.Storage.
func (l *memoryLog) LastIndex() (uint64, error) { return l.last(), nil }

// FirstIndex implements raft.Storage.
func (l *memoryLog) FirstIndex() (uint64, error) { return l.base + 1, nil }

// Snapshot implements raft.Storage.
func (l *memoryLog) Snapshot() (*raftpb.Snapshot, error) {
	if l.snapshot == nil || l.lacking {
		l.wanted = true
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return l.snapshot, nil
}

// append adds entries that are on disk; they may replace the end of the log.
func (l *memoryLog) append(entries []*raftpb.Entry) {
	if len(entries) == 0 {
		return
	}
	keep := entries[0].GetIndex() - l.base - 1
	if keep < uint64(len(l.entries)) {
		// The old end may still be read by messages on their way: it must not be written over.
		l.entries = l.entries[:keep:keep]
	}
	l.entries = append(l.entries, entries...)
}

// install makes a received snapshot the beginning of the log and forgets every entry.
func (l *memoryLog) install(s *raftpb.Snapshot) {
	l.snapshot = s
	l.base, l.baseTerm = s.GetMetadata().GetIndex(), s.GetMetadata().GetTerm()
	l.entries = nil
}

// compact forgets the entries up to and with index.
func (l *memoryLog) compact(index uint64) {
	if index <= l.base || index > l.last() {
		return
	}
	rest := l.entries[index-l.base:]
	l.baseTerm = l.entries[index-l.base-1].GetTerm()
	l.base = index
	// A copy: the old array, with all it refers to, can go.
	l.entries = append(make([]*raftpb.Entry, 0, len(rest)+64), rest...)
}

// setSnapshot makes s the newest snapshot, and notes whether it knows all members.
func (l *memoryLog) setSnapshot(s *raftpb.Snapshot, now membership) {
	l.snapshot, l.wanted = s, false
	l.checkMembers(now)
}

// checkMembers notes whether the newest snapshot knows all members there are now.
func (l *memoryLog) checkMembers(now membership) {
	l.lacking = false
	then := membership{conf: l.snapshot.GetMetadata().GetConfState()}
	for _, m := range now.names {
		l.lacking = l.lacking || !then.has(m.ID)
	}
}

// trailing returns the index up to which the log can be compacted when some entries before index are to stay: at most
// count of them, and at most so many bytes.
func (l *memoryLog) trailing(index, count uint64, bytes int64) uint64 {
	for ; index > l.base && count > 0 && bytes > 0; count-- {
		bytes -= int64(len(l.entries[index-l.base-1].GetData())) + entryOverhead
		index--
	}
	return index
}
