//go:build !unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// runGroup runs a command and ends it with the context. There are no process
// groups here: what it has started itself may go on.
func runGroup(ctx context.Context, cmd *exec.Cmd, _ time.Duration) error {
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
		return fmt.Errorf("%w: %w", context.Cause(ctx), errors.Join(<-ended, errors.New("it was ended")))
	}
}
