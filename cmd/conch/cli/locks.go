package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/cmd/conch/report"
	"github.com/conch-lock/conch/sdk"
)

func (a *App) locksCommand() *cobra.Command {
	return group("locks", "See and break locks", "  conch locks ls\n  conch locks show backup",
		a.locksLs(), a.locksShow(), a.locksHistory(), a.locksWatch(), a.locksBreak())
}

func (a *App) locksLs() *cobra.Command {
	return &cobra.Command{
		Use: "ls [PREFIX]", Short: "List locks that somebody holds or awaits",
		Example: "  conch locks ls\n  conch locks ls batch/ -o json | jq -r '.locks[].name'",
		Args:    between(0, "PREFIX"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			prefix := ""
			if len(args) == 1 && args[0] != "" {
				prefix = args[0]
				if err := checkName("PREFIX", prefix); err != nil {
					return err
				}
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				all, err := c.Locks(ctx, prefix)
				if err != nil {
					return err
				}
				return a.results().Locks(all)
			})
		}),
	}
}

func (a *App) locksShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show the holders of a lock and who waits, in order",
		Example: "  conch locks show backup",
		Args:    exactly("NAME"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			if err := checkName("NAME", args[0]); err != nil {
				return err
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				l, err := c.ShowLock(ctx, args[0])
				if err != nil {
					return err
				}
				return a.results().Lock(l)
			})
		}),
	}
}

func (a *App) locksHistory() *cobra.Command {
	limit := 0
	c := &cobra.Command{
		Use: "history NAME", Short: "Show who held a lock, from when to when, and how it ended",
		Example: "  conch locks history backup --limit 10",
		Args:    exactly("NAME"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			if err := checkName("NAME", args[0]); err != nil {
				return err
			}
			if limit < 0 {
				return usage("--limit %d: 0 or more is allowed", limit)
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				h, err := c.LockHistory(ctx, args[0], limit)
				if err != nil {
					return err
				}
				return a.results().History(args[0], h)
			})
		}),
	}
	c.Flags().IntVar(&limit, "limit", 0, "only the newest `N` (default: all that are recorded)")
	return c
}

func (a *App) locksBreak() *cobra.Command {
	token, reason := "", ""
	c := &cobra.Command{
		Use: "break NAME --token T --reason TEXT", Short: "Take a lock from its holder",
		Long: `Break ends the grant of NAME that has the token T, and the next in line is granted.
It is refused when T is not a current token, so that nobody breaks the lock of a
holder whom they did not mean. The holder is told; one that does not listen is
stopped by the fencing token alone.`,
		Example: `  conch locks break backup --token 91 --reason "host a is gone"`,
		Args:    exactly("NAME"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			if err := checkName("NAME", args[0]); err != nil {
				return err
			}
			if token == "" {
				return usage("--token is missing: conch locks show %s tells the current one", args[0])
			}
			t, err := parseNumber("--token", token)
			if err != nil {
				return err
			}
			if err := checkReason(reason); err != nil {
				return err
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				if err := c.BreakLock(ctx, args[0], sdk.Token(t), reason); err != nil {
					return err
				}
				return a.results().Done("broke lock "+args[0]+", token "+token, map[string]any{"name": args[0], "token": t})
			})
		}),
	}
	c.Flags().StringVar(&token, "token", "", "the current token `T`")
	c.Flags().StringVar(&reason, "reason", "", "why, as `TEXT` of at most 256 bytes")
	setEnv(c.Flags(), "token", "CONCH_BREAK_TOKEN")
	return c
}

func (a *App) locksWatch() *cobra.Command {
	from := uint64(0)
	c := &cobra.Command{
		Use: "watch [NAME]", Short: "Print a line for every grant and every end of one, as they happen",
		Example: "  conch locks watch\n  conch locks watch backup --from-revision 1",
		Args:    between(0, "NAME"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			keys := sdk.Prefix("")
			if len(args) == 1 {
				if err := checkName("NAME", args[0]); err != nil {
					return err
				}
				keys = sdk.One(args[0])
			}
			return a.watch(ctx, keys, []sdk.WatchOption{sdk.WatchSpace(sdk.Locks), sdk.FromRevision(from)}, a.lockEvents)
		}),
	}
	c.Flags().Uint64Var(&from, "from-revision", 0, "begin at revision `R` (default: now)")
	return c
}

// lockEvents prints what one change of a lock's record says: who lost it in
// that revision, and who was granted it.
func (a *App) lockEvents(e sdk.Event) error {
	if e.Deleted {
		return nil // a record is deleted when it is old and free: nobody held it
	}
	var lock api.LockInfo
	if err := lock.UnmarshalVT(e.KV.Value); err != nil {
		return fmt.Errorf("the record of lock %s at revision %d: %w", quote(e.KV.Key), e.KV.ModRevision, err)
	}
	at := report.LockEvent{Name: e.KV.Key, Revision: e.KV.ModRevision, Time: e.Time}
	for _, t := range lock.GetEnded() {
		end := at
		end.Event, end.Token, end.Session = "ended", sdk.Token(t.GetToken()), sdk.SessionID(t.GetSession())
		end.Ended = sdk.EndReason(wireWord(t.GetEnded().String(), "END_"))
		if err := a.results().LockEvent(end); err != nil {
			return err
		}
	}
	for _, h := range lock.GetHolders() {
		if h.GetSinceRevision() != e.KV.ModRevision {
			continue // granted before
		}
		grant := at
		grant.Event, grant.Token, grant.Session = "granted", sdk.Token(h.GetToken()), sdk.SessionID(h.GetSession())
		grant.Mode, grant.Labels = sdk.Mode(wireWord(lock.GetMode().String(), "")), h.GetLabels()
		if err := a.results().LockEvent(grant); err != nil {
			return err
		}
	}
	return nil
}

// wireWord is the name of a value of the wire contract as it is shown.
func wireWord(name, prefix string) string { return strings.ToLower(strings.TrimPrefix(name, prefix)) }
