package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/conch-lock/conch/chaos/tally"
)

// report is what came of it all.
type report struct {
	seed   uint64
	began  time.Time
	length time.Duration
	took   time.Duration
	layers []layer // all that there are
	left   []layer // of them, left out

	interrupted bool // before its time was over

	mu      sync.Mutex
	results []result
}

// result is one run of a layer.
type result struct {
	layer   string
	seed    uint64
	log     string
	command []string
	began   time.Time
	took    time.Duration
	err     error
	cut     bool         // somebody ended it, with nothing wrong in its log
	own     bool         // its log could not be written: it was not run
	last    bool         // it has failed at once so often that it is given up
	done    *tally.Tally // nil: it has not told
	sim     *simulated   // of the simulation alone
	tail    string       // the end of what it wrote
}

// simulated is what the simulation says of itself; see chaos/simulate.
type simulated struct {
	From, Seeds      uint64
	Virtual, CPU     float64
	Entries, Checked uint64
	Situations       map[string]uint64
	Faults           map[string]uint64
	Violations       []struct{ Property, What, Replay, Full string }
}

func (r *report) add(res result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, res)
	outcome := "nothing was found"
	switch {
	case res.cut:
		outcome = brokenOff
	case res.err != nil:
		outcome = "FAILED: " + res.err.Error()
	}
	if res.last {
		outcome += fmt.Sprintf("; it has failed at once %d times and is given up", mostAtOnce)
	}
	fmt.Printf("torture: %s, seed %d, %v: %s\n", res.layer, res.seed, res.took.Round(time.Second), outcome)
}

// found says whether something was found.
func (r *report) found() bool {
	return slices.ContainsFunc(r.results, func(x result) bool { return x.err != nil && !x.cut })
}

// failed says whether something was found, or too little was done to find it.
func (r *report) failed() bool { return r.found() || r.interrupted || len(r.shortfalls()) > 0 }

// brokenOff is the outcome of what somebody ended.
const brokenOff = "broken off, nothing was found until then"

// alarms are what the logs of layers have at once when something is wrong.
var alarms = regexp.MustCompile(`VIOLATION|--- FAIL|DATA RACE|(?m)^panic:`)

// read takes in what a layer left.
func (x *result) read(l *layer, into string) {
	x.done, _ = tally.Read(tallyFile(into)) // which it does not write when it was broken off
	if b, err := os.ReadFile(into + ".json"); err == nil {
		s := &simulated{}
		if json.Unmarshal(b, s) == nil {
			x.sim, x.done = s, s.tally()
		}
	}
	if b, err := os.ReadFile(x.log); err == nil {
		if l.counted != nil {
			x.done = l.counted(b)
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		x.tail = strings.Join(lines[max(0, len(lines)-max(15, l.lines)):], "\n")
	}
}

// nodeCrashed is the situation of the simulation that counts its power cuts.
const nodeCrashed = "node crashed"

// tally is what the simulation did.
func (s *simulated) tally() *tally.Tally {
	out := tally.New()
	maps.Copy(out.Faults, s.Faults)
	maps.Copy(out.Judged, s.Situations)
	out.Counts[tally.Seeds] = s.Seeds
	out.Counts[tally.Checked] = s.Checked
	out.Counts[tally.Crashes] = s.Situations[nodeCrashed]
	return out
}

// text is the report for people.
func (r *report) text() string {
	var b strings.Builder
	verdict, short := "nothing was found", r.shortfalls()
	switch {
	case r.found():
		verdict = "SOMETHING WAS FOUND"
	case r.interrupted:
		verdict = brokenOff
	case len(short) > 0:
		verdict = "TOO LITTLE WAS DONE to find anything"
	}
	fmt.Fprintf(&b, "\n# Torture from seed %d: %s\n\nBegun %s, took %v of %v.\n\n", r.seed, verdict,
		r.began.UTC().Format(time.DateTime), r.took.Round(time.Second), r.length)
	for _, l := range r.left {
		fmt.Fprintf(&b, "Left out: %s (%s); it needs %s.\n", l.name, l.what, l.lacks)
	}
	for _, x := range short {
		fmt.Fprintf(&b, "\n**Too little**: %s\n", x)
	}
	fmt.Fprintf(&b, "\n| layer | seed | took | outcome | log |\n|---|---|---|---|---|\n")
	for _, x := range r.results {
		outcome := "ok"
		if x.cut {
			outcome = brokenOff
		} else if x.err != nil {
			outcome = strings.ReplaceAll(x.err.Error(), "\n", " ")
		}
		if x.last {
			outcome += "; given up"
		}
		fmt.Fprintf(&b, "| %s | %d | %v | %s | %s |\n", x.layer, x.seed, x.took.Round(time.Second), outcome, x.log)
	}
	r.totals().text(&b)
	for _, x := range r.results {
		if x.sim != nil {
			x.sim.text(&b)
		} else {
			fmt.Fprintf(&b, "\n## %s, seed %d\n\n    %s\n\n```\n%s\n```\n", x.layer, x.seed, strings.Join(x.command, " "), x.tail)
		}
	}
	return b.String()
}

func (s *simulated) text(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Simulation\n\n%d seeds from %d, %.1f virtual hours, %.0f virtual seconds for each of processor time, %d entries, %d operations checked.\n",
		s.Seeds, s.From, s.Virtual/3600, s.Virtual/max(s.CPU, 1), s.Entries, s.Checked)
	for _, v := range s.Violations {
		fmt.Fprintf(b, "\n**%s**: %s\n\n    %s\n\nas it was found: `%s`\n", v.Property, v.What, v.Replay, v.Full)
	}
	for _, part := range []struct {
		what   string
		counts map[string]uint64
	}{{"fault", s.Faults}, {"situation", s.Situations}} {
		fmt.Fprintf(b, "\n| %s | times |\n|---|---|\n", part.what)
		for _, k := range slices.Sorted(maps.Keys(part.counts)) {
			fmt.Fprintf(b, "| %s | %d |\n", k, part.counts[k])
		}
	}
}
