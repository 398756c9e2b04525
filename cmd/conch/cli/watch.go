package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/conch-lock/conch/sdk"
)

// watch hands every change to f until the user interrupts it, which is its
// ordinary end, or the cell or f says no. When f is slower than the changes
// come, it says so and goes on where it stopped.
func (a *App) watch(ctx context.Context, keys sdk.KeyRange, opts []sdk.WatchOption, f func(sdk.Event) error) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
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
			if errors.Is(err, sdk.ErrLagging) {
				a.behind(err)
				continue
			}
			return err
		}
		for _, e := range batch.Events {
			if ctx.Err() != nil {
				return nil
			}
			if err := f(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// behind says that a watch fell behind. Nothing is lost by that.
func (a *App) behind(err error) {
	var e *sdk.Error
	if errors.As(err, &e) && a.global.output == "text" {
		a.say("the watch fell behind; it goes on at revision %d", e.Revision)
	}
}
