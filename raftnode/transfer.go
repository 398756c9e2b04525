package raftnode

import (
	"fmt"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// transfer is a hand-over of leadership under way. Raft takes no proposal from when it has begun until it is over, so it
// begins when the successor is there and nearly has the log: one that is cut off would stop the group for nothing.
type transfer struct {
	to       NodeID // 0 until it has begun: whoever is furthest along then
	begun    bool
	done     func(error)
	deadline time.Duration
}

// beginTransfer starts to hand leadership over.
func (r *Replica) beginTransfer(now time.Duration, req TransferRequest) {
	switch {
	case r.role != Leader:
		req.Done(ErrNotLeader)
	case req.To == r.cfg.Node:
		req.Done(nil)
	case r.transfer != nil:
		req.Done(ErrTransferInProgress)
	case req.To == 0 && !r.members.otherVoter(r.cfg.Node):
		req.Done(fmt.Errorf("%w: there is no other voter", ErrTransferFailed))
	case req.To != 0 && !r.members.voter(req.To):
		req.Done(fmt.Errorf("%w: %v is no voter of the group", ErrTransferFailed, req.To))
	default:
		r.transfer = &transfer{to: req.To, done: req.Done, deadline: now + 2*r.electionTime()}
		r.checkTransfer(now)
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

// checkTransfer begins the hand-over when it can, and ends it when its outcome is known.
func (r *Replica) checkTransfer(now time.Duration) {
	t := r.transfer
	switch {
	case t == nil:
	case r.role != Leader && r.leader != 0 && (r.leader == t.to || t.to == 0):
		r.endTransfer(nil)
	case r.role != Leader && r.leader != 0:
		r.endTransfer(fmt.Errorf("%w: %v leads instead of %v", ErrTransferFailed, r.leader, t.to))
	case r.role != Leader && !t.begun:
		r.endTransfer(fmt.Errorf("%w: this node lost the lead before it could, and knows of no leader", ErrTransferFailed))
	case t.begun && now >= t.deadline:
		r.endTransfer(fmt.Errorf("%w: %v did not take over in time", ErrTransferFailed, t.to))
	case !t.begun:
		to := t.to
		if to == 0 {
			to = r.bestSuccessor()
		}
		err := fmt.Errorf("%w: no other voter was heard of lately", ErrNotCaughtUp)
		if to != 0 {
			err = r.caughtUp(to)
		}
		switch {
		case err == nil:
			// Raft gives up after one election time; one more for the news to arrive.
			t.to, t.begun, t.deadline = to, true, now+2*r.electionTime()
			r.node.TransferLeader(uint64(to))
		case now >= t.deadline:
			r.endTransfer(fmt.Errorf("%w: %w", ErrTransferFailed, err))
		}
	}
}

// handingOver tells whether raft would drop a proposal now.
func (r *Replica) handingOver() bool {
	return r.transfer != nil && r.transfer.begun && r.node.BasicStatus().LeadTransferee != 0
}

func (r *Replica) endTransfer(err error) {
	done := r.transfer.done
	r.transfer = nil
	done(err)
}
