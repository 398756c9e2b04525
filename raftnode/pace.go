package raftnode

import (
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/conch-lock/conch/internal/planted"
)

// When a leader finds itself too slow to lead.
const (
	// slowSync is how long the log's syncs of a turn take at least that count as slow.
	slowSync = 50 * time.Millisecond
	// slowSyncs is by how many the slow ones must outnumber the others.
	slowSyncs = 10
	// slowPause is after what time at the earliest a leader that gave the lead away, and has it again, does so once more.
	// Where all are about as slow, the lead does not go round and round.
	slowPause = 30 * time.Second
)

// pace is a leader's account of how it keeps up with the others. All that is asked of a group waits for the leader's own
// turns, so that one with a disk that has become slow slows everybody down, although the others make a majority without
// it. As a follower it harms nobody.
type pace struct {
	at    time.Duration // when the last turn began,
	wrote uint64        // the last entry of its own that it wrote then, 0: it wrote none
	slow  int           // slow syncs more than others
	gave  time.Duration // when the lead was given away for it, 0: never
}

// judge looks at the turn before this one: how long the disk took, and whether a majority without this node had on its
// disks, in half the time, what it wrote.
func (r *Replica) judge(now time.Duration, in *Inputs) {
	p := &r.pace
	index := p.wrote
	p.wrote = 0
	if !r.leading {
		p.slow = 0
		return
	}
	if index == 0 {
		return
	}
	if in.Synced < slowSync || !r.members.majority(r.acknowledged(index, p.at, p.at+in.Synced/2, in.Messages)) {
		p.slow = max(p.slow-1, 0)
		return
	}
	if p.slow++; planted.On(planted.SlowLeaderStays) {
		return
	}
	if p.slow < slowSyncs || r.transfer != nil || p.gave != 0 && now-p.gave < slowPause {
		return
	}
	r.cfg.Logger.Warn().Dur("sync", in.Synced).Int("syncs", p.slow).
		Msg("this node leads and its disk is much slower than those of the others: it hands leadership over")
	p.slow, p.gave = 0, now
	r.beginTransfer(now, TransferRequest{Done: func(err error) {
		if err != nil {
			r.cfg.Logger.Warn().Err(err).Msg("leadership was not handed over")
		}
	}})
}

// acknowledged are the others whose word, that they have an entry that was sent at a certain time, came until another.
func (r *Replica) acknowledged(index uint64, sent, until time.Duration, messages []PeerMessage) map[NodeID]bool {
	who := map[NodeID]bool{}
	for _, p := range messages {
		m := p.Message
		if m.GetType() == raftpb.MsgAppResp && !m.GetReject() && m.GetIndex() >= index && m.GetTerm() == r.hard.GetTerm() &&
			p.At >= sent && p.At <= until && p.From != r.cfg.Node {
			who[p.From] = true
		}
	}
	return who
}
