//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// runGroup runs a command in a process group of its own, and has all of that end
// with the context: what is run by go run and make does not hear what those are
// told. On a cancelled context its processes may clean up; when it hangs they tell
// where their goroutines are. What is left after some patience is killed.
func runGroup(ctx context.Context, cmd *exec.Cmd, patience time.Duration) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	group := -cmd.Process.Pid
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		how := syscall.SIGTERM
		if errors.Is(context.Cause(ctx), errHangs) {
			how = syscall.SIGQUIT
		}
		_ = syscall.Kill(group, how) // all may have ended just now
		select {
		case err = <-ended:
		case <-time.After(patience):
			_ = syscall.Kill(group, syscall.SIGKILL)
			err = <-ended
		}
	}
	left := awaitGroup(group, patience)
	if left {
		_ = syscall.Kill(group, syscall.SIGKILL)
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", context.Cause(ctx), errors.Join(err, errEnded))
	case left:
		return errors.Join(err, errors.New("it left processes behind, which were killed"))
	}
	return err
}

// errEnded: it did not end by itself.
var errEnded = errors.New("it was ended")

// awaitGroup waits until no process of a group is left, and says whether one is.
func awaitGroup(group int, patience time.Duration) bool {
	for since := time.Now(); syscall.Kill(group, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Since(since) > patience {
			return true
		}
	}
	return false
}
