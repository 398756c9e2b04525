package child

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// GuardArg is the first argument with which conch starts itself as a guard.
// main hands such a start to Guard before anything else.
const GuardArg = "__guard"

// LeftoverGrace is how long processes that CMD left behind may take to end by
// themselves before they are stopped.
const LeftoverGrace = time.Second

// Spec says what to run and when to stop it.
type Spec struct {
	Path string   // from Lookup
	Args []string // with Args[0]
	Env  []string // the whole environment, KEY=value

	// KillAfter is the time between SIGTERM and SIGKILL; 0 sends both at once.
	KillAfter time.Duration

	// Signals received by conch, from Listen.
	Signals <-chan os.Signal

	// Lost is closed when the lock is lost.
	Lost <-chan struct{}

	// Deadline tells until when the lock is good if nothing more is heard; nil
	// or a zero time: no deadline. It is asked every DeadlineEvery.
	Deadline      func() time.Time
	DeadlineEvery time.Duration
}

// Process is a process that CMD left behind.
type Process struct {
	PID  int
	Name string
}

// String is the process id and the name.
func (p Process) String() string { return fmt.Sprintf("%d (%s)", p.PID, p.Name) }

// Result is how the command ended.
type Result struct {
	// Code is CMD's exit status, 128+n when signal n killed it.
	Code int
	// Lost: the lock was lost while CMD or something it left behind ran.
	Lost bool
	// Killed: something had to be killed with SIGKILL.
	Killed bool
	// Terminated: a SIGTERM came and was sent on to CMD.
	Terminated bool
	// GuardDied: the guard was killed, and CMD with it.
	GuardDied bool
	// Left are processes that CMD left behind and that had to be stopped.
	Left []Process
}

// StartError reports that the command could not be started. Nothing runs.
type StartError struct {
	Path string
	Err  error // a syscall.Errno
}

// Error names the program and why it cannot be run.
func (e *StartError) Error() string { return fmt.Sprintf("cannot run %s: %v", e.Path, e.Err) }

// Unwrap gives the reason.
func (e *StartError) Unwrap() error { return e.Err }

// ExitCode is the status that shells give such a command: 127 when it was not
// found, 126 when it could not be executed.
func (e *StartError) ExitCode() int {
	if e.Err == syscall.ENOENT || e.Err == syscall.ENOTDIR {
		return 127
	}
	return 126
}
