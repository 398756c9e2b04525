//go:build linux

package main

import (
	"fmt"
	"io"
	"time"
)

// report is what a run found.
type report struct {
	cfg        config
	dir        string
	took       time.Duration
	calms      int           // how often everything healed
	slowest    time.Duration // until everybody had a lock then
	faults     map[string]int
	operations map[string]int
	grants     int
	tenures    int // that the cell told of
	writes     int
	stale      int
	refused    int
	violations []string
}

// mostShown is how many violations are printed.
const mostShown = 50

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\nseed %d, %d nodes, %v\n", r.cfg.seed, r.cfg.nodes, r.took.Round(time.Second))
	total := 0
	for _, n := range r.faults {
		total += n
	}
	fmt.Fprintf(w, "\n%d faults\n", total)
	for _, k := range sortedNames(r.faults) {
		fmt.Fprintf(w, "%10d  %s\n", r.faults[k], k)
	}
	fmt.Fprintf(w, "\noperations\n")
	for _, k := range sortedNames(r.operations) {
		fmt.Fprintf(w, "%10d  %s\n", r.operations[k], k)
	}
	fmt.Fprintf(w, "\n%d grants and %d tenures compared, %d writes, %d of them stale, %d refused by the fence\n",
		r.grants, r.tenures, r.writes, r.stale, r.refused)
	fmt.Fprintf(w, "everything healed %d times, and everybody had a lock after at most %v\n", r.calms, r.slowest.Round(time.Millisecond))
	if len(r.violations) == 0 {
		fmt.Fprintln(w, "no violation")
		return
	}
	fmt.Fprintf(w, "\n%d VIOLATIONS\n", len(r.violations))
	for _, v := range r.violations[:min(len(r.violations), mostShown)] {
		fmt.Fprintln(w, " ", v)
	}
	fmt.Fprintf(w, "logs and diagnostics are in %s; the same plan again: go run ./chaos/procs -seed %d -nodes %d -for %v\n",
		r.dir, r.cfg.seed, r.cfg.nodes, r.cfg.length)
}
