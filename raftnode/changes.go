package raftnode

import (
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// ChangeKind is what a change does with a member.
type ChangeKind int

const (
	// AddLearner adds a node without a vote, which then receives the log. The first step for every new node.
	AddLearner ChangeKind = iota + 1
	// Promote gives a learner that has caught up its vote.
	Promote
	// Remove takes a member out. Its id can never be used again. When it is complete the node may be switched off and its
	// data destroyed, not before. A leader that takes itself out cannot know that: whoever leads next is asked again, and
	// says so of a member that was removed already.
	Remove
)

// String names the kind.
func (k ChangeKind) String() string {
	switch k {
	case AddLearner:
		return "add learner"
	case Promote:
		return "promote"
	case Remove:
		return "remove"
	}
	return fmt.Sprintf("change %d", int(k))
}

// ChangeRequest asks for one change of members. One is under way at a time; every change goes through joint consensus.
type ChangeRequest struct {
	Kind ChangeKind
	// Member is whom it is about; Name and Address matter for AddLearner only.
	Member Member
	// Done is called with nil when the change is complete. ErrUnknownOutcome leaves open whether it happened.
	Done func(error)
}

// change is a change this replica proposed and waits for.
type change struct {
	number   uint64 // in the entry, to know it again
	applied  bool   // the change itself; it ends when the joint configuration is left, and a majority knows that
	asked    bool   // an entry was proposed that tells them
	done     func(error)
	deadline time.Duration
}

// beginChange proposes a change of members.
func (r *Replica) beginChange(now time.Duration, req ChangeRequest) {
	if err := r.mayChange(req); err != nil {
		req.Done(err)
		return
	}
	r.change = &change{done: req.Done, deadline: now + r.cfg.Tuning.ChangeTimeout}
	if req.Kind == Remove && r.members.wasRemoved(req.Member.ID) {
		r.change.applied = true
		return
	}
	if err := r.proposeChange(req); err != nil {
		r.endChange(err)
	}
}

func (r *Replica) proposeChange(req ChangeRequest) error {
	kind := raftpb.ConfChangeAddLearnerNode
	switch req.Kind {
	case Promote:
		kind = raftpb.ConfChangeAddNode
	case Remove:
		kind = raftpb.ConfChangeRemoveNode
	}
	number := r.cfg.Rand.Uint64()
	cc := &raftpb.ConfChangeV2{
		Transition: raftpb.ConfChangeTransitionJointImplicit.Enum(),
		Changes:    []*raftpb.ConfChangeSingle{{Type: kind.Enum(), NodeId: new(uint64(req.Member.ID))}},
		Context:    encodeChangeContext(number, req.Member),
	}
	if err := possible(r.members.conf, cc); err != nil {
		return fmt.Errorf("%w: %v %v: %w", ErrBadChange, req.Kind, req.Member.ID, err)
	}
	if err := r.node.ProposeConfChange(cc); err != nil {
		return fmt.Errorf("%w: %v %v: %w", ErrBusy, req.Kind, req.Member.ID, err)
	}
	r.change.number = number
	return nil
}

// mayChange tells why a change cannot be begun.
func (r *Replica) mayChange(req ChangeRequest) error {
	id := req.Member.ID
	switch {
	case !r.leading:
		return ErrNotLeader
	case r.change != nil || r.members.joint():
		return ErrChangeInProgress
	case r.transfer != nil:
		return ErrTransferInProgress
	}
	switch req.Kind {
	case AddLearner:
		if err := req.Member.validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrBadChange, err)
		}
		if r.members.has(id) {
			return fmt.Errorf("%w: %v is a member already", ErrBadChange, id)
		}
		if r.members.wasRemoved(id) {
			return fmt.Errorf("%w: %v was a member once and was removed; a node comes back under a new id, with an empty data directory", ErrBadChange, id)
		}
		if len(r.members.names) >= maxMembers || len(r.members.removed) >= maxRemoved {
			return fmt.Errorf("%w: %d members and %d former ones; allowed are %d and %d", ErrBadChange,
				len(r.members.names), len(r.members.removed), maxMembers, maxRemoved)
		}
	case Promote:
		if !r.members.learner(id) {
			return fmt.Errorf("%w: %v is no learner of the group", ErrBadChange, id)
		}
		return r.caughtUp(id)
	case Remove:
		if !r.members.has(id) && !r.members.wasRemoved(id) {
			return fmt.Errorf("%w: %v is no member of the group", ErrBadChange, id)
		}
	default:
		return fmt.Errorf("%w: unknown kind %d", ErrBadChange, req.Kind)
	}
	return nil
}

// caughtUp tells why a member cannot be counted on yet: it would have to copy the log before the group could commit with
// it, or is not there. How many entries it lacks is not all: one that needs a snapshot first has nothing, however short
// the log is.
func (r *Replica) caughtUp(id NodeID) error {
	var match uint64
	active, follows := false, false
	r.node.WithProgress(func(other uint64, _ raft.ProgressType, p tracker.Progress) {
		if other == uint64(id) {
			match, active, follows = p.Match, p.RecentActive, p.State == tracker.StateReplicate
		}
	})
	if lag := r.log.last() - min(match, r.log.last()); !active || !follows || lag > r.cfg.Tuning.PromoteLag {
		return fmt.Errorf("%w: %v has the log up to %d of %d, heard of lately: %v, takes entries: %v; it may lack %d entries",
			ErrNotCaughtUp, id, match, r.log.last(), active, follows, r.cfg.Tuning.PromoteLag)
	}
	return nil
}

// applyChange applies a committed change of members. A change that makes no sense is skipped, by every replica alike.
func (r *Replica) applyChange(e *raftpb.Entry) {
	cc, err := parseChange(e)
	if err == nil {
		err = possible(r.members.conf, cc)
	}
	if err != nil {
		r.cfg.Logger.Warn().Uint64("index", e.GetIndex()).Err(err).Msg("a change of members was skipped")
		return
	}
	number, about := decodeChangeContext(cc.GetContext())
	conf := r.node.ApplyConfChange(cc)
	r.members = r.members.applied(cc, about, conf)
	r.unsettle()
	r.log.checkMembers(r.members)
	if r.change != nil && number == r.change.number {
		r.change.applied = true
	}
	r.members.log(r.cfg.Logger.Info().Uint64("index", e.GetIndex())).Msg("members changed")
	if r.cfg.MembersChanged != nil {
		r.cfg.MembersChanged(r.members.members())
	}
}

// checkChange ends the change under way when its outcome is known, or can no longer become known here.
func (r *Replica) checkChange(now time.Duration) {
	r.settle()
	c := r.change
	switch {
	case c == nil:
	case c.applied && r.settled:
		r.endChange(nil)
	case r.role != Leader:
		r.endChange(fmt.Errorf("%w: leadership was lost meanwhile", ErrUnknownOutcome))
	case now >= c.deadline:
		r.endChange(fmt.Errorf("%w: it was not complete after %v", ErrUnknownOutcome, r.cfg.Tuning.ChangeTimeout))
	}
}

func (r *Replica) endChange(err error) {
	done := r.change.done
	r.change = nil
	done(err)
}

// unsettle is for when the members have changed, and for a new leader, which does not know who knows.
func (r *Replica) unsettle() { r.settled, r.settledBy = false, 0 }

// settle finds out whether a majority of the members knows that they are the members. Whoever has the entry that left a
// joint configuration, and does not know that it is committed, still needs votes of the old one to be elected; with those
// switched off nobody could lead any more. An entry proposed after that was applied here tells that it is committed, and
// is written together with this.
func (r *Replica) settle() {
	switch {
	case r.settled || !r.leading || r.members.joint() || r.node.HasReady():
		return
	case r.settledBy == 0:
		r.settledBy = r.log.last() + 1
	case r.applied >= r.settledBy:
		r.settled = true
		return
	}
	if c := r.change; c != nil && c.applied && !c.asked {
		m := &raftpb.Message{Type: raftpb.MsgProp.Enum(), From: new(uint64(r.cfg.Node)), Entries: []*raftpb.Entry{{}}}
		c.asked = r.node.Step(m) == nil
	}
}

// The context of a change of members carries its number, and the name and address of a new member.
func encodeChangeContext(number uint64, m Member) []byte {
	return appendString(appendString(binary.AppendUvarint(nil, number), m.Name), m.Address)
}

// decodeChangeContext reads what encodeChangeContext wrote. Raft's own entry that leaves a joint configuration has none.
func decodeChangeContext(b []byte) (uint64, Member) {
	d := decoder{rest: b}
	number := d.number()
	m := Member{Name: d.text(maxName), Address: d.text(maxAddress)}
	if d.bad {
		return 0, Member{}
	}
	return number, m
}
