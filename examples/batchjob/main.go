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

const usage = `Batchjob books files of orders into a ledger, one runner at a time.

  batchjob fill  --dir DIR [--files 40] [--orders 50]   make an inbox of orders
  batchjob run   --dir DIR [--name r1] [--endpoints …]  book the inbox; start as many as you like
  batchjob check --dir DIR                              is the ledger what the orders add up to?

Each has --help.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := command(ctx, os.Args[1:], os.Stdout)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "batchjob: %v\n%s", err, usage)
		os.Exit(64)
	default:
		fmt.Fprintf(os.Stderr, "batchjob: %v\n", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("wrong usage")

// command runs one of the three commands.
func command(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: name a command", errUsage)
	}
	flags := flag.NewFlagSet("batchjob "+args[0], flag.ContinueOnError)
	dir := flags.String("dir", "", "`folder` with inbox, done and ledger")
	var do func() error
	switch args[0] {
	case "fill":
		files := flags.Int("files", 40, "how many files")
		orders := flags.Int("orders", 50, "how many orders in each")
		seed := flags.Uint64("seed", 1, "of the orders")
		do = func() error { return fill(store{*dir}, *files, *orders, *seed, out) }
	case "run":
		var r runner
		endpoints := flags.String("endpoints", orElse(os.Getenv("CONCH_ENDPOINTS"), "127.0.0.1:7654"), "nodes of the cluster, with commas between")
		flags.StringVar(&r.name, "name", fmt.Sprintf("pid-%d", os.Getpid()), "what this runner is called in its output")
		flags.DurationVar(&r.ttl, "ttl", 5*time.Second, "how long the cell keeps the lock for a runner that it does not hear of")
		flags.DurationVar(&r.pace, "pace", 0, "spend at least so long on a file, so that a demonstration has a middle")
		flags.BoolVar(&r.unlocked, "without-lock", false, "take no lock and carry no token: the ledger will be wrong")
		do = func() error {
			r.store, r.endpoints, r.out = store{*dir}, strings.Split(*endpoints, ","), out
			return r.run(ctx)
		}
	case "check":
		do = func() error { return check(store{*dir}, out) }
	default:
		return fmt.Errorf("%w: there is no command %q", errUsage, args[0])
	}
	if err := flags.Parse(args[1:]); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if *dir == "" || flags.NArg() > 0 {
		return fmt.Errorf("%w: --dir %q and arguments %q: a folder and nothing else is wanted", errUsage, *dir, flags.Args())
	}
	return do()
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}
