package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/conch-lock/conch/cmd/conch/child"
	"github.com/conch-lock/conch/cmd/conch/report"
	"github.com/conch-lock/conch/sdk"
)

// The pauses between two candidacies grow from the one to the other while
// leaderships last less than settled.
const (
	leastPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
	settled    = 30 * time.Second
)

// electRequest is what conch elect was asked for.
type electRequest struct {
	task
	name      string
	value     string
	once      bool
	wait      time.Duration
	bounded   bool // --wait was given
	try       bool
	priority  int
	preempt   bool
	tenure    time.Duration
	aging     time.Duration
	labels    []string
	conflict  int
	allLabels map[string]string
}

func (a *App) electCommand() *cobra.Command {
	r := &electRequest{}
	c := &cobra.Command{
		Use:   "elect NAME [flags] [-- CMD ARG…]",
		Short: "Run a command while leading an election",
		Long: `Elect stands as a candidate in the election NAME, and runs CMD while it leads. When the
leadership is lost it stops CMD, stands again, and starts CMD again when it leads again;
with --once, or when a SIGTERM came before CMD had ended, it exits with status 70
instead. When CMD ends by itself it resigns and exits with the status of CMD, 128+n when
signal n killed it.

CMD runs as under conch lock: in a process group of its own, which signals are sent on
to, which gets SIGTERM at once when the leadership is lost and SIGKILL after
--kill-after, and of which nothing stays behind. It has in its environment

  CONCH_ELECTION            NAME
  CONCH_TOKEN               the fencing token: have what CMD writes to refuse smaller ones
  CONCH_SESSION             what leads; conch elections transfer --to takes one
  CONCH_ENDPOINTS           the cluster's, for conch commands that CMD runs
  CONCH_PREDECESSOR_ENDED   how the leader before ended: released, expired, closed, ended,
                            broken or transferred; absent when there was none
  CONCH_PREDECESSOR_TOKEN   its token
  CONCH_PREDECESSOR_VALUE   what it proclaimed last; absent when empty or with a zero byte in it

and in it conch elections proclaim, resign and transfer act for this leadership alone.

Candidates lead in the order in which they stood; one that states a priority of n goes
before those that have waited for less than n times --aging longer.

Without CMD it prints a line whenever its own standing changes, until it is interrupted:
NAME candidate, NAME leader TOKEN, NAME lost TOKEN REASON, NAME resigned TOKEN.`,
		Example: `  conch elect primary --value 10.0.0.7:5432 -- ./serve --primary
  conch elect nightly --once --try -E 0 -- ./report.sh   # somebody else leads? then nothing is to be done
  conch elect primary --priority 10 --preempt -- ./serve # take over from those of lower priority
  conch elect primary --value "$(hostname)"              # only stand, and say how it goes`,
		Args: nameAndCommand,
		RunE: a.action(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			r.name, r.cmd = args[0], args[1:]
			r.what = "leadership of " + r.name
			r.try, r.bounded = a.tryOrWait(cmd, r.try)
			if err := r.check(); err != nil {
				return err
			}
			return a.elect(ctx, r)
		}),
	}
	f := c.Flags()
	f.StringVar(&r.value, "value", "", "show `V` to observers, such as an address, at most 64 KiB")
	f.DurationVar(&r.ttl, "ttl", sdk.DefaultTTL, "how long the cell waits for a leader that it does not hear of")
	f.BoolVar(&r.once, "once", false, "do not stand again after a loss")
	f.DurationVar(&r.wait, "wait", 0, "give up standing after so long (default: wait for ever)")
	f.BoolVar(&r.try, "try", false, "do not wait: lead now or not at all")
	f.IntVar(&r.priority, "priority", 0, "lead before those of less: `N` from -1000 to 1000")
	f.BoolVar(&r.preempt, "preempt", false, "end the tenure of a leader of lower priority")
	f.DurationVar(&r.tenure, "tenure", 0, "not to be pre-empted before it has led for so long, at most 720h")
	f.DurationVar(&r.aging, "aging", 0, "in which time who waits gains one priority (default: what is in use, or 1m)")
	f.StringArrayVar(&r.labels, "label", nil, "show `KEY=VALUE` to others, besides host, pid, user and cmd; can be repeated")
	f.DurationVar(&r.killAfter, "kill-after", 5*time.Second, "time between SIGTERM and SIGKILL when the leadership is lost")
	f.IntVarP(&r.conflict, "conflict-exit-code", "E", exitNotAcquired, "exit status `N` when it did not come to lead")
	setEnv(f, "value", "CONCH_ELECT_VALUE")
	return c
}

// check refuses what can be seen to be wrong without a cluster.
func (r *electRequest) check() error {
	if err := checkName("NAME", r.name); err != nil {
		return err
	}
	if err := checkTTL(r.ttl); err != nil {
		return err
	}
	switch {
	case len(r.value) > sdk.MaxValue:
		return usage("--value: it has %d bytes: at most %d are allowed", len(r.value), sdk.MaxValue)
	case r.wait < 0:
		return usage("--wait %v: 0 or more is allowed", r.wait)
	case r.try && r.bounded:
		return usage("--try and --wait %v: only one of them is allowed", r.wait)
	case r.priority < sdk.MinPriority || r.priority > sdk.MaxPriority:
		return usage("--priority %d: %d to %d are allowed", r.priority, sdk.MinPriority, sdk.MaxPriority)
	case r.tenure < 0 || r.tenure > sdk.MaxTenure:
		return usage("--tenure %v: 0 to %v are allowed", r.tenure, sdk.MaxTenure)
	case r.aging != 0 && (r.aging < sdk.MinAging || r.aging > sdk.MaxAging):
		return usage("--aging %v: %v to %v are allowed", r.aging, sdk.MinAging, sdk.MaxAging)
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

func (r *electRequest) options() []sdk.CampaignOption {
	opts := []sdk.CampaignOption{sdk.WithCandidateLabels(r.allLabels), sdk.WithPriority(r.priority), sdk.WithTenure(r.tenure), sdk.WithAging(r.aging)}
	if r.preempt {
		opts = append(opts, sdk.WithPreemption())
	}
	switch {
	case r.try:
		opts = append(opts, sdk.WithWait(0))
	case r.bounded:
		opts = append(opts, sdk.WithWait(r.wait))
	}
	return opts
}

// elect stands, leads, and stands again.
func (a *App) elect(ctx context.Context, r *electRequest) error {
	signals, stop := child.Listen()
	defer stop()
	begin, cancel := context.WithTimeout(ctx, a.global.timeout)
	defer cancel()
	c, err := a.connect(begin)
	if err != nil {
		return err
	}
	defer c.Close()
	var s session
	defer func() {
		if s != nil {
			a.closeSession(s)
		}
	}()
	pause := leastPause
	for stoodBefore := false; ; {
		began := time.Now()
		if s == nil || s.Err() != nil {
			s, err = a.openToStand(ctx, c, r, signals)
		}
		if err == nil {
			stoodBefore = true
			err = a.stand(ctx, c, s, r, signals)
		}
		if r.path == "" && isInterrupt(err) {
			return nil // the ordinary end of who only looks on
		}
		if r.once || !again(err, stoodBefore) {
			return err
		}
		if time.Since(began) > settled {
			pause = leastPause
		}
		a.say("%s; standing again", a.printer(a.Err).Explain(err))
		if err := a.pause(pause, r, signals); err != nil {
			if r.path == "" {
				return nil
			}
			return err
		}
		pause, err = min(2*pause, mostPause), nil
	}
}

// again says whether to stand again after err: when the leadership or the
// candidacy was lost, and, once it stood, while the cluster cannot be reached. It
// does not when a SIGTERM came before the command had ended, which was meant for
// both.
func again(err error, stoodBefore bool) bool {
	var lost *lossError
	if errors.As(err, &lost) {
		return !lost.final
	}
	if err == nil || isInterrupt(err) || !stoodBefore {
		return false
	}
	for _, passing := range []error{
		sdk.ErrSessionExpired, sdk.ErrSessionEnded, sdk.ErrBroken, sdk.ErrNoLeader, sdk.ErrUnavailable,
		sdk.ErrUnreachable, sdk.ErrOverloaded, context.DeadlineExceeded,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// openToStand opens a session within --timeout.
func (a *App) openToStand(ctx context.Context, c cell, r *electRequest, signals <-chan os.Signal) (session, error) {
	return waitFor(ctx, a, &r.task, signals,
		func(ctx context.Context) (session, error) {
			ctx, cancel := context.WithTimeout(ctx, a.global.timeout)
			defer cancel()
			return c.Open(ctx, sdk.WithTTL(r.ttl), sdk.WithLabels(r.allLabels))
		},
		func() {}, a.closeSession)
}

// stand waits to lead, and leads until that is over.
func (a *App) stand(ctx context.Context, c cell, s session, r *electRequest, signals <-chan os.Signal) error {
	if err := a.standing(r, report.Standing{Standing: "candidate", Session: s.ID()}); err != nil {
		return err
	}
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if r.try {
		bounded, cancel = context.WithTimeout(ctx, a.global.timeout)
	}
	defer cancel()
	l, err := waitFor(bounded, a, &r.task, signals,
		func(ctx context.Context) (leading, error) {
			return s.Stand(ctx, r.name, []byte(r.value), r.options()...)
		},
		func() { a.tellCandidate(ctx, c, s, r) },
		func(l leading) { a.resign(l, r) })
	if err != nil {
		return a.notElected(ctx, c, err, r)
	}
	defer a.resign(l, r)
	if r.path != "" {
		return a.runUnder(l, &r.task, a.electEnv(s, l, r), signals)
	}
	at := report.Standing{Standing: "leader", Session: s.ID(), Token: l.Token(), Term: l.Term()}
	if err := a.standing(r, at); err != nil {
		return err
	}
	if err := a.hold(l, &r.task, signals); err != nil {
		at.Standing, at.Reason = "lost", a.printer(a.Err).Explain(l.Err())
		return errors.Join(a.standing(r, at), err)
	}
	a.resign(l, r)
	at.Standing = "resigned"
	if err := a.standing(r, at); err != nil {
		return err
	}
	return &interrupted{syscall.SIGINT, r.what}
}

// standing prints how it stands, if nothing is run.
func (a *App) standing(r *electRequest, s report.Standing) error {
	if r.path != "" {
		return nil
	}
	s.Name, s.Value = r.name, sdk.Value(r.value)
	return a.results().Standing(s)
}

// electEnv is the environment of a command that runs under a leadership.
func (a *App) electEnv(s session, l leading, r *electRequest) []string {
	return environment(tenureVariables(), append(predecessorEnv(l.Predecessor()),
		"CONCH_ELECTION="+r.name, "CONCH_TOKEN="+l.Token().String(), "CONCH_SESSION="+s.ID().String(),
		"CONCH_ENDPOINTS="+strings.Join(a.global.endpoints, ","))...)
}

// pause lets some time pass before it stands again.
func (a *App) pause(d time.Duration, r *electRequest, signals <-chan os.Signal) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return nil
		case sig := <-signals:
			if ends(sig) {
				sig := sig.(syscall.Signal)
				return exitWith(128+int(sig), &interrupted{sig, r.what})
			}
		}
	}
}

// tellCandidate says who leads and how many are in front.
func (a *App) tellCandidate(ctx context.Context, c cell, s session, r *electRequest) {
	ctx, cancel := context.WithTimeout(ctx, a.global.timeout)
	defer cancel()
	info, err := c.ShowElection(ctx, r.name)
	if err != nil || info.Leader == nil {
		return
	}
	for _, w := range info.Candidates {
		if w.Session == s.ID() {
			a.say("waiting, %s in line: %s", report.Ordinal(w.Position), a.printer(a.Err).LedBy(info.Name, *info.Leader))
			return
		}
	}
}

// notElected gives the error of a candidacy its exit status.
func (a *App) notElected(ctx context.Context, c cell, err error, r *electRequest) error {
	switch {
	case errors.Is(err, sdk.ErrHeld), errors.Is(err, sdk.ErrWaitTimedOut):
		return exitWith(r.conflict, a.withLeader(ctx, c, err, r))
	case errors.Is(err, sdk.ErrSessionExpired):
		return exitWith(exitNoCluster, fmt.Errorf("%s: the cluster was not reached for %v while waiting: %w", r.what, r.ttl, err))
	}
	return err
}

// withLeader adds to a refusal who leads, when it does not say.
func (a *App) withLeader(ctx context.Context, c cell, err error, r *electRequest) error {
	var refusal *sdk.Error
	if !errors.As(err, &refusal) || refusal.Holder != 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.global.timeout)
	defer cancel()
	info, showErr := c.ShowElection(ctx, r.name)
	if showErr != nil || info.Leader == nil {
		return err
	}
	full, l := *refusal, info.Leader
	full.Holder, full.Token, full.Since, full.HolderLabels = l.Session, l.Token, l.Since, l.Labels
	return &full
}

// resign gives the leadership back. When that is not confirmed it ends with
// the session.
func (a *App) resign(l leading, r *electRequest) {
	if l.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.global.timeout)
	defer cancel()
	if err := l.Resign(ctx); err != nil {
		a.say("%s: the resignation was not confirmed, it ends %v after the cluster heard of this leader last: %s",
			r.what, r.ttl, a.printer(a.Err).Explain(err))
	}
}
