//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/conch-lock/conch/chaos/tally"
	"github.com/conch-lock/conch/internal/cluster"
)

func main() {
	if spec := os.Getenv(asClient); spec != "" {
		os.Exit(clientProcess(spec)) // started by itself, see process.go
	}
	os.Exit(command())
}

func command() int {
	var cfg config
	cfg.flags(flag.CommandLine)
	flag.Parse()
	if flag.NArg() > 0 || cfg.nodes != 3 && cfg.nodes != 5 || cfg.most < 1 || cfg.length <= 0 || cfg.arrival <= 0 || cfg.calm <= 0 || cfg.keys < 0 || cfg.cuts < 0 {
		fmt.Fprintln(os.Stderr, "procs: no arguments, 3 or 5 nodes, and durations and counts above 0 are allowed")
		return 2
	}
	if cfg.cuts > 0 {
		cfg.power, cfg.loopback = true, true
	}
	if cfg.seed == 0 {
		cfg.seed = uint64(time.Now().UnixNano()) % 1e9
	}
	if cfg.tally != "" {
		if err := tally.Writable(cfg.tally); err != nil {
			fmt.Fprintln(os.Stderr, "procs:", err)
			return 2
		}
	}
	cfg.out = os.Stdout
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := run(ctx, cfg)
	if err != nil {
		fmt.Fprintf(os.Stderr, "procs: %v\nthe same plan again: %s\n", err, cfg.command())
		return 2
	}
	report.print(os.Stdout)
	if cfg.tally != "" {
		if err := report.tally().Write(cfg.tally); err != nil {
			fmt.Fprintln(os.Stderr, "procs:", err)
			return 2
		}
	}
	if len(report.violations) > 0 {
		return 1
	}
	if report.broken != nil {
		return 2
	}
	return 0
}

// flags says what can be set, and sets everything to its default.
func (cfg *config) flags(f *flag.FlagSet) {
	f.DurationVar(&cfg.length, "for", 5*time.Minute, "how long to break things")
	f.Uint64Var(&cfg.seed, "seed", 0, "what to break when; 0: from the clock")
	f.IntVar(&cfg.nodes, "nodes", 3, "nodes, 3 or 5")
	f.BoolVar(&cfg.power, "power", false, "cut power, too; needs root")
	f.BoolVar(&cfg.loopback, "loopback", false, "no network namespaces, even as root")
	f.DurationVar(&cfg.arrival, "arrival", 3*time.Second, "mean time between faults")
	f.IntVar(&cfg.most, "most", 4, "most faults at a time")
	f.DurationVar(&cfg.calm, "calm", 30*time.Second, "mean time between moments at which everything heals")
	f.IntVar(&cfg.cuts, "cuts", 0, "cut power so often, one node or several at once, and do nothing else; needs root")
	f.BoolVar(&cfg.clock, "clock", false, "build conch with clocks that go wrong while it runs, or take -binary for a program that was built so")
	f.BoolVar(&cfg.crowd, "crowd", false, "in the end have ten thousand sessions, a thousand waiters and an overload come")
	f.IntVar(&cfg.keys, "keys", 12, "so many more clients that work with keys, beside a few of every kind")
	f.StringVar(&cfg.binary, "binary", "", "a conch program to use instead of building one")
	f.StringVar(&cfg.tally, "tally", "", "a file into which to write what was done, as JSON")
	f.StringVar(&cfg.dir, "dir", "", "a folder for data and logs that stays; empty: a temporary one, kept after a violation")
}

// command is the command that runs the same plan again. Its files are others.
func (cfg config) command() string {
	all, same := flag.NewFlagSet("", flag.ContinueOnError), config{}
	same.flags(all)
	same = cfg // which the flags tell
	same.dir, same.tally = "", ""
	line := "go run ./chaos/procs"
	all.VisitAll(func(f *flag.Flag) {
		switch v := f.Value.String(); {
		case v == f.DefValue:
		case v == "true":
			line += " -" + f.Name
		default:
			line += " -" + f.Name + " " + quoted(v)
		}
	})
	if path := os.Getenv(cluster.BinaryVariable); path != "" && cfg.binary == "" {
		line = cluster.BinaryVariable + "=" + quoted(path) + " " + line
	}
	return line
}

// quoted is how a shell takes it for one word.
func quoted(s string) string {
	if !strings.ContainsFunc(s, func(c rune) bool {
		return !strings.ContainsRune("-_./:", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
