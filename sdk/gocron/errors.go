package conchcron

import "errors"

// The reasons for which a tick does not run here, found with errors.Is.
var (
	// ErrNotLeader: another process leads, or nobody does.
	ErrNotLeader = errors.New("conchcron: not the leader")
	// ErrLocked: another process runs this job now.
	ErrLocked = errors.New("conchcron: the job runs elsewhere")
	// ErrRan: this tick, or a later one, has been run already.
	ErrRan = errors.New("conchcron: that tick has been run")
	// ErrLost: the lead or the lock was lost before the job began.
	ErrLost = errors.New("conchcron: lost before the job began")
	// ErrClosed: the elector or locker was closed.
	ErrClosed = errors.New("conchcron: closed")
)
