package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/conch-lock/conch/chaos/sim"
)

// summary is what a batch came to.
type summary struct {
	From       uint64
	Seeds      uint64
	Virtual    float64 // seconds
	Took       float64 // seconds
	CPU        float64 // seconds of the processor, of all processes
	Events     uint64
	Entries    uint64
	Checked    uint64 // operations of clients
	Situations map[string]uint64
	Faults     map[string]uint64
	Violations []found
}

// found is a violation and how to see it again.
type found struct {
	Property string
	What     string
	Replay   string // made smaller
	Full     string // as it was found
}

func newSummary(from uint64) summary {
	var none sim.Tally
	s := summary{From: from}
	s.Situations, s.Faults = none.Counts()
	return s
}

// add takes in one run.
func (s *summary) add(r *sim.Report) {
	s.Virtual += r.Virtual.Seconds()
	s.Events += r.Events
	s.Entries += r.Entries
	s.Checked += r.Checked
	happened, faults := r.Tally.Counts()
	sum(s.Situations, happened)
	sum(s.Faults, faults)
}

// join takes in what another process ran.
func (s *summary) join(o *summary) {
	s.Seeds += o.Seeds
	s.Virtual += o.Virtual
	s.CPU += o.CPU
	s.Events += o.Events
	s.Entries += o.Entries
	s.Checked += o.Checked
	sum(s.Situations, o.Situations)
	sum(s.Faults, o.Faults)
	s.Violations = append(s.Violations, o.Violations...)
}

func sum(into, from map[string]uint64) {
	for k, n := range from {
		into[k] += n
	}
}

// missing lists what never happened.
func (s *summary) missing() []string {
	var l []string
	for _, m := range []map[string]uint64{s.Situations, s.Faults} {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if m[k] == 0 {
				l = append(l, k)
			}
		}
	}
	return l
}

func (s *summary) write(file string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}

// hung is the end of a batch of which one run does not come to an end.
func (s *summary) hung(f found, into string, complaints io.Writer) (code int) {
	s.Violations = append(s.Violations, f)
	if into != "" {
		if err := s.write(into); err != nil {
			fmt.Fprintln(complaints, err)
		}
	}
	return 1
}

func readSummary(file string) (s summary, err error) {
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

// print tells it to people.
func (s *summary) print(w io.Writer) {
	seconds := func(f float64) time.Duration {
		return time.Duration(f * float64(time.Second)).Round(100 * time.Millisecond)
	}
	fmt.Fprintf(w, "%d seeds from %d in %v: %v virtual, %.0f times real time and %.0f virtual seconds for each of the %v of processor time; %d events, %d entries, %d operations checked\n",
		s.Seeds, s.From, seconds(s.Took), seconds(s.Virtual), s.Virtual/s.Took, s.Virtual/s.CPU, seconds(s.CPU), s.Events, s.Entries, s.Checked)
	for _, part := range []struct {
		what   string
		counts map[string]uint64
	}{{"faults", s.Faults}, {"situations", s.Situations}} {
		fmt.Fprintf(w, "%s:\n", part.what)
		for _, k := range slices.Sorted(maps.Keys(part.counts)) {
			fmt.Fprintf(w, "%10d  %s\n", part.counts[k], k)
		}
	}
	for _, v := range s.Violations {
		fmt.Fprintf(w, "VIOLATION %s: %s\n  replay: %s\n", v.Property, v.What, v.Replay)
	}
}
