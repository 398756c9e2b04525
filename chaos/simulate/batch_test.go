package main

import (
	"flag"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestProcesses: no process is started that would have no seed, which it refuses.
func TestProcesses(t *testing.T) {
	for _, c := range []struct {
		seeds uint64
		jobs  int
		want  int
	}{{1, 2, 1}, {1, 1, 1}, {3, 8, 3}, {200, 2, 2}, {1 << 63, 4, 4}} {
		b := batch{Seeds: c.seeds}
		if got := b.processes(c.jobs); got != c.want {
			t.Errorf("%d seeds and -jobs %d: %d processes, want %d", c.seeds, c.jobs, got, c.want)
		}
	}
}

// TestBudget: however little time there is, one seed is run, so that nobody takes
// nothing for a success.
func TestBudget(t *testing.T) {
	b := batch{From: 1, Seeds: 5, Step: 1, Most: 1, Length: time.Second, Budget: 1}
	if s := b.run(); s.Seeds != 1 || s.Virtual <= 0 {
		t.Errorf("%d seeds, %v s of virtual time", s.Seeds, s.Virtual)
	}
}

// TestRefuse: what makes no sense, or cannot be done in the end, is refused before
// anything runs.
func TestRefuse(t *testing.T) {
	dir := t.TempDir()
	for line, sound := range map[string]bool{
		"-seed 42":         true,
		"-from 3 -seeds 7": true,
		"-json " + filepath.Join(dir, "summary.json"): true,

		"-seed 42 -from 3": false,
		"-seed 42 -json x": false,
		"-seeds 0":         false,
		"-budget -1s":      false,
		"42":               false,
		"-json " + filepath.Join(dir, "none", "summary.json"): false,
	} {
		flags, b := flag.NewFlagSet("", flag.ContinueOnError), batch{}
		flags.SetOutput(io.Discard)
		flags.String("seed", "", "")
		jobs := b.flags(flags)
		if err := flags.Parse(strings.Fields(line)); err != nil {
			t.Fatal(err)
		}
		if err := refuse(flags, &b, *jobs); (err == nil) != sound {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestOne: a run that there cannot be is no violation.
func TestOne(t *testing.T) {
	for _, seed := range []string{"", "42 nodes=0", "42 length=2s faults=999"} {
		if code := one(seed); code != 2 {
			t.Errorf("%q: exit status %d", seed, code)
		}
	}
}
