package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/conch-lock/conch/sdk"
)

// watch hands every change to f until the user interrupts it, which is its
// ordinary end, or the cell or f says no.
func (a *App) watch(ctx context.Context, keys sdk.KeyRange, opts []sdk.WatchOption, f func(sdk.Event) error) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for batch, err := range c.Watch(ctx, keys, opts...) {
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		for _, e := range batch.Events {
			if err := f(e); err != nil {
				return err
			}
		}
	}
	return nil
}
