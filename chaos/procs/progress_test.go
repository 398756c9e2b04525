//go:build linux

package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
)

func TestTooLate(t *testing.T) {
	for name, c := range map[string]struct {
		took, held time.Duration
		late       bool
	}{
		"just in time":                           {grantWithin, 0, false},
		"later":                                  {grantWithin + 1, 0, true},
		"the machine was held up for the rest":   {grantWithin + 5, 5, false},
		"and not for all of it":                  {grantWithin + 6, 5, true},
		"at last, and it was held up all along":  {grantAtLast, grantAtLast, false},
		"later than that, whatever held it up":   {grantAtLast + 1, grantAtLast, true},
		"nothing has passed, and all of it held": {0, 0, false},
	} {
		if tooLate(c.took, c.held) != c.late {
			t.Errorf("%s: %v, of which %v were held up: too late: %v", name, c.took, c.held, !c.late)
		}
	}
}

// namedRunner is a run of nodes that have their names and do not run.
func namedRunner(t *testing.T, nodes int) *runner {
	t.Helper()
	c, err := cluster.New(cluster.Config{Binary: "none", Dir: t.TempDir(), Nodes: nodes})
	if err != nil {
		t.Fatal(err)
	}
	r := bareRunner(t, nodes)
	r.cluster = c
	return r
}

// TestProgress: who has got nothing since everything healed is named when it is too
// late, be it a worker or a process, and whatever it had before.
func TestProgress(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // when nothing is found
	defer cancel()
	stuck := func(name, pinned string) *worker {
		w := &worker{Name: name, Pinned: pinned}
		w.grants.Store(7)
		return w
	}
	r := namedRunner(t, 3)
	r.dead[1].Store(true)
	r.workers = []*worker{stuck("alone", ""), stuck("cut off for good", "n2"), stuck("at a node", "n1")}
	r.processes = []*process{{worker: stuck("apart", "")}}
	late := now() - grantWithin - time.Second
	found := r.progress(ctx, &report{}, late)
	if len(found) != 1 || !strings.HasSuffix(found[0], "no lock: [alone at a node apart]") {
		t.Errorf("found %q: want that three have got nothing", found)
	}

	// The machine was held up all along: they are waited for, here until the run is
	// broken off.
	r.outages.add(&outage{stall: true, from: late, to: now() + time.Hour})
	short, over := context.WithTimeout(ctx, 50*time.Millisecond)
	defer over()
	if found := r.progress(short, &report{}, late); len(found) != 0 {
		t.Errorf("the machine was held up, and found is %q", found)
	}
}

// TestProgressOfAll: nothing is wrong when everybody who has a node to ask got
// something, and how long that took is told.
func TestProgressOfAll(t *testing.T) {
	r := namedRunner(t, 3)
	r.dead[2].Store(true)
	r.workers = []*worker{{Name: "served"}, {Name: "cut off for good", Pinned: "n3"}}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for ticker := time.NewTicker(time.Millisecond); ; r.workers[0].grants.Add(1) {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
		}
	}()
	out := &report{}
	if found := r.progress(t.Context(), out, now()); len(found) != 0 || out.slowest == 0 {
		t.Errorf("after %v: found %q", out.slowest, found)
	}
	close(stop)
	<-stopped
}
