package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/conch-lock/conch/sdk"
)

func (a *App) electionsCommand() *cobra.Command {
	return group("elections", "See who leads, and act for leaders", "  conch elections ls\n  conch elections observe primary",
		a.electionsLs(), a.electionsShow(), a.electionsObserve(), a.electionsProclaim(), a.electionsResign(), a.electionsTransfer(), a.electionsHistory())
}

func (a *App) electionsLs() *cobra.Command {
	return &cobra.Command{
		Use: "ls [PREFIX]", Short: "List elections that somebody leads, or of which the last leader is known",
		Example: "  conch elections ls\n  conch elections ls db/ -o json | jq -r '.elections[] | select(.leader) | .name'",
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
				all, err := c.Elections(ctx, prefix)
				if err != nil {
					return err
				}
				return a.results().Elections(all)
			})
		}),
	}
}

func (a *App) electionsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show the leader of an election and its candidates, in order",
		Example: "  conch elections show primary\n  conch elections show primary -o json | jq -r .leader.value",
		Args:    exactly("NAME"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			if err := checkName("NAME", args[0]); err != nil {
				return err
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				e, err := c.ShowElection(ctx, args[0])
				if err != nil {
					return err
				}
				return a.results().Election(e)
			})
		}),
	}
}

func (a *App) electionsObserve() *cobra.Command {
	var from uint64
	var prefix, mustExist bool
	c := &cobra.Command{
		Use: "observe NAME", Short: "Print a line for every leader, in order, as they come",
		Long: `Observe prints the present leader and then a line for every change: the revision, the
token, who leads and what it proclaims. It misses none and repeats none, also over lost
connections. A leader that proclaims another value gets another line with its token;
"nobody leads" says how the last leader went.

An election that nobody has led may be observed: its first leader is shown when it comes,
and until then standard error says that it is unknown. With --must-exist it is refused.`,
		Example: "  conch elections observe primary\n  conch elections observe db/ --prefix --from-revision 1 -o json",
		Args:    exactly("NAME"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			if !prefix || args[0] != "" {
				if err := checkName("NAME", args[0]); err != nil {
					return err
				}
			}
			if prefix && mustExist {
				return usage("--prefix and --must-exist: only one of them is allowed")
			}
			return a.observe(ctx, args[0], prefix, mustExist, from)
		}),
	}
	c.Flags().Uint64Var(&from, "from-revision", 0, "every change from revision `R` on (default: the present leader, then changes)")
	c.Flags().BoolVar(&prefix, "prefix", false, "all elections whose names begin with NAME")
	c.Flags().BoolVar(&mustExist, "must-exist", false, "refuse an election that is unknown")
	return c
}

// observe prints changes until the user interrupts it, which is its ordinary
// end, or the cell says no.
func (a *App) observe(ctx context.Context, name string, prefix, mustExist bool, from uint64) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	observe := c.Observe
	if prefix {
		observe = c.ObservePrefix
	} else if _, err := c.ShowElection(ctx, name); errors.Is(err, sdk.ErrNotFound) {
		if mustExist {
			return named(err, "observe", name)
		}
		a.say("%s; waiting for its first leader", a.printer(a.Err).Explain(named(err, "observe", name)))
	}
	for change, err := range observe(ctx, name, sdk.FromRevision(from)) {
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := a.results().LeaderChange(change, prefix); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) electionsHistory() *cobra.Command {
	limit := 0
	c := &cobra.Command{
		Use: "history NAME", Short: "Show who led an election, from when to when, and how it ended",
		Example: "  conch elections history primary --limit 20",
		Args:    exactly("NAME"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			if err := checkName("NAME", args[0]); err != nil {
				return err
			}
			if limit < 0 {
				return usage("--limit %d: 0 or more is allowed", limit)
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				h, err := c.ElectionHistory(ctx, args[0], limit)
				if err != nil {
					return err
				}
				return a.results().LeaderHistory(args[0], h)
			})
		}),
	}
	c.Flags().IntVar(&limit, "limit", 0, "at most the newest `N` (default 1000)")
	return c
}

// actsFor is the text of --token.
const actsFor = `Without --token it acts for CONCH_TOKEN where CONCH_ELECTION is NAME, as in a command
under conch elect, and otherwise for whoever leads now. It is refused when that leader is
not the present one any more, so that nobody acts for a leader whom they did not mean.`

// leaderToken is the token to act for.
func (a *App) leaderToken(ctx context.Context, c cell, op, name, flag string) (sdk.Token, error) {
	if election, _ := a.Getenv("CONCH_ELECTION"); flag == "" && election == name {
		flag, _ = a.Getenv("CONCH_TOKEN")
		if _, err := parseNumber("CONCH_TOKEN", flag); err != nil {
			return 0, err
		}
	}
	if flag != "" {
		t, err := parseNumber("--token", flag)
		return sdk.Token(t), err
	}
	e, err := c.ShowElection(ctx, name)
	if err != nil {
		return 0, named(err, op, name)
	}
	if e.Leader == nil {
		return 0, &sdk.Error{Op: op, Name: name, Code: sdk.CodeNotFound, Definite: true, Message: "nobody leads"}
	}
	return e.Leader.Token, nil
}

// ownLeader is the session that leads with the token, when this is run under its
// leadership by conch elect; 0: it is not.
func (a *App) ownLeader(name string, token sdk.Token) sdk.SessionID {
	election, _ := a.Getenv("CONCH_ELECTION")
	own, _ := a.Getenv("CONCH_TOKEN")
	text, _ := a.Getenv("CONCH_SESSION")
	session, err := strconv.ParseUint(text, 10, 63)
	if err != nil || election != name || own != token.String() {
		return 0
	}
	return sdk.SessionID(session)
}

// checkToken refuses a --token before anything is asked of a cluster.
func checkToken(token string) error {
	if token == "" {
		return nil
	}
	_, err := parseNumber("--token", token)
	return err
}

func addToken(c *cobra.Command, token *string) {
	c.Flags().StringVar(token, "token", "", "act for the leader with token `T` only")
	setEnv(c.Flags(), "token", "CONCH_LEADER_TOKEN")
}

func addReason(c *cobra.Command, reason *string) {
	c.Flags().StringVar(reason, "reason", "", "why, as `TEXT` of at most 256 bytes (default: who did it)")
}

// reasonOr is a reason as it was given, or says who acts.
func reasonOr(given, what string) (string, error) {
	if given != "" {
		return given, checkReason(given)
	}
	labels := ownLabels(nil)
	return fit(fmt.Sprintf("%s by %s on %s", what, labels["user"], labels["host"])), nil
}

func (a *App) electionsProclaim() *cobra.Command {
	var token string
	c := &cobra.Command{
		Use: "proclaim NAME VALUE|-", Short: "Replace the value that a leader shows; - reads it from standard input",
		Long:    "Proclaim replaces what the leader of NAME shows to observers, at most 64 KiB.\n\n" + actsFor,
		Example: "  conch elections proclaim primary 10.0.0.7:5432\n  conch elections proclaim primary --token 91 - < state.json",
		Args:    exactly("NAME", "VALUE"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			if err := errors.Join(checkName("NAME", args[0]), checkToken(token)); err != nil {
				return err
			}
			value := []byte(args[1])
			if args[1] == "-" {
				var err error
				if value, err = io.ReadAll(io.LimitReader(a.In, sdk.MaxValue+1)); err != nil {
					return fmt.Errorf("read the value from standard input: %w", err)
				}
			}
			if len(value) > sdk.MaxValue {
				return usage("VALUE: it has more than %d bytes, which is the most that is allowed", sdk.MaxValue)
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				t, err := a.leaderToken(ctx, c, "proclaim", args[0], token)
				if err != nil {
					return err
				}
				if err := c.ProclaimAs(ctx, args[0], t, value); err != nil {
					return err
				}
				return a.results().Done(fmt.Sprintf("proclaimed for %s, token %d", args[0], t), map[string]any{"name": args[0], "token": t})
			})
		}),
	}
	addToken(c, &token)
	return c
}

func (a *App) electionsResign() *cobra.Command {
	var token, reason string
	c := &cobra.Command{
		Use: "resign NAME", Short: "End a leadership; the next candidate leads",
		Long: `Resign ends the leadership of NAME, and the next candidate leads. The leader is told;
one that does not listen is stopped by the fencing token alone. The history has it as
released when a command under conch elect resigns for its own leader, and as broken when
anybody else does it.

` + actsFor,
		Example: `  conch elections resign primary --reason "maintenance of host a"`,
		Args:    exactly("NAME"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			if err := errors.Join(checkName("NAME", args[0]), checkToken(token)); err != nil {
				return err
			}
			why, err := reasonOr(reason, "resigned")
			if err != nil {
				return err
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				t, err := a.leaderToken(ctx, c, "resign", args[0], token)
				if err != nil {
					return err
				}
				if leader := a.ownLeader(args[0], t); leader != 0 {
					err = c.ResignAs(ctx, args[0], leader, t, why)
				} else {
					err = c.ResignElection(ctx, args[0], t, why)
				}
				if err != nil {
					return err
				}
				return a.results().Done(fmt.Sprintf("ended the leadership of %s, token %d", args[0], t), map[string]any{"name": args[0], "token": t})
			})
		}),
	}
	addToken(c, &token)
	addReason(c, &reason)
	return c
}

func (a *App) electionsTransfer() *cobra.Command {
	var token, reason, to string
	c := &cobra.Command{
		Use: "transfer NAME --to CANDIDATE", Short: "Hand a leadership over to a candidate that waits",
		Long: `Transfer hands the leadership of NAME over to CANDIDATE, wherever it stands in the queue,
in one revision: observers see one change. CANDIDATE is the session of one that waits, or
else the value of exactly one. It is refused, and nothing happens, when there is no such
candidate.

` + actsFor,
		Example: `  conch elections show primary       # who waits
  conch elections transfer primary --to 23 --reason "host a is drained"
  conch elections transfer primary --to 10.0.0.8:5432`,
		Args: exactly("NAME"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			if err := errors.Join(checkName("NAME", args[0]), checkToken(token)); err != nil {
				return err
			}
			if to == "" {
				return usage("--to is missing: conch elections show %s tells who waits", args[0])
			}
			why, err := reasonOr(reason, "transferred")
			if err != nil {
				return err
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				t, err := a.leaderToken(ctx, c, "transfer", args[0], token)
				if err != nil {
					return err
				}
				session, err := a.candidate(ctx, c, args[0], to)
				if err != nil {
					return err
				}
				next, err := c.TransferElection(ctx, args[0], t, session, why)
				if err != nil {
					return err
				}
				return a.results().Done(fmt.Sprintf("%s is led by session %d, token %d", args[0], session, next),
					map[string]any{"name": args[0], "session": session, "token": next})
			})
		}),
	}
	addToken(c, &token)
	addReason(c, &reason)
	c.Flags().StringVar(&to, "to", "", "`CANDIDATE`: a session that waits, or the value of exactly one")
	return c
}

// candidate is the session that --to means: a number is one, anything else the
// value of exactly one candidate.
func (a *App) candidate(ctx context.Context, c cell, name, to string) (sdk.SessionID, error) {
	if id, err := strconv.ParseUint(to, 10, 63); err == nil {
		return sdk.SessionID(id), nil
	}
	e, err := c.ShowElection(ctx, name)
	if err != nil {
		return 0, err
	}
	var found []sdk.SessionID
	for _, w := range e.Candidates {
		if string(w.Value) == to {
			found = append(found, w.Session)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return 0, &sdk.Error{Op: "transfer", Name: name, Code: sdk.CodeNotFound, Definite: true,
		Message: fmt.Sprintf("%d candidates wait with the value %s: name one by its session", len(found), quote(to))}
}
