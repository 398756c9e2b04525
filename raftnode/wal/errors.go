package wal

import (
	"errors"
	"fmt"
)

// Errors that callers decide on.
var (
	// ErrClosed is returned by all methods after Close.
	ErrClosed = errors.New("wal: the log is closed")

	// ErrIdentity is wrapped by Open for the log of another group or cluster.
	ErrIdentity = errors.New("wal: the log belongs to another group or cluster")

	// ErrInvalid is wrapped for a batch or mark that breaks a rule of the log.
	// Nothing of it was written. Like every error of a log it is final: a
	// caller that breaks these rules no longer knows what it has logged.
	ErrInvalid = errors.New("wal: invalid batch")

	// ErrNoSpace is wrapped when the disk has no room for another segment.
	// Nothing of the batch was written; what was acknowledged is safe, and the
	// log opens again once there is room.
	ErrNoSpace = errors.New("wal: no space left for another segment")

	// errVersion is wrapped for a segment that a later program wrote.
	errVersion = errors.New("wal: unknown format")
)

// CorruptError says that a file is damaged below what was known to be durable,
// so that acknowledged entries may be lost. Nothing was changed.
type CorruptError struct {
	File   string
	Offset int64 // byte in the file
	Reason string
}

// Error says what is wrong, where, and what to do about it.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("wal: %s is damaged at byte %d: %s; acknowledged entries may be lost, so the log was not opened and nothing was changed. "+
		"Keep the directory for inspection; restore it from an intact copy of this very node's last state, or remove the node from the cluster "+
		"and let it join again with an empty directory under a new id. Do not truncate or delete the file to get past this message",
		e.File, e.Offset, e.Reason)
}
