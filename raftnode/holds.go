package raftnode

import (
	"fmt"
	"io"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/conch-lock/conch/internal/planted"
)

// hold keeps the log from a snapshot's index on while a follower gets that snapshot: otherwise the entries after it could
// be gone when the follower has restored it, it would need a newer snapshot, and so on without end.
type hold struct {
	index uint64
	sent  bool          // the follower has the file
	until time.Duration // when sent
}

// sendSnapshot sends the snapshot raft speaks of in m.
func (r *Replica) sendSnapshot(m *raftpb.Message) {
	to, index := NodeID(m.GetTo()), m.GetSnapshot().GetMetadata().GetIndex()
	r.holds[to] = hold{index: index}
	fs, meta := r.cfg.FS, r.metaOf(m.GetSnapshot())
	path := ""
	for _, f := range r.files {
		if f.index == index {
			path = f.path
		}
	}
	r.cfg.Logger.Info().Stringer("to", to).Uint64("index", index).Msg("a snapshot is sent")
	r.cfg.Outbox.SendSnapshot(m, func() (io.ReadCloser, error) {
		if path == "" {
			return nil, fmt.Errorf("raftnode: there is no snapshot at index %d any more", index)
		}
		return openStream(fs, path, meta)
	})
}

// snapshotSent takes notice of how sending a snapshot ended.
func (r *Replica) snapshotSent(now time.Duration, s SnapshotResult) {
	h, ok := r.holds[s.To]
	if !ok || h.index != s.Index {
		return
	}
	if s.Err != nil {
		r.cfg.Logger.Warn().Stringer("to", s.To).Uint64("index", s.Index).Err(s.Err).Msg("a snapshot was not received")
		delete(r.holds, s.To)
		if !planted.On(planted.SnapshotFailureUnreported) {
			r.node.ReportSnapshot(uint64(s.To), raft.SnapshotFailure)
		}
		return
	}
	h.sent, h.until = true, now+r.cfg.Tuning.SnapshotHold
	r.holds[s.To] = h
	r.node.ReportSnapshot(uint64(s.To), raft.SnapshotFinish)
}

// releaseHolds forgets the holds that have served their purpose.
func (r *Replica) releaseHolds(now time.Duration) {
	if len(r.holds) == 0 {
		return
	}
	r.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		h, ok := r.holds[NodeID(id)]
		if ok && h.sent && p.State == tracker.StateReplicate && p.Match >= h.index {
			delete(r.holds, NodeID(id))
		}
	})
	for id, h := range r.holds {
		if h.sent && now >= h.until {
			delete(r.holds, id)
		}
	}
}

// heldFrom returns the index from which on the log must stay, at most limit.
func (r *Replica) heldFrom(limit uint64) uint64 {
	for _, h := range r.holds {
		limit = min(limit, h.index)
	}
	return limit
}
