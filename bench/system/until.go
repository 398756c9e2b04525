package system

import (
	"context"
	"errors"
	"time"
)

const (
	probe = 2 * time.Second       // for one question whether servers serve
	pause = 20 * time.Millisecond // between two of them
)

// Until calls done every few milliseconds until it answers nil or ctx ends; the
// error then says why it was not done.
func Until(ctx context.Context, done func(ctx context.Context) error) error {
	for {
		try, cancel := context.WithTimeout(ctx, probe)
		err := done(try)
		cancel()
		if err == nil {
			return nil
		}
		if stop := wait(ctx); stop != nil {
			return errors.Join(stop, err)
		}
	}
}

func wait(ctx context.Context) error {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
