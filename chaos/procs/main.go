//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if spec := os.Getenv(asClient); spec != "" {
		os.Exit(clientProcess(spec)) // started by itself, see process.go
	}
	os.Exit(command())
}

func command() int {
	var cfg config
	flag.DurationVar(&cfg.length, "for", 5*time.Minute, "how long to break things")
	flag.Uint64Var(&cfg.seed, "seed", 0, "what to break when; 0: from the clock")
	flag.IntVar(&cfg.nodes, "nodes", 3, "nodes, 3 or 5")
	flag.BoolVar(&cfg.power, "power", false, "cut power, too; needs root")
	flag.BoolVar(&cfg.loopback, "loopback", false, "no network namespaces, even as root")
	flag.DurationVar(&cfg.arrival, "arrival", 3*time.Second, "mean time between faults")
	flag.IntVar(&cfg.most, "most", 4, "most faults at a time")
	flag.DurationVar(&cfg.calm, "calm", 30*time.Second, "mean time between moments at which everything heals")
	flag.IntVar(&cfg.cuts, "cuts", 0, "cut power so often, one node or several at once, and do nothing else; needs root")
	flag.BoolVar(&cfg.clock, "clock", false, "build conch with clocks that go wrong while it runs, or take -binary for a program that was built so")
	flag.BoolVar(&cfg.crowd, "crowd", false, "in the end have ten thousand sessions, a thousand waiters and an overload come")
	flag.IntVar(&cfg.keys, "keys", 12, "so many more clients that work with keys, beside a few of every kind")
	flag.StringVar(&cfg.binary, "binary", "", "a conch program to use instead of building one")
	flag.StringVar(&cfg.dir, "dir", "", "a folder for data and logs that stays; empty: a temporary one, kept after a violation")
	flag.Parse()
	if flag.NArg() > 0 || cfg.nodes != 3 && cfg.nodes != 5 || cfg.most < 1 || cfg.length <= 0 || cfg.arrival <= 0 || cfg.calm <= 0 || cfg.keys < 0 {
		fmt.Fprintln(os.Stderr, "procs: no arguments, 3 or 5 nodes, and durations and counts above 0 are allowed")
		return 2
	}
	if cfg.cuts > 0 {
		cfg.power, cfg.loopback = true, true
	}
	if cfg.seed == 0 {
		cfg.seed = uint64(time.Now().UnixNano()) % 1e9
	}
	cfg.out = os.Stdout
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := run(ctx, cfg)
	if err != nil {
		fmt.Fprintf(os.Stderr, "procs: seed %d: %v\n", cfg.seed, err)
		return 2
	}
	report.print(os.Stdout)
	if len(report.violations) > 0 {
		return 1
	}
	return 0
}
