package raftnode

import (
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/conch-lock/conch/raftnode/wal"
)

// Status is what a replica is and has at one moment.
type Status struct {
	Node   NodeID
	Group  GroupID
	Role   Role
	Term   uint64
	Leader NodeID // 0: unknown
	// Leading is set when the machine leads: the role is Leader and everything of former leaders is applied.
	Leading bool
	// First and Last bound the entries in memory; Commit and Applied tell how far they are committed and applied.
	First, Last, Commit, Applied uint64
	// Snapshot is the index of the newest snapshot on disk.
	Snapshot uint64
	// Members are the members as far as applied, and Joint is set while a change of them is under way.
	Members []Member
	Joint   bool
	// Voters are those of the members whose majority decides. While Joint is set, one of Outgoing is needed, too.
	Voters, Outgoing []NodeID
	// Settled is set on a leader that is sure that a majority of the members knows them: whoever is none of them may be
	// switched off. It takes one more entry than the change itself.
	Settled bool
	// Followers is what a leader knows of the others; nil elsewhere.
	Followers []FollowerStatus
	// Reads is how many reads wait.
	Reads int
	// Refused counts messages of peers that no correct peer sends.
	Refused uint64
	// Full counts rounds of proposals that were dropped because too much was not committed; see Tuning.MaxUncommitted.
	Full uint64
	// Late counts turns that came later than an election takes, and LateBy is the longest of these delays.
	Late   uint64
	LateBy time.Duration
	// Log is what the log on disk counts.
	Log wal.Stats
}

// FollowerStatus is what a leader knows of one other member.
type FollowerStatus struct {
	Node NodeID
	// Match is the last entry known to be on its disk.
	Match uint64
	// Active is set when it was heard of within the last election time.
	Active bool
	// State says how it is served: by probing, by replicating, or by a snapshot.
	State string
}

// Status returns what the replica is now.
func (r *Replica) Status() Status {
	s := Status{
		Node: r.cfg.Node, Group: r.cfg.Group, Role: r.role, Term: r.hard.GetTerm(), Leader: r.leader, Leading: r.leading,
		First: r.log.base + 1, Last: r.log.last(), Commit: r.hard.GetCommit(), Applied: r.applied,
		Members: r.members.members(), Joint: r.members.joint(), Settled: r.leading && r.settled,
		Voters: nodeIDs(r.members.conf.GetVoters()), Outgoing: nodeIDs(r.members.conf.GetVotersOutgoing()),
		Reads: r.reads.count(), Refused: r.refused, Full: r.full, Late: r.lateTurns, LateBy: r.lateBy, Log: r.wal.Stats(),
	}
	if len(r.files) > 0 {
		s.Snapshot = r.files[0].index
	}
	if r.role == Leader {
		r.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
			if id != uint64(r.cfg.Node) {
				s.Followers = append(s.Followers, FollowerStatus{NodeID(id), p.Match, p.RecentActive, p.State.String()})
			}
		})
		slices.SortFunc(s.Followers, func(a, b FollowerStatus) int { return compareIDs(a.Node, b.Node) })
	}
	return s
}

func nodeIDs(list []uint64) []NodeID {
	var out []NodeID
	for _, id := range list {
		out = append(out, NodeID(id))
	}
	return out
}
