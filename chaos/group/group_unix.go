//go:build unix

package group

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// Run runs a command in a process group of its own, and has all of that end with
// the context and with this process. On a cancelled context its processes may clean
// up; when it hangs ([ErrHangs]) they tell where their goroutines are.
//
// The program must have called [Keep] first of all.
func Run(ctx context.Context, cmd *exec.Cmd, m Manner) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	k, err := newKeeper(m)
	if err != nil {
		return err
	}
	defer k.dismiss()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pgid = true, k.group()
	cmd.WaitDelay = m.Patience // what it started may have its output and not end
	if err := cmd.Start(); err != nil {
		return err
	}
	group := -k.group()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		how := m.signal()
		if errors.Is(context.Cause(ctx), ErrHangs) {
			how = syscall.SIGQUIT
		}
		_ = syscall.Kill(group, how) // all may have ended just now
		select {
		case err = <-ended:
		case <-time.After(m.Patience):
			_ = syscall.Kill(group, syscall.SIGKILL)
			err = <-ended
		}
	}
	k.dismiss()
	left := awaitEnd(group, m.Patience)
	if left {
		_ = syscall.Kill(group, syscall.SIGKILL)
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", context.Cause(ctx), errors.Join(err, errEnded))
	case left:
		return errors.Join(err, ErrLeft)
	}
	return err
}

// awaitEnd waits until no process of a group is left, and says whether one is.
func awaitEnd(group int, patience time.Duration) bool {
	for since := time.Now(); syscall.Kill(group, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Since(since) > patience {
			return true
		}
	}
	return false
}
