package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTorture: layers that find nothing, that fail, and that are left out.
func TestTorture(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no shell")
	}
	shell := func(script string) func(time.Duration, uint64, string) []string {
		return func(_ time.Duration, _ uint64, into string) []string { return []string{"sh", "-c", script, "sh", into} }
	}
	good := layer{name: "good", what: "nothing", command: shell("echo all is well")}
	bad := layer{name: "bad", what: "a failure", command: shell("echo seed 42 broke it; exit 1")}
	sim := layer{name: "sim", alone: true, command: shell(`echo '{"Seeds":7,"Virtual":420,"Faults":{"crash":9}}' > "$1".json`)}
	away := layer{name: "away", what: "what nobody has", lacks: "a unicorn", command: shell("exit 1")}

	r := torture(context.Background(), []layer{sim, good, away}, time.Millisecond, 5, t.TempDir())
	if r.failed() || len(r.results) != 2 {
		t.Errorf("two layers that find nothing: %+v", r.results)
	}
	for _, want := range []string{"nothing was found", "it needs a unicorn", "7 seeds", "| crash | 9 |", "all is well"} {
		if !strings.Contains(r.text(), want) {
			t.Errorf("the report lacks %q:\n%s", want, r.text())
		}
	}
	r = torture(context.Background(), []layer{good, bad}, time.Millisecond, 5, t.TempDir())
	if !r.failed() || len(r.results) != 2 || !strings.Contains(r.text(), "SOMETHING WAS FOUND") || !strings.Contains(r.text(), "seed 42 broke it") {
		t.Errorf("one layer that fails:\n%s", r.text())
	}
}

// TestLayers: every layer says how it is run.
func TestLayers(t *testing.T) {
	for _, l := range layers(false) {
		if args := l.command(time.Minute, 3, "x"); l.name == "" || l.what == "" || len(args) < 2 {
			t.Errorf("%q is run as %q", l.name, args)
		}
		if l.name == "cuts" && l.lacks == "" {
			t.Error("power cuts need root")
		}
	}
}

// TestPart: in the first round the time that is left is shared out by parts.
func TestPart(t *testing.T) {
	lane := []layer{{name: "a"}, {name: "b", parts: 4}, {name: "c"}}
	left, got := time.Minute, []time.Duration{}
	for i := range lane {
		got = append(got, part(lane[i:], left))
		left -= got[i]
	}
	if want := []time.Duration{10 * time.Second, 40 * time.Second, 10 * time.Second}; !slices.Equal(got, want) {
		t.Errorf("%v: want %v", got, want)
	}
}

// TestFailsAtOnce: a layer that cannot run is given up and spins no longer, and the
// others of its lane go on.
func TestFailsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	runs := 0
	shell := func(script string) func(time.Duration, uint64, string) []string {
		return func(time.Duration, uint64, string) []string { return []string{"sh", "-c", script} }
	}
	bad := layer{name: "bad", command: shell("exit 1")}
	good := layer{name: "good", command: func(time.Duration, uint64, string) []string {
		if runs++; runs == 5 {
			cancel()
		}
		return []string{"sh", "-c", "exit 0"}
	}}
	r := torture(ctx, []layer{bad, good}, time.Hour, 5, t.TempDir())
	failed := slices.DeleteFunc(slices.Clone(r.results), func(x result) bool { return x.layer != "bad" })
	if len(failed) != mostAtOnce || !failed[mostAtOnce-1].last || !r.failed() || !strings.Contains(r.text(), "given up") {
		t.Errorf("it was run %d times, the good one %d:\n%s", len(failed), runs, r.text())
	}
	// Alone in its lane, its lane ends with it.
	bad.alone = true
	r = torture(t.Context(), []layer{bad}, time.Hour, 5, t.TempDir())
	if len(r.results) != mostAtOnce || r.results[0].seed == r.results[1].seed {
		t.Errorf("%+v", r.results)
	}
}

// TestNoFolder: when its own files cannot be written a lane stops at once.
func TestNoFolder(t *testing.T) {
	l := layer{name: "x", alone: true, command: func(time.Duration, uint64, string) []string { return []string{"true"} }}
	r := torture(t.Context(), []layer{l}, time.Hour, 5, filepath.Join(t.TempDir(), "there is none"))
	if len(r.results) != 1 || !r.failed() {
		t.Errorf("%+v", r.results)
	}
}

// TestBound: a layer hangs when it takes much longer than it was to.
func TestBound(t *testing.T) {
	for length, want := range map[time.Duration]time.Duration{time.Minute: 12 * time.Minute, 20 * time.Minute: 50 * time.Minute, 8 * time.Hour: 8*time.Hour + 40*time.Minute} {
		if got := bound(length); got != want {
			t.Errorf("of %v: %v, want %v", length, got, want)
		}
	}
}
