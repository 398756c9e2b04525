package group

import (
	"errors"
	"syscall"
	"time"
)

// ErrHangs is the cause of a context that ends since a command does not come to an
// end: its processes say where their goroutines are.
var ErrHangs = errors.New("it did not come to an end")

// ErrLeft: the command ended and its group did not.
var ErrLeft = errors.New("it left processes behind, which were killed")

// errEnded: it did not end by itself.
var errEnded = errors.New("it was ended")

// Manner is how a group is ended before its time.
type Manner struct {
	Signal   syscall.Signal // it is told so with this; 0: SIGTERM
	Patience time.Duration  // and what is left after that is killed
}

func (m Manner) signal() syscall.Signal {
	if m.Signal == 0 {
		return syscall.SIGTERM
	}
	return m.Signal
}
