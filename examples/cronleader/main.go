package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = `Cronleader runs a schedule once, in any number of workers.

  cronleader show                a cluster, three workers, and SIGKILL of the one that runs
  cronleader run    --db FILE    one worker; start as many as you like
  cronleader check  --db FILE    did every tick run once?

Each has --help. --by says what the workers agree by: elector, locker or nothing.
`

var errUsage = errors.New("wrong usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := command(ctx, os.Args[1:], os.Stdout)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "cronleader: %v\n%s", err, usage)
		os.Exit(64)
	default:
		fmt.Fprintf(os.Stderr, "cronleader: %v\n", err)
		os.Exit(1)
	}
}

// What workers agree by.
const (
	byElector = "elector"
	byLocker  = "locker"
	byNothing = "nothing"
)

// settings are what the commands have in common.
type settings struct {
	db        string
	by        string
	endpoints []string
	every     time.Duration
	ttl       time.Duration
}

// command runs one of the three commands.
func command(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: name a command", errUsage)
	}
	var s settings
	flags := flag.NewFlagSet("cronleader "+args[0], flag.ContinueOnError)
	flags.StringVar(&s.db, "db", "", "the SQLite `file` of the ticks (show: default a temporary one)")
	flags.DurationVar(&s.every, "every", 500*time.Millisecond, "the time between two ticks, at least 100ms")
	endpoints := ""
	if args[0] != "check" {
		flags.StringVar(&s.by, "by", byElector, "what workers agree by: elector, locker, or nothing")
		flags.StringVar(&endpoints, "endpoints", os.Getenv("CONCH_ENDPOINTS"), "nodes of the cluster, with commas between (show: default a cluster of its own)")
		flags.DurationVar(&s.ttl, "ttl", 2*time.Second, "how long the cell waits for a worker that it does not hear of")
	}
	var do func() error
	switch args[0] {
	case "run":
		w := worker{out: out}
		flags.StringVar(&w.name, "name", fmt.Sprintf("pid-%d", os.Getpid()), "what this worker is called")
		do = func() error { w.settings = s; return w.run(ctx) }
	case "check":
		gap := flags.Duration("gap", 0, "the longest time between two ticks that is allowed (default: any)")
		do = func() error { return check(ctx, s, *gap, out) }
	case "show":
		binary := flags.String("conch", "", "the conch `program` to start a cluster with (default: build it)")
		kills := flags.Int("kills", 2, "how often to kill the worker that runs")
		do = func() error { return show(ctx, s, *binary, *kills, out) }
	default:
		return fmt.Errorf("%w: there is no command %q", errUsage, args[0])
	}
	if err := flags.Parse(args[1:]); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if endpoints != "" {
		s.endpoints = strings.Split(endpoints, ",")
	} else if args[0] == "run" {
		s.endpoints = []string{"127.0.0.1:7654"}
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("%w: arguments %q: none is wanted", errUsage, flags.Args())
	case s.db == "" && args[0] != "show":
		return fmt.Errorf("%w: --db is missing", errUsage)
	case s.every < 100*time.Millisecond:
		return fmt.Errorf("%w: --every %v: at least 100ms is wanted", errUsage, s.every)
	case args[0] != "check" && s.by != byElector && s.by != byLocker && s.by != byNothing:
		return fmt.Errorf("%w: --by %q: elector, locker or nothing is wanted", errUsage, s.by)
	}
	return do()
}
