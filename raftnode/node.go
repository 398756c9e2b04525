package raftnode

import "strconv"

// NodeID names one node of a cluster for ever: an id is never given to a second node, not even after the first is gone.
// Zero names nobody.
type NodeID uint64

// maxNodeID is where the ids end: raft keeps the highest ones for itself.
const maxNodeID NodeID = 1 << 63

// String prints the id in hexadecimal, the form used in messages and logs.
func (id NodeID) String() string { return strconv.FormatUint(uint64(id), 16) }

// GroupID names one replicated group inside a cluster. Zero names none.
type GroupID uint64

// String prints the id in hexadecimal.
func (id GroupID) String() string { return strconv.FormatUint(uint64(id), 16) }

// Role is what a replica is in its group at the moment.
type Role int

const (
	// Follower copies the log of the leader.
	Follower Role = iota
	// Candidate asks the others for their votes (or, before that, whether they would vote).
	Candidate
	// Leader is the replica whose proposals enter the log.
	Leader
	// Learner copies the log and has no vote.
	Learner
)

// String names the role in lower case.
func (r Role) String() string {
	switch r {
	case Follower:
		return "follower"
	case Candidate:
		return "candidate"
	case Leader:
		return "leader"
	case Learner:
		return "learner"
	}
	return "role " + strconv.Itoa(int(r))
}
