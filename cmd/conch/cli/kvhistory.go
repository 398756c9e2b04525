package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/conch-lock/conch/sdk"
)

func (a *App) kvHistory() *cobra.Command {
	return &cobra.Command{
		Use: "history KEY", Short: "Print every version of a key that is recorded, oldest first",
		Long: `History prints every version of KEY that is recorded, oldest first: when it was put or
deleted, in which revision, with which value. Of what was compacted the last version is
recorded, without its time. Exit status 1 when nothing is.`,
		Example: "  conch kv history config/limit",
		Args:    exactly("KEY"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			keys, err := keyRange(args[0], false)
			if err != nil {
				return err
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error { return a.keyHistory(ctx, c, keys) })
		}),
	}
}

// keyHistory prints what is recorded of a key up to now.
func (a *App) keyHistory(ctx context.Context, c cell, keys sdk.KeyRange) error {
	last, err := newest(ctx, c)
	if err != nil {
		return err
	}
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	// 1. What it was when the history begins. That may move ahead meanwhile.
	begin, printed := s.CompactedRevision, 0
	for begin > 0 {
		res, err := c.Range(ctx, keys, sdk.AtRevision(begin))
		var refused *sdk.Error
		if errors.Is(err, sdk.ErrCompacted) && errors.As(err, &refused) && refused.Revision > begin {
			begin = refused.Revision
			continue
		}
		if err != nil {
			return err
		}
		for _, kv := range res.KVs {
			printed++
			if err := a.keyEvent(sdk.Event{KV: kv}); err != nil {
				return err
			}
		}
		break
	}
	// 2. What changed from there on.
	changes, err := a.keyEvents(ctx, c, keys, begin+1, last)
	if err != nil {
		return err
	}
	if printed+changes == 0 {
		return &sdk.Error{Op: "history", Name: keys.Key, Code: sdk.CodeNotFound, Definite: true, Message: "no version of this key is recorded"}
	}
	return nil
}

// newest is the revision of the cell, at least as it was when it was asked.
func newest(ctx context.Context, c cell) (uint64, error) {
	res, err := c.Range(ctx, sdk.One("\x00"), sdk.CountOnly()) // any key does
	return res.Revision, err
}

// keyEvents prints the changes of revisions first to last, and says how many
// there were.
func (a *App) keyEvents(ctx context.Context, c cell, keys sdk.KeyRange, first, last uint64) (n int, err error) {
	if first > last {
		return 0, nil
	}
	for batch, err := range c.Watch(ctx, keys, sdk.FromRevision(first), sdk.WithProgress()) {
		if errors.Is(err, sdk.ErrLagging) {
			continue // whoever reads is slow; it goes on from where it was
		}
		if err != nil {
			return n, err
		}
		for _, e := range batch.Events {
			if e.KV.ModRevision > last {
				return n, nil
			}
			n++
			if err := a.keyEvent(e); err != nil {
				return n, err
			}
		}
		if batch.Revision >= last {
			return n, nil
		}
	}
	return n, ctx.Err()
}
