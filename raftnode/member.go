package raftnode

// Member is a node as its group knows it.
type Member struct {
	// ID is the node's id.
	ID NodeID
	// Name is the node's name, for people; unique in the group. At most 64 bytes.
	Name string
	// Address is where the other nodes reach it: host:port. At most 255 bytes.
	Address string
	// Learner is set for a member without a vote.
	Learner bool
}
