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

	"github.com/conch-lock/conch/chaos/group"
	"github.com/conch-lock/conch/chaos/tally"
	"github.com/conch-lock/conch/internal/planted"
)

func main() {
	group.Keep()
	os.Exit(command())
}

func command() int {
	names := flag.String("bugs", "", "which bugs, by name, with commas between; empty: all")
	seeds := flag.Int("seeds", 300, "how many seeds of the simulation a bug may survive")
	first := flag.Bool("first", false, "stop with each bug at the first that finds it")
	alone := flag.Bool("simulation", false, "run the simulation alone")
	file := flag.String("write", "", "a file to put the table into; with all bugs alone")
	flag.Parse()
	if flag.NArg() > 0 || *seeds < 1 || *file != "" && (*names != "" || *first || *alone) {
		fmt.Fprintln(os.Stderr, "planted: no arguments, at least 1 seed, and -write with all bugs and all findings alone are allowed")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &runner{seeds: *seeds, first: *first, alone: *alone, out: os.Stdout, layers: map[string]*layer{}}
	survivors, err := run(ctx, r, *names, *file)
	if err != nil {
		fmt.Fprintf(os.Stderr, "planted: %v\n", err)
		return 2
	}
	if len(survivors) > 0 {
		fmt.Printf("SURVIVED: %v\n", survivors)
		return 1
	}
	return 0
}

func run(ctx context.Context, r *runner, names, file string) (survivors []planted.Bug, err error) {
	bugs := planted.All()
	if names != "" {
		bugs = nil
		for _, name := range strings.Split(names, ",") {
			b, err := planted.Find(name)
			if err != nil {
				return nil, err
			}
			bugs = append(bugs, b)
		}
	}
	if file != "" { // not after an hour of work
		if _, _, err := around(file); err != nil {
			return nil, err
		}
		if err := tally.Writable(file); err != nil {
			return nil, err
		}
	}
	if r.bin, err = os.MkdirTemp("", "planted-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(r.bin)
	if r.packages, err = packages(); err != nil {
		return nil, err
	}
	if r.places, err = places(r.packages); err != nil {
		return nil, err
	}
	start := time.Now()
	results, err := r.all(ctx, bugs)
	if err != nil {
		return nil, err
	}
	simulated, wider, tested := 0, 0, 0
	for _, res := range results {
		if res.simulation != nil {
			simulated++
		}
		if res.wider != nil {
			wider++
		}
		if res.tests != nil {
			tested++
		}
		if res.survived() {
			survivors = append(survivors, res.bug)
		}
	}
	fmt.Printf("\n%s\n%d bugs in %v: the simulation found %d, shell and damage %d, tests %d, and %d survived\n",
		table(results), len(results), time.Since(start).Round(time.Second), simulated, wider, tested, len(survivors))
	if file != "" {
		err = write(file, table(results))
	}
	return survivors, err
}
