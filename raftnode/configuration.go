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
	changer, err := changerFor(cs)
	if err != nil {
		return fmt.Errorf("raftnode: a configuration that contradicts itself (%v): %w", cs, err)
	}
	if err := cs.Equivalent(changer.Tracker.ConfState()); err != nil {
		return fmt.Errorf("raftnode: a configuration that contradicts itself: %w", err)
	}
	return nil
}

// changerFor sets up raft's own arithmetic of configurations.
func changerFor(cs *raftpb.ConfState) (confchange.Changer, error) {
	t := tracker.MakeProgressTracker(1, 0)
	cfg, progress, err := confchange.Restore(confchange.Changer{Tracker: t, LastIndex: 1}, cs)
	t.Config, t.Progress = cfg, progress
	return confchange.Changer{Tracker: t, LastIndex: 1}, err
}

// possible reports why a change cannot be applied to the configuration, in which case every replica skips it: the answer
// depends on nothing but the two.
func possible(cs *raftpb.ConfState, cc *raftpb.ConfChangeV2) error {
	if err := validateChange(cc); err != nil {
		return err
	}
	changer, err := changerFor(cs)
	if err != nil {
		return err
	}
	var cfg tracker.Config
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
