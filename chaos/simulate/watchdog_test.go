package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/chaos/sim"
)

// TestWatchdog: a run that hangs is named, with where it hangs, and is in the
// summary; one that ends in time is not.
func TestWatchdog(t *testing.T) {
	var out bytes.Buffer
	ended := make(chan found, 1)
	w := watchdog{out: &out, exit: func(f found) { ended <- f }}
	w.over("a run", "make sim SEED=1", time.Hour)()
	select {
	case f := <-ended:
		t.Fatalf("a run that has ended hangs: %+v", f)
	default:
	}
	replay := (&sim.Violation{Config: sim.Config{Seed: 42}}).Replay()
	w.over("the run of a seed", replay, time.Millisecond)
	f := <-ended
	for _, want := range []string{"make sim SEED=42", "has not come to an end", "TestWatchdog("} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
	file := filepath.Join(t.TempDir(), "summary.json")
	s := newSummary(42)
	s.Seeds = 7
	if code := s.hung(f, file, &out); code != 1 {
		t.Errorf("exit status %d", code)
	}
	back, err := readSummary(file)
	if err != nil || back.Seeds != 7 || len(back.Violations) != 1 || back.Violations[0].Replay != replay {
		t.Errorf("%+v, %v: want seven seeds and the one that hangs", back, err)
	}
}
