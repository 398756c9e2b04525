package cli

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/conch-lock/conch/cmd/conch/child"
	"github.com/conch-lock/conch/cmd/conch/report"
	"github.com/conch-lock/conch/sdk"
)

// maxEnvValue bounds a value in the environment of a command; the system
// refuses much longer ones.
const maxEnvValue = 64 << 10

func (a *App) kvWatch() *cobra.Command {
	var prefix, prev, noPut, noDelete bool
	var from uint64
	c := &cobra.Command{
		Use: "watch KEY [flags] [-- CMD ARG…]", Short: "Print every change of a key, or run a command for each",
		Long: `Watch prints a line for every change of KEY, in order, without a gap and without a
repeat, also over lost connections. With CMD it runs CMD for each change instead, one
after the other, with this in its environment:

  CONCH_EVENT       put or delete
  CONCH_KEY         the key, unless it has a zero byte
  CONCH_VALUE       put: the value, unless it has a zero byte or more than 64 KiB
  CONCH_PREV_VALUE  with --prev: the value before, likewise; absent when there was none
  CONCH_REVISION    the revision that made the change
  CONCH_ENDPOINTS   the cluster's, for conch commands that CMD runs

It ends when CMD fails, with the status of CMD, and the revision of that change tells
where to go on with --from-revision. Signals are sent on to CMD while one runs.`,
		Example: `  conch kv watch config/ --prefix
  conch kv watch config/limit -- sh -c 'echo "limit is now $CONCH_VALUE"'
  conch kv watch jobs/ --prefix --no-delete --from-revision 4711 -- ./handle.sh`,
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
			if noPut && noDelete {
				return usage("--no-put and --no-delete: only one of them is allowed, nothing would be left")
			}
			opts := []sdk.WatchOption{sdk.FromRevision(from)}
			if prev {
				opts = append(opts, sdk.WithPrev())
			}
			if noPut {
				opts = append(opts, sdk.NoPuts())
			}
			if noDelete {
				opts = append(opts, sdk.NoDeletes())
			}
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
				result, err := child.Run(child.Spec{Path: path, Args: args[1:], Env: a.eventEnv(e), Signals: signals})
				if err != nil {
					return cannotStart(err)
				}
				if result.Code != 0 {
					return exitWith(result.Code, fmt.Errorf("%s failed with status %d at revision %d", args[1], result.Code, e.KV.ModRevision))
				}
				return nil
			})
		}),
	}
	f := c.Flags()
	f.BoolVar(&prefix, "prefix", false, "all keys that begin with KEY")
	f.Uint64Var(&from, "from-revision", 0, "begin at revision `R` (default: now)")
	f.BoolVar(&prev, "prev", false, "with the value before each change")
	f.BoolVar(&noPut, "no-put", false, "without puts")
	f.BoolVar(&noDelete, "no-delete", false, "without deletes")
	return c
}

func (a *App) keyEvent(e sdk.Event) error {
	return a.results().KeyEvent(report.KeyEvent{Deleted: e.Deleted, KV: e.KV, Prev: e.Prev, Revision: e.KV.ModRevision, Time: e.Time})
}

// eventEnv tells a command of one change.
func (a *App) eventEnv(e sdk.Event) []string {
	event := "put"
	if e.Deleted {
		event = "delete"
	}
	own := []string{
		"CONCH_EVENT=" + event, "CONCH_REVISION=" + strconv.FormatUint(e.KV.ModRevision, 10),
		"CONCH_ENDPOINTS=" + strings.Join(a.global.endpoints, ","),
	}
	if strings.IndexByte(e.KV.Key, 0) < 0 {
		own = append(own, "CONCH_KEY="+e.KV.Key)
	}
	if !e.Deleted && fitsEnv(e.KV.Value) {
		own = append(own, "CONCH_VALUE="+string(e.KV.Value))
	}
	if e.Prev != nil && fitsEnv(e.Prev.Value) {
		own = append(own, "CONCH_PREV_VALUE="+string(e.Prev.Value))
	}
	return environment([]string{"CONCH_KEY", "CONCH_VALUE", "CONCH_PREV_VALUE"}, own...)
}

// fitsEnv says whether a value can be a variable.
func fitsEnv(value []byte) bool { return len(value) <= maxEnvValue && bytes.IndexByte(value, 0) < 0 }
