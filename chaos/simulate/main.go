// Command simulate runs seeds of the simulation and tells what happened.
//
// Usage:
//
//	simulate -seed 42                        one run, line by line
//	simulate -seed "42 nodes=3 faults=3,7"   one that was shrunk
//	simulate -from 1 -seeds 5000             many seeds, with a summary
//
// Before many seeds it runs the graveyard: what failed once. When a run fails it
// is made smaller, the command that replays it is printed, and the exit code is
// 1. So it is when one does not come to an end within five minutes of real time,
// which is then named with where its goroutines are, and when a large run, or one
// with -complete, never met one of the situations that a run of the nightly size
// must meet. It is 2 when nothing was run because nothing like it can be.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/conch-lock/conch/chaos/sim"
	"github.com/conch-lock/conch/chaos/tally"
)

// nightly is from how many seeds on a run must have met every situation.
const nightly = 10_000

// garbage is how much gathers before it is collected: a heap is never collected
// below 4 MiB times the percentage that is set.
const garbage = 160 << 20

func main() {
	seed := flag.String("seed", "", "run this one, and nothing else, and print what happens")
	b := batch{}
	jobs := b.flags(flag.CommandLine)
	complete := flag.Bool("complete", false, "fail when a situation never happened; always so from 10,000 seeds on")
	flag.Parse()
	if err := refuse(flag.CommandLine, &b, *jobs); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(2)
	}

	// A run is short and its garbage small: it is collected when there is a lot.
	debug.SetGCPercent(garbage / (4 << 20) * 100)
	debug.SetMemoryLimit(2 * garbage)
	hugeHeap(garbage)
	if given(flag.CommandLine)["seed"] {
		os.Exit(one(*seed))
	}
	start := time.Now()
	var s summary
	if n := b.processes(*jobs); n > 1 {
		var err error
		if s, err = b.shared(n); err != nil {
			fmt.Fprintln(os.Stderr, "simulate:", err)
			os.Exit(2)
		}
	} else {
		s = b.run()
	}
	s.Took = time.Since(start).Seconds()
	s.print(os.Stdout) // before anything else can go wrong
	missing := s.missing()
	if len(missing) > 0 {
		fmt.Printf("never happened: %q\n", missing)
	}
	failed := len(s.Violations) > 0 || len(missing) > 0 && (*complete || s.Seeds >= nightly)
	if b.Into != "" {
		if err := s.write(b.Into); err != nil {
			fmt.Fprintln(os.Stderr, "simulate:", err)
			if !failed {
				os.Exit(2)
			}
		}
	}
	if failed {
		os.Exit(1)
	}
}

// flags says what can be set of many seeds, and sets everything to its default.
func (b *batch) flags(f *flag.FlagSet) (jobs *int) {
	f.Uint64Var(&b.From, "from", 1, "the first of many seeds")
	f.Uint64Var(&b.Seeds, "seeds", 200, "how many seeds")
	f.Uint64Var(&b.Step, "step", 1, "from one seed to the next")
	f.DurationVar(&b.Length, "length", sim.Length, "virtual time with faults, for each seed")
	f.DurationVar(&b.Budget, "budget", 0, "stop after so much real time, and one seed at least; 0: after all seeds")
	f.IntVar(&b.Most, "violations", 1, "stop after so many")
	f.BoolVar(&b.Graveyard, "graveyard", true, "run first what failed once")
	f.StringVar(&b.Into, "json", "", "write the summary into this file")
	return f.Int("jobs", 1, "processes that share the seeds")
}

// given are the flags that the command line has.
func given(flags *flag.FlagSet) map[string]bool {
	out := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { out[f.Name] = true })
	return out
}

// refuse says what of the flags makes no sense.
func refuse(flags *flag.FlagSet, b *batch, jobs int) error {
	set := given(flags)
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("%q: there are no arguments, a run to replay is -seed %q", flags.Arg(0), flags.Arg(0))
	case set["seed"] && len(set) > 1:
		return errors.New("-seed runs one seed and prints what happens: no other flag goes with it, all that can be chosen of the run stands in it, such as -seed \"42 length=6s\"")
	case b.Seeds < 1 || b.Step < 1 || b.Most < 1 || jobs < 1:
		return fmt.Errorf("-seeds %d -step %d -violations %d -jobs %d: each is at least 1", b.Seeds, b.Step, b.Most, jobs)
	case b.Length <= 0 || b.Budget < 0:
		return fmt.Errorf("-length %v -budget %v: a length is above 0, and a budget not below", b.Length, b.Budget)
	case set["json"]:
		return tally.Writable(b.Into)
	}
	return nil
}

// one runs one seed and prints everything.
func one(seed string) int {
	cfg, err := sim.Parse(seed)
	if err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		return 2
	}
	cfg.Log = os.Stdout
	r, err := sim.Run(cfg)
	var v *sim.Violation
	if err != nil && !errors.As(err, &v) {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		return 2
	}
	fmt.Printf("%v: %v virtual, %d events, %d entries, trace %016x\n", r.Config, r.Virtual, r.Events, r.Entries, r.Trace)
	if err != nil {
		fmt.Println("VIOLATION:", err)
		return 1
	}
	return 0
}
