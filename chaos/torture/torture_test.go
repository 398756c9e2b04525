package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/chaos/group"
	"github.com/conch-lock/conch/chaos/sim"
	"github.com/conch-lock/conch/chaos/tally"
)

func TestMain(m *testing.M) {
	group.Keep()
	os.Exit(m.Run())
}

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
	sim := layer{name: "sim", lane: calculation, command: shell(`echo '{"Seeds":7,"Virtual":420,"Faults":{"crash":9}}' > "$1".json`)}
	away := layer{name: "away", what: "what nobody has", lacks: "a unicorn", command: shell("exit 1")}

	r := torture(context.Background(), []layer{sim, good, away}, time.Millisecond, 5, t.TempDir())
	if r.failed() || len(r.results) != 2 {
		t.Errorf("two layers that find nothing: %+v", r.results)
	}
	for _, want := range []string{"nothing was found", "it needs a unicorn", "7 seeds", "| crash | sim | 9 | 0 |", "all is well"} {
		if !strings.Contains(r.text(), want) {
			t.Errorf("the report lacks %q:\n%s", want, r.text())
		}
	}
	r = torture(context.Background(), []layer{good, bad}, time.Millisecond, 5, t.TempDir())
	if !r.failed() || len(r.results) != 2 || !strings.Contains(r.text(), "SOMETHING WAS FOUND") || !strings.Contains(r.text(), "seed 42 broke it") {
		t.Errorf("one layer that fails:\n%s", r.text())
	}
}

// TestShortfalls: a run that was long enough for something and did too little of it
// fails and says so, and one that was too short, or whose layer was left out, does
// not.
func TestShortfalls(t *testing.T) {
	done := func(share uint64) *report {
		r := &report{length: 10 * time.Minute, layers: layers(true, sim.Length)}
		for _, l := range r.layers {
			x := tally.New()
			for _, m := range minimums() {
				if m.of[0] == l.name {
					x.Counts[m.what] = m.least * share / 100
				}
			}
			if l.name == "procs" {
				x.Faults["isolated"] = leastFaults * share / 100
			}
			r.results = append(r.results, result{layer: l.name, done: x})
		}
		return r
	}
	if r := done(100); r.failed() {
		t.Errorf("just enough: %q", r.shortfalls())
	}
	few := done(99)
	if got := few.shortfalls(); !few.failed() || few.found() || len(got) != len(minimums())+1 {
		t.Errorf("too little of everything: %q", got)
	}
	if want := "operations put in order by porcupine: 99,000: a run of 10m0s must have 100,000"; !strings.Contains(few.text(), want) || !strings.Contains(few.text(), "TOO LITTLE") {
		t.Errorf("the report lacks %q:\n%s", want, few.text())
	}
	if few.length = 9 * time.Minute; few.failed() {
		t.Errorf("enough for nine minutes: %q", few.shortfalls())
	}
	none := done(0)
	none.results = slices.DeleteFunc(none.results, func(x result) bool { return x.layer == "cuts" })
	if got := none.shortfalls(); len(got) != len(minimums()) || strings.Contains(strings.Join(got, " "), tally.PowerCuts) {
		t.Errorf("without the layer that cuts power: %q", got)
	}
	if none.length = complete - time.Second; none.failed() {
		t.Errorf("a short run: %q", none.shortfalls())
	}
	none.length, none.interrupted = time.Hour, true
	if got := none.shortfalls(); len(got) > 0 || !none.failed() {
		t.Errorf("one that was interrupted, which is asked for nothing and has not passed: %q, failed %v", got, none.failed())
	}
}

// TestNeverHappened: what a layer might have done, and had the time for, and did not
// do in any of its runs, is a failure.
func TestNeverHappened(t *testing.T) {
	r := &report{length: 10 * time.Minute, layers: []layer{{name: "x",
		enough: func(x *tally.Tally) bool { return x.Active >= 100 }, plenty: func(x *tally.Tally) bool { return x.Active >= 200 }}}}
	run := func(active float64, ring uint64) {
		x := tally.New()
		x.Active, x.Faults["ring"], x.Vain["ring"] = active, ring, 2
		x.Judged["beliefs"] = 0
		r.results = append(r.results, result{layer: "x", done: x})
	}
	run(60, 0)
	if got := r.shortfalls(); len(got) != 0 {
		t.Errorf("not long enough: %q", got)
	}
	run(60, 0)
	if got := r.shortfalls(); len(got) != 1 || !strings.Contains(got[0], "ring (tried 4 times)") {
		t.Errorf("long enough: %q", got)
	}
	run(1, 1)
	if got := r.shortfalls(); len(got) != 0 {
		t.Errorf("it happened in another run: %q", got)
	}
	run(100, 1)
	if got := r.shortfalls(); len(got) != 1 || !strings.Contains(got[0], "never came up, though there was time enough: beliefs") {
		t.Errorf("nothing of a kind to judge: %q", got)
	}
}

// TestCounted: what is read from logs is what tests write there.
func TestCounted(t *testing.T) {
	for _, c := range []struct {
		layer, log string
		want       func(*tally.Tally) uint64
		n          uint64
	}{
		{"crashes", "    crash_test.go:286: seed 0: 1000 operations, 9594 crashes", func(x *tally.Tally) uint64 { return x.Counts[tally.Crashes] }, 9594},
		{"failover", "counter_test.go:85: 7 updates by 3 competing commands in 9s, the leader killed 2 times, no update lost\n" +
			"failover_test.go:79: from SIGKILL of the leader to the next grant: median 1.2s of 5\n", (*tally.Tally).Total, 7},
	} {
		for _, l := range layers(true, sim.Length) {
			if l.name == c.layer {
				if got := c.want(l.counted([]byte(c.log))); got != c.n {
					t.Errorf("%s: %d: want %d", c.layer, got, c.n)
				}
			}
		}
	}
}

// TestProcessFlags: seeds draw both sizes of a cell, and faults of clocks and the
// crowd are in every short run.
func TestProcessFlags(t *testing.T) {
	sizes := map[string]int{}
	for seed := range uint64(50) {
		args := strings.Join(processFlags(5*time.Minute, seed, true), " ")
		for _, n := range []string{"-nodes 3", "-nodes 5"} {
			if strings.Contains(args, n) {
				sizes[n]++
			}
		}
		for _, want := range []string{"-clock", "-crowd", "-power", "-for 3m30s"} {
			if !strings.Contains(args, want) {
				t.Fatalf("%s: want %s", args, want)
			}
		}
	}
	if sizes["-nodes 3"] < 10 || sizes["-nodes 5"] < 10 {
		t.Errorf("%v", sizes)
	}
}

// TestLayers: every layer says how it is run.
func TestLayers(t *testing.T) {
	for _, l := range layers(false, sim.Length) {
		if args := l.command(time.Minute, 3, "x"); l.name == "" || l.what == "" || len(args) < 2 {
			t.Errorf("%q is run as %q", l.name, args)
		}
		if l.name == "cuts" && l.lacks == "" {
			t.Error("power cuts need root")
		}
	}
}

// TestSimLength: the simulation is told how long its runs are to be.
func TestSimLength(t *testing.T) {
	all := layers(false, 4*time.Second)
	i := slices.IndexFunc(all, func(l layer) bool { return l.name == "sim" })
	if args := strings.Join(all[i].command(time.Minute, 3, "x"), " "); !strings.Contains(args, "-length 4s") {
		t.Error(args)
	}
}

// TestPart: in the first round the time that is left is shared out by parts.
func TestPart(t *testing.T) {
	lane := []layer{{name: "a"}, {name: "b", parts: 4}, {name: "c"}}
	left, got := time.Minute, []time.Duration{}
	for i := range lane {
		got = append(got, part(lane, i, left))
		left -= got[i]
	}
	if want := []time.Duration{10 * time.Second, 40 * time.Second, 10 * time.Second}; !slices.Equal(got, want) {
		t.Errorf("%v: want %v", got, want)
	}
	if of := [3]time.Duration{part(lane, 0, 8*time.Hour), part(lane, 1, 8*time.Hour), part(lane, 2, 8*time.Hour)}; of != [3]time.Duration{longest / 4, longest, longest / 4} {
		t.Errorf("of a long night: %v", of)
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
	bad.apart = 10
	bad.lane = calculation
	r = torture(t.Context(), []layer{bad}, time.Hour, 5, t.TempDir())
	if len(r.results) != mostAtOnce || r.results[0].seed+10 != r.results[1].seed {
		t.Errorf("%+v", r.results)
	}
}

// TestNoFolder: when its own files cannot be written a lane stops at once.
func TestNoFolder(t *testing.T) {
	l := layer{name: "x", lane: calculation, command: func(time.Duration, uint64, string) []string { return []string{"true"} }}
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

// TestBrokenOff: a run that somebody ends has found nothing, unless a layer had
// said so before, and has not passed either.
func TestBrokenOff(t *testing.T) {
	for _, c := range []struct{ says, verdict string }{
		{"all is well", brokenOff},
		{"VIOLATION: two holders", "SOMETHING WAS FOUND"},
		{"--- FAIL: TestCell", "SOMETHING WAS FOUND"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		dir := t.TempDir()
		there := filepath.Join(dir, "there")
		all := []layer{{name: "one", command: func(time.Duration, uint64, string) []string {
			return []string{"sh", "-c", `echo "$1"; touch "$2"; exec sleep 600`, "sh", c.says, there}
		}}}
		go func() {
			defer cancel()
			for ctx.Err() == nil {
				if _, err := os.Stat(there); err == nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
		r := torture(ctx, all, time.Hour, 1, dir)
		if text := r.text(); !strings.Contains(text, "# Torture from seed 1: "+c.verdict+"\n") || !r.failed() {
			t.Errorf("%q: failed %v:\n%s", c.says, r.failed(), text)
		}
	}
}
