//go:build !unix

package group

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
)

// Keep does nothing here.
func Keep() {}

// Run runs a command and ends it with the context. There are no process groups
// here: what it has started itself may go on.
func Run(ctx context.Context, cmd *exec.Cmd, _ Manner) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		_ = cmd.Process.Kill() // it may have ended just now
		return fmt.Errorf("%w: %w", context.Cause(ctx), errors.Join(<-ended, errEnded))
	}
}
