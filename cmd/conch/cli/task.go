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

// patience is how long somebody at a terminal waits before being told for whom.
const patience = time.Second

// task is a command that runs while this process holds something: a lock, or
// the leadership of an election.
type task struct {
	what      string // what is held, in messages: "lock backup"
	cmd       []string
	path      string // of the program; empty without a command
	ttl       time.Duration
	killAfter time.Duration
}

// find looks the program up, before anything is asked of a cluster.
func (t *task) find() (err error) {
	if len(t.cmd) == 0 {
		return nil
	}
	t.path, err = child.Lookup(t.cmd[0])
	return cannotStart(err)
}

// cannotStart gives the failure to start a command the status of a shell's.
func cannotStart(err error) error {
	var start *child.StartError
	if errors.As(err, &start) {
		return exitWith(start.ExitCode(), err)
	}
	return err
}

// nameAndCommand is the rule for arguments like NAME [-- CMD ARG…].
func nameAndCommand(cmd *cobra.Command, args []string) error {
	own := len(args)
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		own = dash
		if dash == len(args) {
			return usage("there is no command after --")
		}
	}
	if own == 0 {
		return usage("NAME is missing")
	}
	if own > 1 {
		return usage("put -- before the command: %s %s -- %s", cmd.CommandPath(), args[0], strings.Join(args[1:], " "))
	}
	return nil
}

// lossError says that what the command ran under was lost. It goes with the exit
// status exitLost.
type lossError struct {
	text  string
	why   error
	final bool // somebody had asked for the end anyway
}

func (e *lossError) Error() string { return e.text }
func (e *lossError) Unwrap() error { return e.why }

// lost makes the error of a loss. format has one %v or %w for why.
func (t *task) lost(why error, format string, args ...any) *lossError {
	args = append([]any{t.what, why}, args...)
	return &lossError{text: fmt.Sprintf("%s was lost"+format, args...), why: why}
}

// runUnder runs the command while h is held.
func (a *App) runUnder(h tenure, t *task, env []string, signals <-chan os.Signal) error {
	if err := h.Err(); err != nil {
		return exitWith(exitLost, t.lost(err, " before %[3]s was started: %[2]v", t.cmd[0]))
	}
	result, err := child.Run(child.Spec{
		Path: t.path, Args: t.cmd, Env: env,
		KillAfter: t.killAfter, Signals: signals, Lost: h.Done(),
		Deadline: h.Deadline, DeadlineEvery: min(max(t.ttl/20, 10*time.Millisecond), time.Second),
	})
	if err != nil {
		return cannotStart(err)
	}
	if len(result.Left) > 0 {
		var left []string
		for _, p := range result.Left {
			left = append(left, p.String())
		}
		a.say("stopped what %s left behind: %s", report.Text(t.cmd[0]), report.Text(strings.Join(left, ", ")))
	}
	if lost := h.Err(); result.Lost || lost != nil {
		if lost == nil {
			lost = errors.New("its time ran out")
		}
		how := "stopped"
		if result.Killed {
			how = "killed"
		}
		e := t.lost(lost, ": %v; %s was %s", t.cmd[0], how)
		e.final = result.Terminated
		return exitWith(exitLost, e)
	}
	if result.GuardDied {
		return exitWith(result.Code, fmt.Errorf("the guard process was killed, and %s with it", t.cmd[0]))
	}
	if result.Code != 0 {
		return exitWith(result.Code, nil)
	}
	return nil
}

// hold keeps what is held until it is lost or the process is interrupted.
func (a *App) hold(h tenure, t *task, signals <-chan os.Signal) error {
	for {
		select {
		case <-h.Done():
			return exitWith(exitLost, t.lost(h.Err(), ": %v"))
		case sig := <-signals:
			if ends(sig) {
				return nil
			}
		}
	}
}

// ends says whether a signal ends a wait. A stop from the terminal is done as
// it is asked for.
func ends(sig os.Signal) bool {
	switch sig.(syscall.Signal) {
	case syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT:
		return true
	case syscall.SIGTSTP:
		child.Suspend()
	}
	return false
}

// interrupted is the end of a wait by a signal.
type interrupted struct {
	sig  syscall.Signal
	what string
}

// isInterrupt says whether a wait was ended by a signal.
func isInterrupt(err error) bool {
	var e *interrupted
	return errors.As(err, &e)
}

func (e *interrupted) Error() string { return fmt.Sprintf("%s: stopped waiting: %v", e.what, e.sig) }

// waitFor waits for what claim brings, for a signal that ends the wait, and
// calls tell once when that takes longer than somebody at a terminal waits
// without a word. What comes together with a signal is given to giveBack.
func waitFor[T any](ctx context.Context, a *App, t *task, signals <-chan os.Signal, claim func(context.Context) (T, error), tell func(), giveBack func(T)) (T, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type outcome struct {
		it  T
		err error
	}
	decided := make(chan outcome, 1)
	go func() { // ends with the claim, which ends with the context
		it, err := claim(ctx)
		decided <- outcome{it, err}
	}()
	patient := time.NewTimer(patience)
	defer patient.Stop()
	var stopped error
	for {
		select {
		case o := <-decided:
			if stopped == nil {
				return o.it, o.err
			}
			if o.err == nil {
				giveBack(o.it)
			}
			var nothing T
			return nothing, stopped
		case sig := <-signals:
			if ends(sig) {
				sig := sig.(syscall.Signal)
				stopped = exitWith(128+int(sig), &interrupted{sig, t.what})
				cancel(stopped)
			}
		case <-patient.C:
			if a.ErrTerminal && a.global.output == "text" {
				tell()
			}
		}
	}
}

// tenureVariables are what a command is told of what it runs under.
func tenureVariables() []string {
	return []string{
		"CONCH_LOCK", "CONCH_ELECTION", "CONCH_TOKEN", "CONCH_SESSION",
		"CONCH_PREDECESSOR_ENDED", "CONCH_PREDECESSOR_TOKEN", "CONCH_PREDECESSOR_VALUE",
	}
}

// predecessorEnv tells a command how who was before it ended.
func predecessorEnv(p sdk.Predecessor) []string {
	if p.Ended == "" {
		return nil
	}
	env := []string{"CONCH_PREDECESSOR_ENDED=" + string(p.Ended), "CONCH_PREDECESSOR_TOKEN=" + p.Token.String()}
	if len(p.Value) > 0 && fitsEnv(p.Value) {
		env = append(env, "CONCH_PREDECESSOR_VALUE="+p.Value.String())
	}
	return env
}

// environment is that of this process with own, KEY=value each, and without
// the variables named in not: what a command is told is about what it runs
// under, and not about what that runs under.
func environment(not []string, own ...string) []string {
	drop := make(map[string]bool)
	for _, name := range not {
		drop[name] = true
	}
	for _, kv := range own {
		name, _, _ := strings.Cut(kv, "=")
		drop[name] = true
	}
	var env []string
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); !drop[name] {
			env = append(env, kv)
		}
	}
	return append(env, own...)
}
