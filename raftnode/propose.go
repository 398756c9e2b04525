package raftnode

import (
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// propose asks the machine for payloads and hands them to raft, many at a time.
func (r *Replica) propose(now time.Duration) {
	if !r.leading || r.transfer != nil {
		return
	}
	limit := r.cfg.Tuning.MaxProposal
	var entries []*raftpb.Entry
	size := 0
	flush := func() {
		m := &raftpb.Message{Type: raftpb.MsgProp.Enum(), From: new(uint64(r.cfg.Node)), Entries: entries}
		if len(entries) == 0 || r.node.Step(m) == nil {
			entries, size = nil, 0
			return
		}
		for _, e := range entries {
			r.cfg.Machine.ProposalDropped(e.GetData())
		}
		entries, size = nil, 0
	}
	for _, p := range r.cfg.Machine.Propose(now, limit) {
		if len(p) == 0 || len(p) > limit {
			r.cfg.Logger.Error().Int("bytes", len(p)).Int("allowed", limit).Msg("a proposal of no allowed size was dropped")
			r.cfg.Machine.ProposalDropped(p)
			continue
		}
		if size+len(p) > maxApplyBytes {
			flush()
		}
		entries = append(entries, &raftpb.Entry{Data: p})
		size += len(p)
	}
	flush()
}
