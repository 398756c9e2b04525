//go:build linux

package main

import (
	"fmt"
	"io"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/tally"
)

// report is what a run found.
type report struct {
	cfg        config
	dir        string
	took       time.Duration
	cuts       int            // disks whose power was cut, in that mode
	power      int64          // disks that lost what was not synced, in either
	rounds     int            // of one or several at once
	calms      int            // how often everything healed
	slowest    time.Duration  // until everybody had a lock then
	held       time.Duration  // for how long the machine held something up
	active     time.Duration  // in which faults were brought
	faults     map[string]int // that took effect; 0: of a kind that might have
	vain       map[string]int // that did not
	losses     int            // of sessions
	excused    map[string]int // of them, by the reason
	broken     error          // why the run could not go on; nil: it did
	operations map[string]int
	tenures    int // that the cell told of
	history    int // operations that were recorded
	revisions  uint64
	deliveries int // to watchers and observers
	queues     int // that were looked at
	opinion    check.Opinion
	judged     []check.Count
	writes     int
	stale      int
	refused    int
	violations []string
	stuck      bool // somebody made no progress, and the run was broken off
}

// mostShown is how many violations are printed.
const mostShown = 50

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\nseed %d, %d nodes, %v\n", r.cfg.seed, r.cfg.nodes, r.took.Round(time.Second))
	total, kinds := 0, 0
	for _, n := range r.faults {
		if total += n; n > 0 {
			kinds++
		}
	}
	idle := 0
	for _, n := range r.vain {
		idle += n
	}
	fmt.Fprintf(w, "\n%d faults of %d of %d kinds, and %d more that came to nothing\n", total, kinds, len(r.faults), idle)
	for _, k := range sortedNames(r.faults) {
		fmt.Fprintf(w, "%10d  %s\n", r.faults[k], k)
	}
	for _, k := range sortedNames(r.vain) {
		fmt.Fprintf(w, "%10d  came to nothing: %s\n", r.vain[k], k)
	}
	if r.cuts > 0 {
		fmt.Fprintf(w, "power was cut %d times, in %d rounds of one to %d nodes at once\n", r.cuts, r.rounds, r.cfg.nodes)
	}
	fmt.Fprintf(w, "\noperations\n")
	for _, k := range sortedNames(r.operations) {
		fmt.Fprintf(w, "%10d  %s\n", r.operations[k], k)
	}
	fmt.Fprintf(w, "\n%d tenures compared, %d writes, %d of them stale, %d refused by the fence\n", r.tenures, r.writes, r.stale, r.refused)
	fmt.Fprintf(w, "%d operations and %d revisions replayed, revision by revision, with %d deliveries to watchers and observers and %d looks at queues: judged by %d checkers\n",
		r.history, r.revisions, r.deliveries, r.queues, len(check.Checkers()))
	for _, c := range r.judged {
		fmt.Fprintln(w, c)
	}
	fmt.Fprintf(w, "%d of the operations put in order without revisions, by porcupine: %d steps of %d locks, elections and keys, at most %d of one\n",
		r.opinion.Operations, r.opinion.Steps, r.opinion.Parts, r.opinion.Largest)
	for _, k := range sortedNames(r.opinion.LeftOut) {
		fmt.Fprintf(w, "%10d  left out: %s\n", r.opinion.LeftOut[k], k)
	}
	fmt.Fprintf(w, "%d sessions were lost\n", r.losses)
	for _, k := range sortedNames(r.excused) {
		fmt.Fprintf(w, "%10d  because of %s\n", r.excused[k], k)
	}
	fmt.Fprintf(w, "everything healed %d times, and everybody had a lock after at most %v; the machine held something up for %v of %v\n",
		r.calms, r.slowest.Round(time.Millisecond), r.held.Round(time.Millisecond), r.took.Round(time.Second))
	if r.broken != nil {
		fmt.Fprintf(w, "THE RUN WAS BROKEN OFF: %v\n", r.broken)
	}
	if len(r.violations) == 0 && r.broken == nil {
		fmt.Fprintln(w, "no violation")
		return
	}
	fmt.Fprintf(w, "\n%d VIOLATIONS\n", len(r.violations))
	for _, v := range r.violations[:min(len(r.violations), mostShown)] {
		fmt.Fprintln(w, " ", v)
	}
	fmt.Fprintf(w, "logs and diagnostics are in %s; the same plan again: %s\n", r.dir, r.cfg.command())
}

// tally is what was done, for who adds it up.
func (r *report) tally() *tally.Tally {
	t := tally.New()
	for k, n := range r.faults {
		t.Faults[k] = uint64(n)
	}
	for k, n := range r.vain {
		t.Vain[k] = uint64(n)
	}
	if r.cuts == 0 { // otherwise little but power cuts is to come up
		for _, c := range r.judged {
			t.Judged[c.Checker+": "+c.What] = uint64(c.N)
		}
	}
	t.Active = r.active.Seconds()
	t.Counts[tally.Checked] = uint64(r.history)
	t.Counts[tally.Ordered] = uint64(r.opinion.Operations)
	t.Counts[tally.PowerCuts] = uint64(r.power)
	t.Counts[tally.Injections] = uint64(r.faults[fileDamaged])
	return t
}
