// Command torture runs all layers that break Conch for some minutes or hours,
// unattended, and leaves a report.
//
// Usage:
//
//	torture -for 10m              what make chaos does
//	torture -for 8h -seed 1234    what make torture does, from a seed
//	torture -for 2h -sim-length 4s
//	                              with short runs of the simulation, and more of them
//
// Two lanes run side by side, so that two cores are busy: what starts processes in
// one, and what only calculates in the other; in each its layers ([layers]) one
// after the other, again and again, each for its part of the time. What they wrote
// stays in the folder of the report. A layer that fails does not stop the others;
// the exit code is 1 when one did. One that hangs is ended with all its processes,
// and says in its log where its goroutines were, and so is what runs when torture is
// killed; one that fails three times in a
// row as soon as it has begun is given up.
//
// The report adds up what all of them did: faults by kind that took effect,
// operations that were judged, power cuts, damages, inputs. A run of five minutes or
// more in which there was too little of it for its length ([minimums]) has proved
// nothing and fails, and so does one in which a layer had the time for everything
// and something never happened.
//
// It is run from the root of the repository. Layers that need root or Linux are
// left out, and named, where that is missing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/conch-lock/conch/chaos/group"
	"github.com/conch-lock/conch/chaos/sim"
	"github.com/conch-lock/conch/chaos/tally"
)

func main() {
	group.Keep()
	length := flag.Duration("for", 10*time.Minute, "how long")
	seed := flag.Uint64("seed", 0, "where seeds begin; 0: from the clock")
	faults := flag.Duration("sim-length", sim.Length, "virtual time with faults for each seed of the simulation: the shorter, the more seeds")
	dir := flag.String("dir", "", "folder of the report; empty: reports/SEED")
	flag.Parse()
	if flag.NArg() > 0 || *length < shortest {
		fmt.Fprintf(os.Stderr, "torture: no arguments are allowed, and -for must be %v or more\n", shortest)
		os.Exit(2)
	}
	if *faults <= 0 {
		fmt.Fprintf(os.Stderr, "torture: -sim-length %v: must be above 0\n", *faults)
		os.Exit(2)
	}
	if *seed == 0 {
		*seed = uint64(time.Now().Unix()) * 1000
	}
	if *dir == "" {
		*dir = filepath.Join("reports", fmt.Sprint(*seed))
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(2)
	}
	into := filepath.Join(*dir, "report.md")
	if err := tally.Writable(into); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(2)
	}
	fmt.Printf("torture: seed %d, for %v, report in %s\n", *seed, *length, *dir)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := torture(ctx, layers(os.Geteuid() == 0, *faults), *length, *seed, *dir)
	text := r.text()
	fmt.Print(text)
	if err := os.WriteFile(into, []byte(text), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(2)
	}
	if r.failed() {
		os.Exit(1)
	}
}

// shortest is for how long it can run: layers count in seconds, and take none for
// no end at all.
const shortest = time.Second

// torture runs both lanes until the time is over.
func torture(ctx context.Context, all []layer, length time.Duration, seed uint64, dir string) *report {
	r := &report{seed: seed, began: time.Now(), length: length, layers: all}
	end := r.began.Add(length)
	var wait sync.WaitGroup
	for lane := range lanes {
		var its []layer
		for _, l := range all {
			if l.lane == lane && l.lacks == "" {
				its = append(its, l)
			} else if l.lane == lane {
				r.left = append(r.left, l)
			}
		}
		if len(its) > 0 {
			wait.Go(func() { run(ctx, r, its, end, seed, dir) })
		}
	}
	wait.Wait()
	r.took, r.interrupted = time.Since(r.began), ctx.Err() != nil
	return r
}

// longest is how long that layer of a lane runs at a time which has the most parts.
// The history that procs judges in the end grows with it: in ten minutes it has one
// and a half million operations, and judging them takes gigabytes.
const longest = 10 * time.Minute

// least is how long a layer runs at a time, and again how much time there must be
// left for a lane to begin from the start: what is built and judged takes as long.
const (
	least = 5 * time.Second
	again = time.Minute
)

// A layer that fails at once so often in a row is not run again: it would fail for
// the rest of the night.
const (
	mostAtOnce = 3
	atOnce     = 30 * time.Second
)

// run runs the layers of a lane in turn until the end, or until each has failed at
// once too often. When it cannot write its own files it stops.
func run(ctx context.Context, r *report, lane []layer, end time.Time, seed uint64, dir string) {
	lane, failures := slices.Clone(lane), map[string]int{} // by layer, in a row
	for n := uint64(0); ; n++ {
		lane = slices.DeleteFunc(lane, func(l layer) bool { return failures[l.name] >= mostAtOnce })
		if len(lane) == 0 || n > 0 && time.Until(end) < again {
			return
		}
		for i, l := range lane {
			if ctx.Err() != nil {
				return
			}
			share := max(part(lane, i, time.Until(end)), least)
			res := l.run(ctx, share, seed+n*max(1, l.apart), filepath.Join(dir, fmt.Sprintf("%s-%d", l.name, n)))
			if res.err != nil && res.took < min(atOnce, share/2) {
				failures[l.name]++
				res.last = failures[l.name] == mostAtOnce
			} else {
				failures[l.name] = 0
			}
			if r.add(res); res.own {
				return
			}
		}
	}
}

// part is what the layer at i has of the time that is left for it and all behind it,
// as far as none is to run for longer than it should at a time.
func part(lane []layer, i int, left time.Duration) time.Duration {
	sum, most := 0, 1
	for j, l := range lane {
		most = max(most, l.parts)
		if j >= i {
			sum += max(1, l.parts)
		}
	}
	own := time.Duration(max(1, lane[i].parts))
	return min(left*own/time.Duration(sum), longest*own/time.Duration(most))
}
