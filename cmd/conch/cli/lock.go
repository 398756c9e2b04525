package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/conch-lock/conch/cmd/conch/child"
	"github.com/conch-lock/conch/cmd/conch/report"
	"github.com/conch-lock/conch/sdk"
)

// lockRequest is what conch lock was asked for.
type lockRequest struct {
	task
	names    []string
	wait     time.Duration
	bounded  bool // --wait was given
	try      bool
	shared   bool
	permits  int
	capacity int
	and      []string
	delay    time.Duration
	labels   []string
	conflict int

	allLabels map[string]string
}

func (a *App) lockCommand() *cobra.Command {
	r := &lockRequest{}
	c := &cobra.Command{
		Use:   "lock NAME [flags] [-- CMD ARG…]",
		Short: "Run a command while holding a lock",
		Long: `Lock waits for the lock NAME, runs CMD while it holds it, and releases it.

CMD runs in a process group of its own, with CONCH_LOCK, CONCH_TOKEN, CONCH_SESSION
and CONCH_ENDPOINTS in its environment, and CONCH_PREDECESSOR_ENDED (released, expired,
closed, ended, broken) and CONCH_PREDECESSOR_TOKEN when somebody held the lock before. Hand CONCH_TOKEN to whatever CMD writes to,
and have that refuse smaller tokens than the largest it has seen: it is what stops a
holder that was paused and woke up too late. Signals are sent on to the group.
When the lock is lost the group gets SIGTERM at once and SIGKILL after --kill-after,
and the exit status is 70. Otherwise it is that of CMD, 128+n when signal n killed it.
Nothing that CMD started stays behind: what is left a second after its end is stopped.

Without CMD it prints NAME and TOKEN and holds the lock until it is interrupted.`,
		Example: `  conch lock backup -- ./backup.sh /srv
  conch lock backup --try -E 0 -- ./backup.sh      # not now? then not at all, and no error
  conch lock report --wait 30s --ttl 5s -- make report
  conch lock index --shared -- ./query             # together with other readers
  conch lock db --and cache -- ./migrate           # both or none
  conch lock render --permits 1 --capacity 4 -- ./render frame.dat`,
		Args: nameAndCommand,
		RunE: a.action(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			r.names, r.cmd = append([]string{args[0]}, r.and...), args[1:]
			r.what = "lock " + strings.Join(r.names, " and ")
			r.try, r.bounded = a.tryOrWait(cmd, r.try)
			if err := r.check(cmd); err != nil {
				return err
			}
			return a.lock(ctx, r)
		}),
	}
	f := c.Flags()
	f.DurationVar(&r.ttl, "ttl", sdk.DefaultTTL, "how long the cell keeps the lock for a holder that it does not hear of")
	f.DurationVar(&r.wait, "wait", 0, "give up after so long (default: wait for ever)")
	f.BoolVar(&r.try, "try", false, "do not wait")
	f.BoolVar(&r.shared, "shared", false, "hold it together with other shared holders")
	f.IntVar(&r.permits, "permits", 0, "hold `N` of the permits of a semaphore; needs --capacity")
	f.IntVar(&r.capacity, "capacity", 0, "how many permits the semaphore has: `C`")
	f.StringArrayVar(&r.and, "and", nil, "another lock `NAME` to hold as well, all or none; can be repeated")
	f.DurationVar(&r.delay, "lock-delay", 0, "keep everybody out for so long if the lock is lost, at most 1h")
	f.StringArrayVar(&r.labels, "label", nil, "show `KEY=VALUE` to others, besides host, pid, user and cmd; can be repeated")
	f.DurationVar(&r.killAfter, "kill-after", 5*time.Second, "time between SIGTERM and SIGKILL when the lock is lost")
	f.IntVarP(&r.conflict, "conflict-exit-code", "E", exitNotAcquired, "exit status `N` when the lock was not acquired")
	f.SetInterspersed(true)
	return c
}

// check refuses what can be seen to be wrong without a cluster.
func (r *lockRequest) check(cmd *cobra.Command) error {
	if len(r.names) > maxLocks {
		return usage("--and: %d locks in all: at most %d are allowed", len(r.names), maxLocks)
	}
	seen := make(map[string]bool)
	for i, n := range r.names {
		what := "NAME"
		if i > 0 {
			what = "--and"
		}
		if err := checkName(what, n); err != nil {
			return err
		}
		if seen[n] {
			return usage("--and %s: that lock is named twice", quote(n))
		}
		seen[n] = true
	}
	if err := checkTTL(r.ttl); err != nil {
		return err
	}
	permits := cmd.Flags().Changed("permits") || cmd.Flags().Changed("capacity")
	switch {
	case r.wait < 0:
		return usage("--wait %v: 0 or more is allowed", r.wait)
	case r.try && r.bounded:
		return usage("--try and --wait %v: only one of them is allowed", r.wait)
	case permits && r.shared:
		return usage("--shared and --permits %d: only one of them is allowed", r.permits)
	case permits && (r.permits < 1 || r.capacity < r.permits || r.capacity > 1<<31-1):
		return usage("--permits %d --capacity %d: at least 1 permit, at most the capacity, is allowed; both are needed", r.permits, r.capacity)
	case r.delay < 0 || r.delay > maxLockDelay:
		return usage("--lock-delay %v: 0 to %v are allowed", r.delay, maxLockDelay)
	case r.killAfter < 0:
		return usage("--kill-after %v: 0 or more is allowed", r.killAfter)
	case r.conflict < 0 || r.conflict > 255:
		return usage("-E %d: 0 to 255 are allowed", r.conflict)
	}
	r.allLabels = ownLabels(r.cmd)
	if err := parseLabels(r.allLabels, r.labels); err != nil {
		return err
	}
	return r.find()
}

// tryOrWait says whether not to wait, or for a bounded time. A flag beats the
// variable of the other one.
func (a *App) tryOrWait(cmd *cobra.Command, askedTry bool) (try, bounded bool) {
	try, bounded = askedTry, cmd.Flags().Changed("wait")
	if try && bounded {
		try = !a.givenBy["try"] || a.givenBy["wait"]
		bounded = !a.givenBy["wait"] || a.givenBy["try"]
	}
	return try, bounded
}

func (r *lockRequest) options() []sdk.LockOption {
	opts := []sdk.LockOption{sdk.WithLockLabels(r.allLabels)}
	if len(r.names) > 1 {
		opts = append(opts, sdk.And(r.names[1:]...))
	}
	if r.shared {
		opts = append(opts, sdk.Shared())
	}
	if r.permits > 0 {
		opts = append(opts, sdk.Permits(r.permits, r.capacity))
	}
	if r.delay > 0 {
		opts = append(opts, sdk.WithLockDelay(r.delay))
	}
	if r.bounded {
		opts = append(opts, sdk.WithWait(r.wait))
	}
	return opts
}

// lock acquires, runs or holds, and releases.
func (a *App) lock(ctx context.Context, r *lockRequest) error {
	signals, stop := child.Listen()
	defer stop()

	// 1. A session, within --timeout.
	begin, cancel := context.WithTimeout(ctx, a.global.timeout)
	defer cancel()
	c, err := a.connect(begin)
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := c.Open(begin, sdk.WithTTL(r.ttl), sdk.WithLabels(r.allLabels))
	if err != nil {
		return err
	}
	defer a.closeSession(s)

	// 2. The lock.
	h, err := a.acquire(ctx, c, s, r, signals)
	if err != nil {
		return a.notAcquired(ctx, c, err, r)
	}
	defer a.unlock(h, r)

	// 3. What it is for.
	if r.path == "" {
		if err := a.results().Held(r.names, h.Token(), s.ID()); err != nil {
			return err
		}
		return a.hold(h, &r.task, signals)
	}
	return a.runUnder(h, &r.task, environment(tenureVariables(), append(predecessorEnv(h.Predecessor()),
		"CONCH_LOCK="+r.names[0], "CONCH_TOKEN="+h.Token().String(), "CONCH_SESSION="+s.ID().String(),
		"CONCH_ENDPOINTS="+strings.Join(a.global.endpoints, ","))...), signals)
}

// acquire waits for the lock, for a signal that ends the wait, and tells
// somebody at a terminal who is in the way.
func (a *App) acquire(ctx context.Context, c cell, s session, r *lockRequest, signals <-chan os.Signal) (held, error) {
	claim := s.Claim
	if r.try {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, a.global.timeout)
		defer done()
		claim = s.TryClaim
	}
	return waitFor(ctx, a, &r.task, signals,
		func(ctx context.Context) (held, error) { return claim(ctx, r.names[0], r.options()...) },
		func() { a.tellWait(ctx, c, s, r) },
		func(h held) { a.unlock(h, r) })
}

// tellWait says who holds the lock and how many are in front.
func (a *App) tellWait(ctx context.Context, c cell, s session, r *lockRequest) {
	ctx, cancel := context.WithTimeout(ctx, a.global.timeout)
	defer cancel()
	info, err := c.ShowLock(ctx, r.names[0])
	if err != nil || len(info.Holders) == 0 {
		return
	}
	for _, w := range info.Waiters {
		if w.Session == s.ID() {
			h := info.Holders[0]
			a.say("waiting, %s in line: %s", report.Ordinal(w.Position), a.printer(a.Err).HeldBy(info.Name, h))
			return
		}
	}
}

// notAcquired gives the error of an acquire its exit status.
func (a *App) notAcquired(ctx context.Context, c cell, err error, r *lockRequest) error {
	switch {
	case errors.Is(err, sdk.ErrHeld), errors.Is(err, sdk.ErrWaitTimedOut):
		return exitWith(r.conflict, a.withHolder(ctx, c, err, r))
	case errors.Is(err, sdk.ErrSessionExpired):
		return exitWith(exitNoCluster, fmt.Errorf("%s: the cluster was not reached for %v while waiting: %w", r.what, r.ttl, err))
	}
	return err
}

// withHolder adds to a refusal who holds the lock, when it does not say.
func (a *App) withHolder(ctx context.Context, c cell, err error, r *lockRequest) error {
	var refusal *sdk.Error
	if !errors.As(err, &refusal) || refusal.Holder != 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.global.timeout)
	defer cancel()
	for _, name := range r.names {
		info, showErr := c.ShowLock(ctx, name)
		if showErr != nil || len(info.Holders) == 0 {
			continue
		}
		full, h := *refusal, info.Holders[0]
		full.Name, full.Holder, full.Token, full.Since, full.HolderLabels = name, h.Session, h.Token, h.Since, h.Labels
		return &full
	}
	return err
}

// unlock releases. When that is not confirmed the lock ends with the session.
func (a *App) unlock(h held, r *lockRequest) {
	if h.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.global.timeout)
	defer cancel()
	if err := h.Unlock(ctx); err != nil {
		a.say("%s: the release was not confirmed, the lock ends %v after the cluster heard of this holder last: %s",
			r.what, r.ttl, a.printer(a.Err).Explain(err))
	}
}

func (a *App) closeSession(s session) {
	if s.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.global.timeout)
	defer cancel()
	_ = s.Close(ctx) // the session ends by itself when this did not arrive
}
