package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// report is what came of it all.
type report struct {
	seed   uint64
	began  time.Time
	length time.Duration
	took   time.Duration
	left   []layer // left out

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
	own     bool       // its log could not be written: it was not run
	last    bool       // it has failed at once so often that it is given up
	sim     *simulated // of the simulation alone
	tail    string     // the end of what it wrote
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
	if res.err != nil {
		outcome = "FAILED: " + res.err.Error()
	}
	if res.last {
		outcome += fmt.Sprintf("; it has failed at once %d times and is given up", mostAtOnce)
	}
	fmt.Printf("torture: %s, seed %d, %v: %s\n", res.layer, res.seed, res.took.Round(time.Second), outcome)
}

// failed says whether something was found.
func (r *report) failed() bool {
	return slices.ContainsFunc(r.results, func(x result) bool { return x.err != nil })
}

// read takes in what a layer left, and so many lines of the end of its log.
func (x *result) read(into string, end int) {
	if b, err := os.ReadFile(into + ".json"); err == nil {
		s := &simulated{}
		if json.Unmarshal(b, s) == nil {
			x.sim = s
		}
	}
	if b, err := os.ReadFile(x.log); err == nil {
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		x.tail = strings.Join(lines[max(0, len(lines)-end):], "\n")
	}
}

// text is the report for people.
func (r *report) text() string {
	var b strings.Builder
	verdict := "nothing was found"
	if r.failed() {
		verdict = "SOMETHING WAS FOUND"
	}
	fmt.Fprintf(&b, "\n# Torture from seed %d: %s\n\nBegun %s, took %v of %v.\n\n", r.seed, verdict,
		r.began.UTC().Format(time.DateTime), r.took.Round(time.Second), r.length)
	for _, l := range r.left {
		fmt.Fprintf(&b, "Left out: %s (%s); it needs %s.\n", l.name, l.what, l.lacks)
	}
	fmt.Fprintf(&b, "\n| layer | seed | took | outcome | log |\n|---|---|---|---|---|\n")
	for _, x := range r.results {
		outcome := "ok"
		if x.err != nil {
			outcome = strings.ReplaceAll(x.err.Error(), "\n", " ")
		}
		if x.last {
			outcome += "; given up"
		}
		fmt.Fprintf(&b, "| %s | %d | %v | %s | %s |\n", x.layer, x.seed, x.took.Round(time.Second), outcome, x.log)
	}
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
