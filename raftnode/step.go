package raftnode

import (
	"math/bits"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// step hands the messages of peers to raft, those that pass the check.
func (r *Replica) step(now time.Duration, messages []PeerMessage) {
	// certain is an index the log reaches whatever the messages so far did to its end: an append may replace it.
	certain := r.log.last()
	for _, p := range messages {
		m := p.Message
		if m.GetType() == raftpb.MsgSnap || !r.checked(p.From, m) || r.fromTheLost(now, p.From, m) {
			continue
		}
		switch m.GetType() {
		case raftpb.MsgApp:
			if n := uint64(len(m.GetEntries())); n > 0 {
				certain = min(certain, m.GetIndex()+n)
			}
		case raftpb.MsgHeartbeat:
			if m.GetCommit() > certain {
				// To know of fewer commits is always safe, and the next message tells the rest.
				m = proto.Clone(m).(*raftpb.Message)
				m.Commit = new(certain)
			}
		case raftpb.MsgReadIndex:
			if r.role == Leader && !r.leading {
				if r.parked++; r.parked > maxParked {
					continue // it is asked again
				}
			}
		}
		if r.deposed(p.From, m) {
			r.seek(now, p.From)
		}
		newer := m.GetType() == raftpb.MsgPreVoteResp && m.GetReject() && m.GetTerm() > r.hard.GetTerm()
		// Raft ignores what it does not want; nothing here depends on it.
		_ = r.node.Step(m)
		if newer {
			r.refusedForTerm(now)
		}
	}
}

// checked tells whether a message can be given to raft; one that cannot is counted, and logged, ever more rarely.
func (r *Replica) checked(from NodeID, m *raftpb.Message) bool {
	err := messageCheck{
		self: r.cfg.Node, term: r.hard.GetTerm(), last: r.log.last(), heartbeat: r.heartbeat, members: r.members,
	}.check(from, m)
	if err == nil {
		return true
	}
	r.refused++
	if bits.OnesCount64(r.refused) == 1 {
		r.cfg.Logger.Warn().Err(err).Uint64("refused", r.refused).Msg("a message was refused")
	}
	return false
}
