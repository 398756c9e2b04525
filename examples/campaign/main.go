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

	"github.com/conch-lock/conch/sdk"
)

const usage = `Campaign hands out numbers, each one once, by one primary with standbys.

  campaign show                  the whole demonstration, with a cluster of its own
  campaign serve --name a        one member; start as many as you like
  campaign follow                ask whoever leads for numbers
  campaign handover --to b       have the primary hand over to the member b

Each has --help.
`

var errUsage = errors.New("wrong usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := command(ctx, os.Args[1:], os.Stdout)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "campaign: %v\n%s", err, usage)
		os.Exit(64)
	default:
		fmt.Fprintf(os.Stderr, "campaign: %v\n", err)
		os.Exit(1)
	}
}

// command runs one of the four commands.
func command(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: name a command", errUsage)
	}
	flags := flag.NewFlagSet("campaign "+args[0], flag.ContinueOnError)
	endpoints := flags.String("endpoints", os.Getenv("CONCH_ENDPOINTS"), "nodes of the cluster, with commas between (default 127.0.0.1:7654; show: a cluster of its own)")
	ttl := 2 * time.Second
	if args[0] == "serve" || args[0] == "show" {
		flags.DurationVar(&ttl, "ttl", ttl, "how long the cell waits for a primary that it does not hear of")
	}
	var do func(client *sdk.Client) error
	name := "campaign " + args[0]
	switch args[0] {
	case "serve":
		m := member{out: out}
		flags.StringVar(&m.name, "name", "", "`name` of this member")
		flags.StringVar(&m.listen, "listen", "127.0.0.1:0", "`address` for clients")
		do = func(client *sdk.Client) error { m.client = client; return m.serve(ctx) }
	case "follow":
		numbers := flags.Int("numbers", 20, "how many numbers to ask for")
		pace := flags.Duration("pace", 100*time.Millisecond, "time between two of them")
		do = func(client *sdk.Client) error {
			return follow(ctx, client, *numbers, *pace, func(n number) { fmt.Fprintf(out, "%d from %s\n", n.n, n.from) })
		}
	case "handover":
		to := flags.String("to", "", "`name` of the member that is to lead")
		do = func(client *sdk.Client) error { return askHandover(ctx, client, *to, out) }
	case "show":
		binary := flags.String("conch", "", "the conch `program` to start a cluster with (default: build it)")
		do = func(*sdk.Client) error { return show(ctx, split(*endpoints), *binary, ttl, out) }
	default:
		return fmt.Errorf("%w: there is no command %q", errUsage, args[0])
	}
	if err := flags.Parse(args[1:]); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: arguments %q: none is wanted", errUsage, flags.Args())
	}
	for _, needed := range []string{"name", "to"} {
		if f := flags.Lookup(needed); f != nil && f.Value.String() == "" {
			return fmt.Errorf("%w: --%s is missing", errUsage, needed)
		}
	}
	if args[0] == "show" {
		return do(nil)
	}
	if *endpoints == "" {
		*endpoints = "127.0.0.1:7654"
	}
	client, err := sdk.Dial(ctx, sdk.Config{Endpoints: split(*endpoints), Name: name, SessionTTL: ttl})
	if err != nil {
		return err
	}
	return errors.Join(do(client), client.Close())
}

func split(endpoints string) []string {
	if endpoints == "" {
		return nil
	}
	return strings.Split(endpoints, ",")
}
