package raftnode

import (
	"fmt"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// transfer is a hand-over of leadership under way.
type transfer struct {
	to       NodeID
	done     func(error)
	deadline time.Duration
}

// beginTransfer starts to hand leadership over.
func (r *Replica) beginTransfer(now time.Duration, req TransferRequest) {
	to := req.To
	if to == 0 {
		to = r.bestSuccessor()
	}
	switch {
	case r.role != Leader:
		req.Done(ErrNotLeader)
	case to == r.cfg.Node:
		req.Done(nil)
	case r.transfer != nil:
		req.Done(fmt.Errorf("%w (to %v)", ErrTransferInProgress, r.transfer.to))
	case !r.members.voter(to):
		req.Done(fmt.Errorf("%w: %v is no voter of the group", ErrTransferFailed, to))
	default:
		// Raft gives up after one election time; one more for the news to arrive.
		r.transfer = &transfer{to, req.Done, now + 2*r.electionTime()}
		r.node.TransferLeader(uint64(to))
	}
}

// bestSuccessor is the other voter that has most of the log, of those heard of lately; 0 when there is none.
func (r *Replica) bestSuccessor() NodeID {
	var best NodeID
	var match uint64
	r.node.WithProgress(func(id uint64, kind raft.ProgressType, p tracker.Progress) {
		if id != uint64(r.cfg.Node) && kind == raft.ProgressTypePeer && p.RecentActive && p.Match > match {
			best, match = NodeID(id), p.Match
		}
	})
	return best
}

// checkTransfer ends the hand-over when its outcome is known.
func (r *Replica) checkTransfer(now time.Duration) {
	t := r.transfer
	if t == nil {
		return
	}
	switch {
	case r.leader == t.to:
		r.transfer = nil
		t.done(nil)
	case r.role != Leader && r.leader != 0:
		r.transfer = nil
		t.done(fmt.Errorf("%w: %v leads instead of %v", ErrTransferFailed, r.leader, t.to))
	case now >= t.deadline:
		r.transfer = nil
		t.done(fmt.Errorf("%w: %v did not take over in time", ErrTransferFailed, t.to))
	}
}
