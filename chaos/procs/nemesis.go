//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// nemesis brings faults, up to a number at a time, and heals them. Every second is
// drawn by weight, and every third until each kind has come once. The others are
// dealt from a deck that has every kind once, and wait until what they need is free:
// what needs every node would never find it so, and what is rare would not come in
// a run of a few minutes.
type nemesis struct {
	r       *runner
	choices []choice
	draws   int
	decks   int // so many have been begun

	mu     sync.Mutex
	deck   []choice        // what is still to be dealt; one that came to nothing goes back
	taken  map[string]bool // what faults under way have
	freed  chan struct{}   // closed when one of them is over, and made anew
	under  int
	counts map[string]int // of those that took effect
	vain   map[string]int // of those that did not
	err    error          // of the first fault that could not be brought or healed

	wg sync.WaitGroup
}

func newNemesis(r *runner) *nemesis {
	n := &nemesis{r: r, choices: r.choices(), taken: map[string]bool{}, freed: make(chan struct{}), counts: map[string]int{}, vain: map[string]int{}}
	for _, c := range n.choices {
		n.counts[c.kind] = 0
	}
	return n
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
		if n.draws++; n.decks < 2 && n.draws%3 > 0 || n.decks >= 2 && n.draws%2 > 0 {
			if f := n.deal(); f != nil && !n.await(ctx, f) {
				n.again(f.kind, true)
			}
			continue
		}
		c := n.choose()
		if f := c.make(); f != nil {
			f.kind = c.kind
			n.bring(ctx, f)
		}
	}
}

// deal takes the first kind of the deck that can happen now; nil: none can. What
// has its time near the end lies on top until that has come. When nothing else is
// left, all kinds are put in again.
func (n *nemesis) deal() *fault {
	for range 2 {
		n.mu.Lock()
		deck := slices.Clone(n.deck)
		n.mu.Unlock()
		for _, c := range deck {
			if f := c.make(); f != nil {
				f.kind = c.kind
				n.mu.Lock()
				defer n.mu.Unlock()
				n.deck = slices.DeleteFunc(n.deck, func(d choice) bool { return d.kind == c.kind })
				return f
			}
		}
		n.shuffle()
	}
	return nil
}

// shuffle puts all kinds into the deck.
func (n *nemesis) shuffle() {
	n.decks++
	all := slices.Clone(n.choices)
	n.r.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	slices.SortStableFunc(all, func(a, b choice) int { return cmp.Compare(b.last(), a.last()) })
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range all {
		n.put(c, len(n.deck))
	}
}

// put puts a kind into the deck, unless it is there.
func (n *nemesis) put(c choice, at int) {
	if !slices.ContainsFunc(n.deck, func(d choice) bool { return d.kind == c.kind }) {
		n.deck = slices.Insert(n.deck, at, c)
	}
}

// again puts a kind back into the deck: at its end, or as the next.
func (n *nemesis) again(kind string, next bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i, at := slices.IndexFunc(n.choices, func(c choice) bool { return c.kind == kind }), len(n.deck)
	if next {
		at = 0
	}
	n.put(n.choices[i], at)
}

// await brings a fault as soon as what it needs is free, and says whether it did
// before the context ended or something was found to be wrong.
func (n *nemesis) await(ctx context.Context, f *fault) bool {
	for {
		n.mu.Lock()
		freed := n.freed
		n.mu.Unlock()
		if n.bring(ctx, f) {
			return true
		}
		select {
		case <-freed:
		case <-n.r.history.alarm:
			return false
		case <-ctx.Done():
			return false
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
// it needs. It says whether it did.
func (n *nemesis) bring(ctx context.Context, f *fault) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.under >= n.r.cfg.most {
		return false
	}
	for _, x := range f.needs() {
		if n.taken[x] {
			return false
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
		close(n.freed)
		n.freed = make(chan struct{})
		if err != nil && n.err == nil {
			n.err = fmt.Errorf("%s: %w", f.kind, err)
		}
	})
	return true
}

// readyWithin is how long a node may take to be ready once all faults are over.
const readyWithin = 30 * time.Second

// play begins a fault, lets it last, and ends it: at once when ctx ends.
func (n *nemesis) play(ctx context.Context, f *fault) error {
	client, names := "", []string(nil)
	if f.client != nil {
		client = f.client.Name
	}
	hurts := f.hurts
	if hurts == nil {
		hurts = f.nodes
	}
	for _, i := range hurts {
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
	if n.count(f.kind, err == errVain); err == errVain {
		n.again(f.kind, false)
	}
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

// figures are how many faults of each kind took effect, with 0 for those that might
// have happened, and how many did not.
func (n *nemesis) figures() (counts, vain map[string]int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.counts), maps.Clone(n.vain)
}
