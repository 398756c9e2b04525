// Command simulate runs seeds of the simulation and tells what happened.
//
// Usage:
//
//	simulate -seed 42            one seed, line by line
//	simulate -from 1 -seeds 5000 many seeds, with a summary
//
// It exits with 1 at the first violation and prints the command that replays it.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"sort"
	"time"

	"github.com/conch-lock/conch/chaos/sim"
)

func main() {
	debug.SetGCPercent(400) // a run is short and its garbage small
	seed := flag.Uint64("seed", 0, "run this one seed and print what happens")
	from := flag.Uint64("from", 1, "the first of many seeds")
	seeds := flag.Uint64("seeds", 200, "how many seeds")
	nodes := flag.Int("nodes", 0, "nodes, 3 or 5; 0: 3, and 5 for every fourth seed")
	length := flag.Duration("length", time.Minute, "virtual time with faults, for each seed")
	budget := flag.Duration("budget", 0, "stop after so much real time; 0: after all seeds")
	flag.Parse()
	if *seed != 0 {
		os.Exit(one(sim.Config{Seed: *seed, Nodes: size(*nodes, *seed), Length: *length, Log: os.Stdout}))
	}
	os.Exit(many(*from, *seeds, *nodes, *length, *budget))
}

func size(nodes int, seed uint64) int {
	if nodes != 0 {
		return nodes
	}
	if seed%4 == 0 {
		return 5
	}
	return 3
}

func one(cfg sim.Config) int {
	r, err := sim.Run(cfg)
	fmt.Printf("seed %d: %v virtual, %d events, %d entries, trace %016x\n", r.Seed, r.Virtual, r.Events, r.Entries, r.Trace)
	if err != nil {
		fmt.Println("VIOLATION:", err)
		return 1
	}
	return 0
}

func many(from, seeds uint64, nodes int, length, budget time.Duration) int {
	start := time.Now()
	var virtual time.Duration
	var events, entries, ran uint64
	counts := map[string]int{}
	code := 0
	for s := from; s < from+seeds && (budget == 0 || time.Since(start) < budget); s++ {
		r, err := sim.Run(sim.Config{Seed: s, Nodes: size(nodes, s), Length: length})
		ran++
		virtual += r.Virtual
		events += r.Events
		entries += r.Entries
		for k, n := range r.Counts {
			counts[k] += n
		}
		if ran%1000 == 0 {
			fmt.Fprintf(os.Stderr, "%d seeds in %v\n", ran, time.Since(start).Round(time.Second))
		}
		if err != nil {
			fmt.Printf("VIOLATION: %v\nreplay: make sim SEED=%d\n", err, s)
			code = 1
			break
		}
	}
	took := time.Since(start)
	fmt.Printf("%d seeds from %d in %v: %v virtual (%.0f times real time), %d events, %d entries\n",
		ran, from, took.Round(time.Millisecond), virtual.Round(time.Second), virtual.Seconds()/took.Seconds(), events, entries)
	names := make([]string, 0, len(counts))
	for k := range counts {
		names = append(names, k)
	}
	sort.Strings(names)
	for _, k := range names {
		fmt.Printf("%10d  %s\n", counts[k], k)
	}
	return code
}
