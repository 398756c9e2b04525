//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

// nemesis brings faults, up to a number at a time, and heals them.
type nemesis struct {
	r       *runner
	choices []choice

	mu     sync.Mutex
	taken  map[string]bool // what faults under way have
	under  int
	counts map[string]int // of those that took effect
	vain   map[string]int // of those that did not
	err    error          // of the first fault that could not be brought or healed

	wg sync.WaitGroup
}

func newNemesis(r *runner) *nemesis {
	return &nemesis{r: r, choices: r.choices(), taken: map[string]bool{}, counts: map[string]int{}, vain: map[string]int{}}
}

// rage brings faults until the context ends or something is found to be wrong, and
// returns when all have healed.
func (n *nemesis) rage(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		wait := time.Duration(n.r.rng.ExpFloat64() * float64(n.r.cfg.arrival))
		select {
		case <-n.r.history.alarm:
			cancel()
		case <-ctx.Done():
		case <-time.After(min(wait, 4*n.r.cfg.arrival)):
		}
		if ctx.Err() != nil {
			n.wg.Wait()
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.err
		}
		c := n.choose()
		if f := c.make(); f != nil {
			f.kind = c.kind
			n.bring(ctx, f)
		}
	}
}

func (n *nemesis) choose() choice {
	sum := 0
	for _, c := range n.choices {
		sum += c.weight
	}
	at := n.r.rng.IntN(sum)
	for _, c := range n.choices {
		if at -= c.weight; at < 0 {
			return c
		}
	}
	return n.choices[0]
}

// needs is what a fault takes for itself.
func (f *fault) needs() []string {
	var out []string
	for _, i := range f.nodes {
		for _, s := range append(f.also, f.space) {
			out = append(out, fmt.Sprintf("%d of node %d", s, i))
		}
	}
	if f.client != nil {
		out = append(out, f.client.Name)
	}
	return out
}

// bring starts a fault, unless too many are under way or another one has what
// it needs.
func (n *nemesis) bring(ctx context.Context, f *fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.under >= n.r.cfg.most {
		return
	}
	for _, x := range f.needs() {
		if n.taken[x] {
			return
		}
	}
	for _, x := range f.needs() {
		n.taken[x] = true
	}
	n.under++
	n.wg.Go(func() {
		err := n.play(ctx, f)
		n.mu.Lock()
		defer n.mu.Unlock()
		n.under--
		for _, x := range f.needs() {
			delete(n.taken, x)
		}
		if err != nil && n.err == nil {
			n.err = fmt.Errorf("%s: %w", f.kind, err)
		}
	})
}

// readyWithin is how long a node may take to be ready once all faults are over.
const readyWithin = 30 * time.Second

// play begins a fault, lets it last, and ends it: at once when ctx ends.
func (n *nemesis) play(ctx context.Context, f *fault) error {
	client, names := "", []string(nil)
	if f.client != nil {
		client = f.client.Name
	}
	for _, i := range f.nodes {
		names = append(names, n.r.node(i).Name)
	}
	n.r.say("%s %v%s for %v", f.kind, names, client, f.length.Round(time.Millisecond))
	if !f.mild {
		x := &outage{what: f.kind, client: client, nodes: names, cell: f.cell, from: now()}
		if f.toward > 0 {
			x.toward = n.r.node(f.toward - 1).Name
		}
		defer n.r.outages.add(x)()
	}
	err := f.begin()
	if err != nil && err != errVain {
		return err
	}
	n.count(f.kind, err == errVain)
	if f.end == nil {
		return nil
	}
	select {
	case <-ctx.Done():
	case <-time.After(f.length):
	}
	// What it waits for, such as a majority, may not come before others heal.
	heal, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(readyWithin, cancel) })()
	err = f.end(heal)
	if errors.Is(err, context.Canceled) {
		n.r.history.violation("liveness: %v", err)
		return nil
	}
	n.r.say("healed: %s %v%s", f.kind, names, client)
	return err
}

func (n *nemesis) count(kind string, vain bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if vain {
		n.vain[kind]++
	} else {
		n.counts[kind]++
	}
}

// figures are how many faults of each kind took effect, and how many did not.
func (n *nemesis) figures() (counts, vain map[string]int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.counts), maps.Clone(n.vain)
}
