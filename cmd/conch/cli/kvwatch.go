package cli

import (
	"bytes"
	"context"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/conch-lock/conch/cmd/conch/child"
	"github.com/conch-lock/conch/cmd/conch/report"
	"github.com/conch-lock/conch/sdk"
)

// maxEnvValue bounds a value in the environment of a command; the system
// refuses much longer ones.
const maxEnvValue = 64 << 10

func (a *App) kvWatch() *cobra.Command {
	var prefix bool
	var from uint64
	c := &cobra.Command{
		Use: "watch KEY [-- CMD ARG…]", Short: "Print every change of a key, or run a command for each",
		Long: `Watch prints a line for every change of KEY. With CMD it runs CMD for each change
instead, one after the other, with CONCH_EVENT (put or delete), CONCH_KEY,
CONCH_REVISION and, unless it is longer than 64 KiB or has a zero byte, CONCH_VALUE in
its environment. It ends when CMD fails, with the status of CMD.`,
		Example: `  conch kv watch config/ --prefix
  conch kv watch config/limit -- sh -c 'echo "limit is now $CONCH_VALUE"'`,
		Args: func(cmd *cobra.Command, args []string) error {
			own := len(args)
			if dash := cmd.ArgsLenAtDash(); dash >= 0 {
				own = dash
				if dash == len(args) {
					return usage("there is no command after --")
				}
			}
			return exactly("KEY")(cmd, args[:own])
		},
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			keys, err := keyRange(args[0], prefix)
			if err != nil {
				return err
			}
			opts := []sdk.WatchOption{sdk.FromRevision(from)}
			if len(args) == 1 {
				return a.watch(ctx, keys, opts, a.keyEvent)
			}
			path, err := child.Lookup(args[1])
			if err != nil {
				return cannotStart(err)
			}
			signals, stop := child.Listen()
			defer stop()
			return a.watch(ctx, keys, opts, func(e sdk.Event) error {
				result, err := child.Run(child.Spec{Path: path, Args: args[1:], Env: eventEnv(e), Signals: signals})
				if err != nil {
					return cannotStart(err)
				}
				if result.Code != 0 {
					return exitWith(result.Code, nil)
				}
				return nil
			})
		}),
	}
	f := c.Flags()
	f.BoolVar(&prefix, "prefix", false, "all keys that begin with KEY")
	f.Uint64Var(&from, "from-revision", 0, "begin at revision `R` (default: now)")
	return c
}

func (a *App) keyEvent(e sdk.Event) error {
	return a.results().KeyEvent(report.KeyEvent{Deleted: e.Deleted, KV: e.KV, Revision: e.KV.ModRevision, Time: e.Time})
}

func eventEnv(e sdk.Event) []string {
	event := "put"
	if e.Deleted {
		event = "delete"
	}
	env := append(os.Environ(), "CONCH_EVENT="+event, "CONCH_REVISION="+strconv.FormatUint(e.KV.ModRevision, 10))
	if !bytes.ContainsRune([]byte(e.KV.Key), 0) {
		env = append(env, "CONCH_KEY="+e.KV.Key)
	}
	if !e.Deleted && len(e.KV.Value) <= maxEnvValue && bytes.IndexByte(e.KV.Value, 0) < 0 {
		env = append(env, "CONCH_VALUE="+string(e.KV.Value))
	}
	return env
}

func (a *App) kvHistory() *cobra.Command {
	return &cobra.Command{
		Use: "history KEY", Short: "Print every version of a key that is recorded, oldest first",
		Example: "  conch kv history config/limit",
		Args:    exactly("KEY"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			keys, err := keyRange(args[0], false)
			if err != nil {
				return err
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				s, err := c.Status(ctx)
				if err != nil {
					return err
				}
				if s.CompactedRevision > 0 { // what it was then is the first that is recorded
					res, err := c.Range(ctx, keys, sdk.AtRevision(s.CompactedRevision))
					if err != nil {
						return err
					}
					for _, kv := range res.KVs {
						if err := a.keyEvent(sdk.Event{KV: kv}); err != nil {
							return err
						}
					}
				}
				return a.keyEventsUpTo(ctx, c, keys, s.CompactedRevision+1, s.Revision)
			})
		}),
	}
}

// keyEventsUpTo prints the changes of revisions first to last.
func (a *App) keyEventsUpTo(ctx context.Context, c cell, keys sdk.KeyRange, first, last uint64) error {
	if first > last {
		return nil
	}
	for batch, err := range c.Watch(ctx, keys, sdk.FromRevision(first), sdk.WithProgress()) {
		if err != nil {
			return err
		}
		for _, e := range batch.Events {
			if e.KV.ModRevision > last {
				return nil
			}
			if err := a.keyEvent(e); err != nil {
				return err
			}
		}
		if batch.Revision >= last {
			return nil
		}
	}
	return ctx.Err()
}
