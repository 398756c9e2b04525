package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/conch-lock/conch/cmd/conch/report"
	"github.com/conch-lock/conch/sdk"
)

// App is what the commands touch of the world.
type App struct {
	In       io.Reader
	Out, Err io.Writer
	Now      func() time.Time
	Zone     *time.Location
	// Getenv looks up an environment variable.
	Getenv func(string) (string, bool)
	// ErrTerminal: Err is a terminal, somebody is watching.
	ErrTerminal bool

	dial  func(ctx context.Context, cfg sdk.Config) (cell, error)
	start starter

	global  globals
	givenBy map[string]bool // flags that have their value from the environment
}

// New returns an App on the streams and the environment of the process.
func New() *App {
	return &App{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Now: time.Now, Zone: time.Local,
		Getenv: os.LookupEnv, ErrTerminal: isTerminal(os.Stderr),
		dial: dialSDK, start: startServer,
	}
}

// Run runs the command line args, without the program's name, and returns the
// exit status.
func (a *App) Run(args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	cmd, err := root.ExecuteC()
	var s *status
	if err != nil && !errors.As(err, &s) && codeOf(err) == exitFailed && !a.global.ran {
		// cobra's own complaints: an unknown command or flag.
		err = exitWith(exitUsage, &usageError{err.Error()})
	}
	if value, _ := a.Getenv("CONCH_OUTPUT"); !a.global.ran && !root.PersistentFlags().Changed("output") && value == "json" {
		a.global.output = value // the environment had not been read yet
	}
	a.complain(err, cmd.CommandPath())
	return codeOf(err)
}

// complain says on standard error what went wrong with the command at path.
func (a *App) complain(err error, path string) {
	var s *status
	if err == nil || errors.As(err, &s) && s.err == nil {
		return
	}
	var wrong *usageError
	isUsage := errors.As(err, &wrong)
	p := a.printer(a.Err)
	if p.JSON {
		f := p.FailureOf(err)
		if isUsage {
			f.Code, f.Definite = "USAGE", true
		}
		_ = p.Object(f)
		return
	}
	a.say("%s", p.Explain(err))
	if isUsage {
		fmt.Fprintf(a.Err, "See %s --help.\n", path)
	}
}

// say writes a message to standard error.
func (a *App) say(format string, args ...any) {
	fmt.Fprintf(a.Err, "conch: "+format+"\n", args...)
}

// printer writes to out in the format that was asked for.
func (a *App) printer(out io.Writer) *report.Printer {
	p := report.New(out, a.global.output == "json")
	p.Now, p.Zone = a.Now, a.Zone
	return p
}

// results writes to standard output.
func (a *App) results() *report.Printer { return a.printer(a.Out) }

// action makes the RunE of a command. The error of f is not taken for a
// complaint of cobra's.
func (a *App) action(f func(ctx context.Context, cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.global.ran = true
		return f(cmd.Context(), cmd, args)
	}
}

// isTerminal says whether f is a terminal, or at least a device to look at.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && info.Mode()&os.ModeDevice != 0 && f.Name() != os.DevNull && terminalDevice(f)
}
