package raftnode

import (
	"errors"
	"fmt"
	"io"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/conch-lock/conch/raftnode/snapshot"
)

// receiveSnapshot hands a snapshot that is on disk to raft. Raft decides whether this replica needs it; when it does, it
// is installed before this returns, and when not, its file is removed.
func (r *Replica) receiveSnapshot(now time.Duration, s ReceivedSnapshot) error {
	if s.Message.GetType() != raftpb.MsgSnap || !r.checked(s.From, s.Message) {
		r.answer(s, fmt.Errorf("%w: the snapshot of node %v was refused", ErrBadMessage, s.From))
		return r.discard(s)
	}
	// What came before it is dealt with first, so that the next Ready tells what became of the snapshot.
	for r.node.HasReady() {
		if err := r.handle(now, r.node.Ready()); err != nil {
			r.answer(s, err)
			return err
		}
	}
	r.incoming = &s
	_ = r.node.Step(s.Message)
	if r.node.HasReady() {
		if err := r.handle(now, r.node.Ready()); err != nil {
			r.answer(s, err)
			return err
		}
	}
	installed := r.incoming == nil
	r.incoming = nil
	r.answer(s, nil)
	if installed {
		return nil
	}
	return r.discard(s)
}

func (r *Replica) answer(s ReceivedSnapshot, err error) {
	if s.Done != nil {
		s.Done(err)
	}
}

// discard removes the file of a snapshot that is not wanted. It has a name of its own, so that it is not one that this
// replica has or writes.
func (r *Replica) discard(s ReceivedSnapshot) error {
	return r.remove([]snapshotFile{{path: s.Path}})
}

// adopt makes a received snapshot that raft wants one of this replica's, before the log is marked at it.
func (r *Replica) adopt(s *raftpb.Snapshot) error {
	index := s.GetMetadata().GetIndex()
	if r.incoming == nil || r.incoming.Message.GetSnapshot().GetMetadata().GetIndex() != index {
		return fmt.Errorf("raft wants to install a snapshot at index %d that did not come", index)
	}
	file, err := snapshot.Adopt(r.cfg.FS, r.incoming.Path)
	if err != nil {
		return fmt.Errorf("take over a snapshot: %w", err)
	}
	r.incoming.Path = file
	return nil
}

// install makes a received snapshot, which the log has marked as its beginning, the state of this replica.
func (r *Replica) install(s *raftpb.Snapshot) error {
	meta, in := s.GetMetadata(), r.incoming
	r.incoming = nil
	r.abortSnapshot()
	if err := r.load(in.Path, meta.GetIndex(), meta.GetTerm()); err != nil {
		return err
	}
	r.log.install(raftSnapshot(meta.GetIndex(), meta.GetTerm(), r.members))
	r.log.lacking = false
	r.role = r.restingRole()
	r.cfg.Logger.Info().Uint64("index", meta.GetIndex()).Msg("a snapshot was installed")
	if r.cfg.MembersChanged != nil {
		r.cfg.MembersChanged(r.members.members())
	}
	return r.addFile(snapshotFile{meta.GetIndex(), meta.GetTerm(), in.Path})
}

// load restores the machine and the members from a snapshot file.
func (r *Replica) load(path string, index, term uint64) error {
	f, err := snapshot.Open(r.cfg.FS, path)
	if err != nil {
		return fmt.Errorf("open a snapshot: %w", err)
	}
	defer f.Close()
	m := f.Meta()
	if m.Index != index || m.Term != term || m.Cluster != r.cfg.Cluster || m.Group != uint64(r.cfg.Group) {
		return fmt.Errorf("snapshot %s is of index %d, term %d, cluster %x, group %x: expected were %d, %d, %x, %x",
			path, m.Index, m.Term, m.Cluster, m.Group, index, term, r.cfg.Cluster, uint64(r.cfg.Group))
	}
	members, err := decodeMembership(m.Conf)
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", path, err)
	}
	if err := r.cfg.Machine.Restore(f, index, term); err != nil {
		return fmt.Errorf("restore the state from %s: %w", path, err)
	}
	// The whole is checked only when its end is reached.
	if _, err := io.Copy(io.Discard, f); err != nil {
		return fmt.Errorf("restore the state from %s: %w", path, err)
	}
	if i, t := r.cfg.Machine.Applied(); i != index || t != term {
		return errors.New("the machine restored from a snapshot does not say that it stands there")
	}
	r.members, r.applied, r.appliedTerm, r.since = members, index, term, 0
	return nil
}

// raftSnapshot describes a snapshot to raft. Its data are the members, as in the file; the content goes its own way.
func raftSnapshot(index, term uint64, m membership) *raftpb.Snapshot {
	return &raftpb.Snapshot{
		Data:     m.encode(),
		Metadata: &raftpb.SnapshotMetadata{ConfState: m.conf, Index: &index, Term: &term},
	}
}

// metaAt is what a snapshot file says about itself.
func (r *Replica) metaAt(index, term uint64, m membership) snapshot.Meta {
	return snapshot.Meta{Index: index, Term: term, Conf: m.encode(), Cluster: r.cfg.Cluster, Group: uint64(r.cfg.Group)}
}

func (r *Replica) metaOf(s *raftpb.Snapshot) snapshot.Meta {
	return metaOf(r.cfg.Cluster, r.cfg.Group, s)
}

// metaOf is what the file of a snapshot says about itself, taken from what raft says about it.
func metaOf(cluster uint64, group GroupID, s *raftpb.Snapshot) snapshot.Meta {
	return snapshot.Meta{
		Index: s.GetMetadata().GetIndex(), Term: s.GetMetadata().GetTerm(),
		Conf: s.GetData(), Cluster: cluster, Group: uint64(group),
	}
}
