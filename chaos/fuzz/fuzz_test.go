package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conch-lock/conch/chaos/tally"
)

// TestTargets: those that are known to be there are found, once.
func TestTargets(t *testing.T) {
	all, err := targets(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []target{{"github.com/conch-lock/conch/coordinator", "FuzzStream"}, {"github.com/conch-lock/conch/raftnode/wal", "FuzzOpen"}} {
		if n := len(slices.DeleteFunc(slices.Clone(all), func(x target) bool { return x != want })); n != 1 {
			t.Errorf("%v was found %d times", want, n)
		}
	}
	if len(all) < 20 {
		t.Errorf("%d targets: want all", len(all))
	}
}

// TestRotation: every target is drawn by some seed, and every seed draws as many.
func TestRotation(t *testing.T) {
	var all []target
	for i := range 25 {
		all = append(all, target{"p", fmt.Sprint(i)})
	}
	seen := map[target]bool{}
	for seed := range uint64(40) {
		drawn := draw(all, 6, seed)
		for _, x := range drawn {
			seen[x] = true
		}
		if len(drawn) != 6 || !slices.Equal(drawn, draw(all, 6, seed)) {
			t.Fatalf("seed %d draws %v", seed, drawn)
		}
	}
	if len(seen) != len(all) {
		t.Errorf("%d targets of %d were drawn by some seed", len(seen), len(all))
	}
}

// TestBatch: in a given time as many run as can have enough of it, a failure does
// not end it, and is named.
func TestBatch(t *testing.T) {
	var all []target
	for i := range 25 {
		all = append(all, target{"p", fmt.Sprintf("Fuzz%d", i)})
	}
	for _, c := range []struct {
		length time.Duration
		ran    int
		each   time.Duration
	}{{5 * time.Second, 1, least}, {2 * time.Minute, 8, least}, {25 * time.Minute, 25, time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			late := 0
			b := &batch{out: io.Discard, sum: tally.New(), run: func(_ context.Context, x target, d time.Duration, out io.Writer) error {
				if d != c.each {
					t.Errorf("%v in %v: %v ran for %v: want %v", c.ran, c.length, x, d, c.each)
				}
				if x.name == "Fuzz2" && late == 0 { // its time was over in the midst of an input
					late++
					fmt.Fprintf(out, "fuzz: elapsed: 0s, execs: 3 (1/sec)\n    context deadline exceeded\nFAIL\n")
					return errors.New("exit status 1")
				}
				time.Sleep(d)
				fmt.Fprintf(out, "fuzz: elapsed: 3s, execs: 5 (1/sec)\nfuzz: elapsed: 6s, execs: 10 (1/sec)\n")
				if x.name == "Fuzz0" {
					fmt.Fprintf(out, "    To re-run:\n    go test -run=Fuzz0/abc\nFAIL\n")
					return errors.New("exit status 1")
				}
				return nil
			}}
			b.within(t.Context(), all, c.length)
			want := uint64(c.ran * 10)
			if c.ran > 2 {
				want += 3
			}
			if b.ran != c.ran || b.sum.Counts[tally.Executions] != want {
				t.Errorf("in %v %d targets ran, with %d inputs: want %d, %d", c.length, b.ran, b.sum.Counts[tally.Executions], c.ran, want)
			}
			if len(b.failed) != 1 || !strings.Contains(b.failed[0], "go test -run=Fuzz0/abc p") {
				t.Errorf("failed: %q", b.failed)
			}
		})
	}
}
