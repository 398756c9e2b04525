package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/conch-lock/conch/cmd/conch/config"
	"github.com/conch-lock/conch/sdk"
)

// Exit statuses. Scripts rely on them.
const (
	exitDone        = 0
	exitFailed      = 1  // refused or failed
	exitUsage       = 64 // wrong usage
	exitNoCluster   = 69 // unreachable, or no leader in time
	exitLost        = 70 // the lock or leadership was lost while the command ran
	exitNotAcquired = 75 // unless -E says otherwise
)

// status is an error that knows its exit status. Without err there is nothing
// more to say.
type status struct {
	code int
	err  error
}

func (s *status) Error() string {
	if s.err == nil {
		return fmt.Sprintf("exit status %d", s.code)
	}
	return s.err.Error()
}

func (s *status) Unwrap() error { return s.err }

// exitWith gives err an exit status; err may be nil: then nothing is printed.
func exitWith(code int, err error) error { return &status{code: code, err: err} }

// usage is an error in the words of the command line.
func usage(format string, args ...any) error {
	return exitWith(exitUsage, &usageError{fmt.Sprintf(format, args...)})
}

type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// codeOf is the exit status for the error of a command.
func codeOf(err error) int {
	var s *status
	var setting *config.Error
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &s):
		return s.code
	case errors.Is(err, sdk.ErrInvalid), errors.As(err, &setting):
		return exitUsage
	case errors.Is(err, sdk.ErrUnreachable), errors.Is(err, sdk.ErrNoLeader),
		errors.Is(err, sdk.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return exitNoCluster
	default:
		return exitFailed
	}
}
