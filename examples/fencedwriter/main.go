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

const usage = `Fencedwriter pays into an account in an SQL database under a lock of Conch.

  fencedwriter race     the whole demonstration: a paused writer wakes up late
  fencedwriter prepare  make the tables and an account with its first balance
  fencedwriter write    pay into the account once

Each has --help. --dsn is the name of an SQLite file or postgres://….
`

var errUsage = errors.New("wrong usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := command(ctx, os.Args[1:], os.Stdin, os.Stdout)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "fencedwriter: %v\n%s", err, usage)
		os.Exit(64)
	default:
		fmt.Fprintf(os.Stderr, "fencedwriter: %v\n", err)
		os.Exit(1)
	}
}

// settings are what the commands have in common.
type settings struct {
	dsn       string
	endpoints []string
	account   string
	ttl       time.Duration
	fence     bool
}

// command runs one of the three commands.
func command(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: name a command", errUsage)
	}
	var s settings
	flags := flag.NewFlagSet("fencedwriter "+args[0], flag.ContinueOnError)
	flags.StringVar(&s.dsn, "dsn", "", "`database`: the name of an SQLite file, or postgres://… (race: default a temporary SQLite file)")
	flags.StringVar(&s.account, "account", "savings", "`name` of the account; its lock is account/NAME")
	endpoints, fenced := "", "on"
	if args[0] != "prepare" {
		flags.StringVar(&endpoints, "endpoints", os.Getenv("CONCH_ENDPOINTS"), "nodes of the cluster, with commas between (race: default a cluster of its own)")
		flags.StringVar(&fenced, "fence", fenced, "on: the database checks the token; off: nobody does")
		flags.DurationVar(&s.ttl, "ttl", 2*time.Second, "how long the cell keeps the lock for a writer that it does not hear of")
	}
	var do func() error
	switch args[0] {
	case "prepare":
		cents := flags.Int64("cents", 0, "the first balance")
		do = func() error { return prepare(ctx, s, *cents) }
	case "write":
		w := writer{in: in, out: out}
		flags.StringVar(&w.name, "name", fmt.Sprintf("pid-%d", os.Getpid()), "what this writer is called in its output")
		flags.Int64Var(&w.cents, "cents", 0, "how much to pay in")
		flags.BoolVar(&w.hold, "hold", false, "before the first write, say so and wait for a line on standard input")
		do = func() error { w.settings = s; return w.run(ctx) }
	case "race":
		binary := flags.String("conch", "", "the conch `program` to start a cluster with (default: build it)")
		do = func() error { return race(ctx, s, *binary, out) }
	default:
		return fmt.Errorf("%w: there is no command %q", errUsage, args[0])
	}
	if err := flags.Parse(args[1:]); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("%w: arguments %q: none are wanted", errUsage, flags.Args())
	case fenced != "on" && fenced != "off":
		return fmt.Errorf("%w: --fence %q: on and off are allowed", errUsage, fenced)
	case s.account == "":
		return fmt.Errorf("%w: --account is empty: name one", errUsage)
	case s.dsn == "" && args[0] != "race":
		return fmt.Errorf("%w: --dsn is not set: name an SQLite file or postgres://…", errUsage)
	case endpoints == "" && args[0] == "write":
		endpoints = "127.0.0.1:7654"
	}
	s.fence = fenced == "on"
	if endpoints != "" {
		s.endpoints = strings.Split(endpoints, ",")
	}
	return do()
}

// money shows cents.
func money(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }
