package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/conch-lock/conch/chaos/tally"
)

// totals are what was done, by layer, in all its runs.
type totals map[string]*tally.Tally

// totals adds up what the layers told.
func (r *report) totals() totals {
	out := totals{}
	for i := range r.results {
		x := &r.results[i]
		if out[x.layer] == nil {
			out[x.layer] = tally.New()
		}
		out[x.layer].Add(x.done)
	}
	return out
}

// sum is what all layers did.
func (t totals) sum() *tally.Tally {
	out := tally.New()
	for _, x := range t {
		out.Add(x)
	}
	return out
}

// complete is from how long on a run must have reached its minimums, which are for
// ten minutes, and grow with the time.
const complete = 5 * time.Minute

// minimum is how much there must have been of something in ten minutes. They are a
// quarter, and less, of what ten minutes are on two cores with other things to do.
type minimum struct {
	what  string
	least uint64
	of    []string // the layers that do it: without one of them it is not asked for
}

func minimums() []minimum {
	return []minimum{
		{tally.Ordered, 100_000, []string{"procs", "shell", "cuts"}},
		{tally.Checked, 300_000, []string{"procs", "shell", "cuts", "sim"}},
		{tally.PowerCuts, 25, []string{"cuts"}},
		{tally.Crashes, 10_000, []string{"sim", "shell", "crashes"}},
		{tally.Injections, 300, []string{"damage"}},
		{tally.Executions, 5_000, []string{"fuzz"}},
		{tally.Seeds, 400, []string{"sim", "shell"}},
	}
}

// leastFaults is how many faults of real processes there must be in ten minutes.
const leastFaults = 50

// shortfalls says of what there was too little for a run of this length to have
// proved anything. Layers that were left out are not asked.
func (r *report) shortfalls() []string {
	var out []string
	if r.length < complete || r.interrupted {
		return nil
	}
	share, done := r.length.Seconds()/600, r.totals()
	sum := done.sum()
	ask := func(what string, got, least uint64) {
		if want := uint64(float64(least) * share); got < want {
			out = append(out, fmt.Sprintf("%s: %s: a run of %v must have %s", what, thousands(got), r.length, thousands(want)))
		}
	}
	for _, m := range minimums() {
		if slices.ContainsFunc(m.of, func(l string) bool { return r.ran(l) }) {
			ask(m.what, sum.Counts[m.what], m.least)
		}
	}
	if r.ran("procs") {
		ask("faults of real processes", done["procs"].Total(), leastFaults)
	}
	for _, l := range r.layers {
		x := done[l.name]
		if x != nil && l.enough != nil && l.enough(x) {
			for _, kind := range x.Never() {
				out = append(out, fmt.Sprintf("%s: this never happened, though there was time enough: %s (tried %d times)", l.name, kind, x.Vain[kind]))
			}
		}
		if x != nil && l.plenty != nil && l.plenty(x) {
			for _, what := range x.Unjudged() {
				out = append(out, fmt.Sprintf("%s: this never came up, though there was time enough: %s", l.name, what))
			}
		}
	}
	return out
}

func (r *report) ran(name string) bool {
	return slices.ContainsFunc(r.results, func(x result) bool { return x.layer == name })
}

// thousands writes a number with a comma before every three digits.
func thousands(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// text is the totals for people: what was done, and the faults by kind and layer.
func (t totals) text(b *strings.Builder) {
	sum := t.sum()
	fmt.Fprintf(b, "\n## Totals\n\n| what | in all | by layer |\n|---|---|---|\n")
	row := func(what string, of func(*tally.Tally) uint64) {
		var by []string
		for _, l := range slices.Sorted(maps.Keys(t)) {
			if n := of(t[l]); n > 0 {
				by = append(by, l+" "+thousands(n))
			}
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", what, thousands(of(sum)), strings.Join(by, ", "))
	}
	row("faults that took effect", (*tally.Tally).Total)
	row("kinds of them", (*tally.Tally).Kinds)
	for _, what := range slices.Sorted(maps.Keys(sum.Counts)) {
		row(what, func(x *tally.Tally) uint64 { return x.Counts[what] })
	}
	fmt.Fprintf(b, "\n| fault | layer | took effect | came to nothing |\n|---|---|---|---|\n")
	for _, l := range slices.Sorted(maps.Keys(t)) {
		for _, kind := range slices.Sorted(maps.Keys(t[l].Faults)) {
			fmt.Fprintf(b, "| %s | %s | %s | %s |\n", kind, l, thousands(t[l].Faults[kind]), thousands(t[l].Vain[kind]))
		}
	}
}
