//go:build linux

package main

import (
	"context"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/internal/cluster"
)

// TestDeck: every kind of fault comes, however rarely it is drawn: also one that
// needs all nodes, of which one or another is always taken, one that came to
// nothing at first, and one that has its time in the end.
func TestDeck(t *testing.T) {
	c, err := cluster.New(cluster.Config{Binary: "conch", Dir: t.TempDir(), Nodes: 3})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := &runner{cfg: config{nodes: 3, most: 4, arrival: time.Second, out: io.Discard}, rng: rand.New(rand.NewPCG(1, 1)), cluster: c,
			dead: make([]atomic.Bool, 3), outages: &outages{}, history: newHistory(newStore(true), &recorder.Journal{})}
		began, tries := time.Now(), 0
		one := func() *fault {
			return &fault{nodes: []int{r.rng.IntN(3)}, length: r.span(2*time.Second, 6*time.Second), begin: func() error { return nil },
				end: func(context.Context) error { return nil }}
		}
		n := newNemesis(r)
		n.choices = []choice{
			{1_000_000, "one", one},
			{1, "all", func() *fault { f := one(); f.nodes = r.all(); return f }},
			{1, "vain at first", func() *fault {
				f := one()
				f.begin = func() error {
					if tries++; tries <= 3 {
						return errVain
					}
					return nil
				}
				return f
			}},
			{1, fileDamaged, func() *fault {
				if time.Since(began) < 50*time.Second {
					return nil
				}
				return one()
			}},
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := n.rage(ctx); err != nil {
			t.Fatal(err)
		}
		counts, vain := n.figures()
		for _, c := range n.choices {
			if counts[c.kind] == 0 {
				t.Errorf("%q never took effect: %v, in vain %v", c.kind, counts, vain)
			}
		}
		if n.decks < 3 {
			t.Errorf("%d decks: want that others are dealt while one kind waits for its time", n.decks)
		}
		if vain["vain at first"] != 3 || counts["one"] < 5 {
			t.Errorf("%v, in vain %v", counts, vain)
		}
	})
}
