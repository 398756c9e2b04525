package raftnode

import (
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// round is what a leader proposed at one time.
type round struct {
	at    time.Duration
	bytes int
	last  uint64 // index of its last entry; 0: raft has not told yet
}

// propose asks the machine for payloads and hands them to raft, many at a time.
func (r *Replica) propose(now time.Duration) {
	if !r.leading || r.handingOver() || r.gathering(now) {
		return
	}
	limit := r.cfg.Tuning.MaxProposal
	var entries []*raftpb.Entry
	size := 0
	flush := func() {
		if len(entries) == 0 {
			return
		}
		m := &raftpb.Message{Type: raftpb.MsgProp.Enum(), From: new(uint64(r.cfg.Node)), Entries: entries}
		if r.node.Step(m) == nil {
			if r.round.at != now || r.round.last != 0 {
				r.round = round{at: now}
			}
			r.round.bytes += size
			entries, size = nil, 0
			return
		}
		if s := r.node.BasicStatus(); s.RaftState == raft.StateLeader && s.LeadTransferee == 0 {
			r.full++
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

// gathering tells whether what could be proposed had better wait: a round of many requests is under way, and all that
// comes until it is committed can share one write on every node, one message each way and one turn. Without this a busy
// leader makes many small rounds, each of which costs as much as a large one. The wait is bounded, since where the
// network is slow rounds have to overlap.
func (r *Replica) gathering(now time.Duration) bool {
	if r.log.last() >= r.hard.GetCommit()+maxRounds {
		return true
	}
	return r.round.bytes >= gatherBytes && now-r.round.at < r.cfg.Tuning.GatherTime &&
		r.hard.GetCommit() < r.round.last && r.node.BasicStatus().GetCommit() < r.round.last
}
