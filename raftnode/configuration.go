package raftnode

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3/confchange"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// validateConf reports what is wrong with a configuration, as raft itself would find out by panicking.
func validateConf(cs *raftpb.ConfState) error {
	if len(cs.GetVoters()) == 0 {
		return errors.New("raftnode: a configuration without voters")
	}
	for _, ids := range [][]uint64{cs.GetVoters(), cs.GetLearners(), cs.GetVotersOutgoing(), cs.GetLearnersNext()} {
		if len(ids) > maxMembers {
			return fmt.Errorf("raftnode: a configuration with %d nodes of one kind: allowed are %d", len(ids), maxMembers)
		}
		for _, id := range ids {
			if id == 0 || NodeID(id) >= maxNodeID {
				return fmt.Errorf("raftnode: a configuration with the node id %x: allowed are 1 to %x", id, uint64(maxNodeID-1))
			}
		}
	}
	t := tracker.MakeProgressTracker(1, 0)
	cfg, _, err := confchange.Restore(confchange.Changer{Tracker: t, LastIndex: 1}, cs)
	if err != nil {
		return fmt.Errorf("raftnode: a configuration that contradicts itself (%v): %w", cs, err)
	}
	t.Config = cfg
	if err := cs.Equivalent(t.ConfState()); err != nil {
		return fmt.Errorf("raftnode: a configuration that contradicts itself: %w", err)
	}
	return nil
}

// changerOf sets up raft's own arithmetic for a configuration that is known to be valid. Raft can do that itself, by
// putting the nodes into an empty one, one after the other and with all checks each time: many times as dear, and a
// replica that starts again goes over every change in its log.
func changerOf(cs *raftpb.ConfState) confchange.Changer {
	t := tracker.MakeProgressTracker(1, 0)
	add := func(to *map[uint64]struct{}, ids []uint64, learner bool) {
		for _, id := range ids {
			if *to == nil {
				*to = map[uint64]struct{}{}
			}
			(*to)[id] = struct{}{}
			t.Progress[id] = &tracker.Progress{Next: 1, IsLearner: learner}
		}
	}
	add(&t.Learners, cs.GetLearners(), true)
	add(&t.LearnersNext, cs.GetLearnersNext(), false)
	add((*map[uint64]struct{})(&t.Voters[0]), cs.GetVoters(), false)
	add((*map[uint64]struct{})(&t.Voters[1]), cs.GetVotersOutgoing(), false)
	t.AutoLeave = cs.GetAutoLeave()
	return confchange.Changer{Tracker: t, LastIndex: 1}
}

// possible reports why a change cannot be applied to a valid configuration, in which case every replica skips it: the
// answer depends on nothing but the two.
func possible(cs *raftpb.ConfState, cc *raftpb.ConfChangeV2) error {
	if err := validateChange(cc); err != nil {
		return err
	}
	changer, cfg, err := changerOf(cs), tracker.Config{}, error(nil)
	if cc.LeaveJoint() {
		cfg, _, err = changer.LeaveJoint()
	} else if autoLeave, ok := cc.EnterJoint(); ok {
		cfg, _, err = changer.EnterJoint(autoLeave, cc.Changes...)
	} else {
		cfg, _, err = changer.Simple(cc.Changes...)
	}
	if err != nil {
		return err
	}
	if len(cfg.Voters[0]) == 0 {
		return errors.New("it would leave no voter")
	}
	return nil
}

// validateChange reports what in a change raft does not know.
func validateChange(cc *raftpb.ConfChangeV2) error {
	if t := cc.GetTransition(); t < raftpb.ConfChangeTransitionAuto || t > raftpb.ConfChangeTransitionJointExplicit {
		return fmt.Errorf("unknown transition %d", t)
	}
	for _, c := range cc.GetChanges() {
		if c == nil || c.GetNodeId() == 0 || NodeID(c.GetNodeId()) >= maxNodeID {
			return fmt.Errorf("change of node %x: allowed are 1 to %x", c.GetNodeId(), uint64(maxNodeID-1))
		}
		switch c.GetType() {
		case raftpb.ConfChangeAddNode, raftpb.ConfChangeAddLearnerNode, raftpb.ConfChangeRemoveNode:
		default:
			return fmt.Errorf("unknown kind of change %d", c.GetType())
		}
	}
	return nil
}
