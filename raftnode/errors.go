package raftnode

import "errors"

var (
	// ErrStopped is returned by a replica, group or host that was stopped. What was waiting may or may not have happened.
	ErrStopped = errors.New("raftnode: stopped")
	// ErrNotLeader refuses what only the leader can do; nothing happened.
	ErrNotLeader = errors.New("raftnode: this node does not lead the group; nothing was done")
	// ErrBusy refuses a request because too many wait already; nothing happened.
	ErrBusy = errors.New("raftnode: too many requests wait already; nothing was done")
	// ErrReadTimeout ends a read that no leader confirmed in time.
	ErrReadTimeout = errors.New("raftnode: no leader confirmed the read in time")
	// ErrTransferInProgress refuses a transfer of leadership while another is under way; nothing happened.
	ErrTransferInProgress = errors.New("raftnode: leadership is being transferred already; nothing was done")
	// ErrTransferFailed ends a transfer of leadership after which the wanted node does not lead.
	ErrTransferFailed = errors.New("raftnode: leadership was not transferred")
	// ErrChangeInProgress refuses a change of members while another is under way; nothing happened.
	ErrChangeInProgress = errors.New("raftnode: another change of members is under way; nothing was done")
	// ErrBadChange refuses a change of members that makes no sense for the members there are; nothing happened.
	ErrBadChange = errors.New("raftnode: change of members refused; nothing was done")
	// ErrNotCaughtUp refuses to promote a learner, or to hand leadership to a voter, that lacks too much of the log or
	// was not heard of lately; nothing happened.
	ErrNotCaughtUp = errors.New("raftnode: the member has not caught up; nothing was done")
	// ErrUnknownOutcome ends a change whose fate the node lost sight of, as after a change of leader: look at the members.
	ErrUnknownOutcome = errors.New("raftnode: it is unknown whether the change happened")
	// ErrBadMessage is wrapped by the errors that name what is wrong with a message of a peer. Such a message is dropped.
	ErrBadMessage = errors.New("raftnode: bad message from a peer")
	// ErrWrongDir refuses a data directory that belongs to another node or cluster.
	ErrWrongDir = errors.New("raftnode: the data directory belongs to another node")
	// ErrOtherDirectory refuses a node whose data directory is not the one that others know it with: what it promised
	// them is lost.
	ErrOtherDirectory = errors.New("raftnode: the node has another data directory than before")
)
