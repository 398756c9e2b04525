package raftnode

import (
	"errors"
	"fmt"
	"hash/fnv"
	"path"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/conch-lock/conch/raftnode/snapshot"
	"github.com/conch-lock/conch/raftnode/wal"
)

// The first snapshot of every group: the state of a new machine at index 1. It is the same on all initial members, so
// that they agree on the beginning without having spoken.
const (
	firstIndex = 1
	firstTerm  = 1
)

// open brings the replica's state up from its directory.
func (r *Replica) open() error {
	fs := r.cfg.FS
	for _, dir := range []string{r.logDir(), r.snapshotDir()} {
		if err := fs.MkdirAll(dir); err != nil {
			return fmt.Errorf("raftnode: make the directories of group %v: %w", r.cfg.Group, err)
		}
	}
	if err := snapshot.Clean(fs, r.snapshotDir()); err != nil {
		return fmt.Errorf("raftnode: clean %s: %w", r.snapshotDir(), err)
	}
	log, found, err := wal.Open(fs, r.logDir(), wal.Options{
		SegmentBytes: r.cfg.Tuning.SegmentBytes, Identity: r.logIdentity(), Background: r.cfg.Background,
	})
	if err != nil {
		return fmt.Errorf("raftnode: open the log of group %v: %w", r.cfg.Group, err)
	}
	r.wal = log
	if found.Torn > 0 {
		r.cfg.Logger.Info().Int64("bytes", found.Torn).Msg("a write that a crash interrupted was cut from the log")
	}
	if r.hard, err = parseHardState(found.State); err != nil {
		return err
	}
	if found.Base == 0 && r.cfg.Begun {
		return fmt.Errorf("raftnode: group %v has had data in %s, and its log is gone: what this node promised to others is lost with it, so it was not started. "+
			"Restore the directory from an intact copy of this very node's last state, or remove the node from the cluster and let it join again with an empty directory under a new name",
			r.cfg.Group, r.cfg.Dir)
	}
	if found.Base == 0 {
		return r.begin(found)
	}
	return r.resume(found)
}

// begun tells whether the replica has a beginning on disk; one that is about to join has none yet.
func (r *Replica) begun() bool { return len(r.files) > 0 }

// logIdentity tells the log of this group of this cluster from all others.
func (r *Replica) logIdentity() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%x/%x", r.cfg.Cluster, uint64(r.cfg.Group))
	return h.Sum64()
}

// begin starts a replica that has no snapshot yet.
func (r *Replica) begin(found wal.Contents) error {
	if len(found.Entries) > 0 {
		return fmt.Errorf("raftnode: the log of group %v has entries from %d on but no beginning", r.cfg.Group, found.Entries[0].Index)
	}
	if len(r.cfg.Initial) == 0 {
		// A new member of a running group: its leader will send a snapshot.
		r.members = membership{conf: &raftpb.ConfState{AutoLeave: new(bool)}}
		r.log = &memoryLog{state: r.hard}
		r.hard = newHardState(r.hard.GetTerm(), r.hard.GetVote(), 0)
		r.log.state = r.hard
		return nil
	}
	if r.hard.GetTerm() > firstTerm {
		return fmt.Errorf("raftnode: group %v was about to join a running group (it knows of term %d): it cannot begin a new one; start it without initial members, or with an empty directory",
			r.cfg.Group, r.hard.GetTerm())
	}
	members, err := newMembership(r.cfg.Initial)
	if err != nil {
		return err
	}
	if !members.voter(r.cfg.Node) {
		return fmt.Errorf("raftnode: this node, %v, is not among the initial members of group %v", r.cfg.Node, r.cfg.Group)
	}
	// 1. The snapshot; 2. the mark, and with it the state, in one frame. A crash between leaves a file that is written again.
	w, err := snapshot.Create(r.cfg.FS, r.snapshotDir(), r.metaAt(firstIndex, firstTerm, members))
	if err != nil {
		return fmt.Errorf("raftnode: begin group %v: %w", r.cfg.Group, err)
	}
	file, err := w.Commit()
	if err != nil {
		return fmt.Errorf("raftnode: begin group %v: %w", r.cfg.Group, err)
	}
	r.hard = newHardState(firstTerm, 0, firstIndex)
	err = r.wal.Append(wal.Batch{State: appendHardState(nil, r.hard), Mark: wal.Mark{Index: firstIndex, Term: firstTerm}, Sync: true})
	if err != nil {
		return fmt.Errorf("raftnode: begin group %v: %w", r.cfg.Group, err)
	}
	if err := r.load(file, firstIndex, firstTerm); err != nil {
		return fmt.Errorf("raftnode: begin group %v: %w", r.cfg.Group, err)
	}
	r.files = []snapshotFile{{firstIndex, firstTerm, file}}
	r.log = &memoryLog{state: r.hard}
	r.log.install(raftSnapshot(firstIndex, firstTerm, r.members))
	return nil
}

// resume starts a replica from its newest usable snapshot and the log.
func (r *Replica) resume(found wal.Contents) error {
	if err := r.findFiles(found.Base); err != nil {
		return err
	}
	used, err := r.loadNewest(found.Entries, found.Base)
	if err != nil {
		return err
	}
	r.log = newMemoryLog(found.Entries, used, raftSnapshot(used.index, used.term, r.members))
	// The commit index is written late, and a snapshot says as much; beyond the end of the log it means nothing.
	commit := min(max(r.hard.GetCommit(), r.applied), r.log.last())
	r.hard = newHardState(r.hard.GetTerm(), r.hard.GetVote(), commit)
	r.log.state = r.hard
	for _, e := range r.log.entries {
		if err := checkEntry(e); err != nil {
			return fmt.Errorf("raftnode: log of group %v, entry %d: %w", r.cfg.Group, e.GetIndex(), err)
		}
	}
	return nil
}

// findFiles lists the snapshots the log knows of. Younger ones were not marked before a crash; they are removed, because
// the log decides what happened.
func (r *Replica) findFiles(base uint64) error {
	list, err := snapshot.List(r.cfg.FS, r.snapshotDir())
	if err != nil {
		return fmt.Errorf("raftnode: list the snapshots of group %v: %w", r.cfg.Group, err)
	}
	for _, info := range list {
		file := path.Join(r.snapshotDir(), info.Name)
		if info.Index > base {
			if err := r.cfg.FS.Remove(file); err != nil {
				return fmt.Errorf("raftnode: remove a snapshot the log does not know: %w", err)
			}
			continue
		}
		r.files = append(r.files, snapshotFile{info.Index, info.Term, file})
	}
	return nil
}

// loadNewest restores the newest snapshot that is whole and from which the log goes on.
func (r *Replica) loadNewest(entries []wal.Entry, base uint64) (snapshotFile, error) {
	failures := []error{errors.New("there is none at or before that index from which the log goes on")}
	for i, f := range r.files {
		if f.index < base && (len(entries) == 0 || entries[0].Index > f.index+1) {
			break // there is a gap between this one and the log
		}
		err := r.load(f.path, f.index, f.term)
		if err == nil {
			rest := r.files[i:]
			r.files = slices.Clone(rest[:min(len(rest), keepSnapshots)])
			return f, r.remove(rest[len(r.files):])
		}
		var corrupt *snapshot.CorruptError
		if !errors.As(err, &corrupt) {
			return f, fmt.Errorf("raftnode: group %v: %w", r.cfg.Group, err)
		}
		r.cfg.Logger.Error().Err(err).Msg("a snapshot is damaged; trying an older one")
		failures = append(failures, err)
	}
	if len(failures) > 1 {
		failures = failures[1:]
	}
	return snapshotFile{}, fmt.Errorf("raftnode: group %v has no usable snapshot although its log begins at %d: %w",
		r.cfg.Group, base, errors.Join(failures...))
}

// newMemoryLog builds the log in memory from what is on disk. When there are entries from before the snapshot, they
// serve followers that lag.
func newMemoryLog(found []wal.Entry, used snapshotFile, s *raftpb.Snapshot) *memoryLog {
	l := &memoryLog{snapshot: s, base: used.index, baseTerm: used.term}
	if len(found) == 0 || found[len(found)-1].Index < used.index {
		return l
	}
	if found[0].Index <= used.index {
		// The first only tells the term before the second.
		l.base, l.baseTerm = found[0].Index, found[0].Term
		found = found[1:]
	}
	for _, e := range found {
		kind := raftpb.EntryType(e.Type)
		l.entries = append(l.entries, &raftpb.Entry{Index: new(e.Index), Term: new(e.Term), Type: &kind, Data: e.Data})
	}
	return l
}
