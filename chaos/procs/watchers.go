//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
)

// watcher is a follower with a client of its own. The first of each space goes
// where the leader is and makes the audit; the others stay with a node, break off
// now and then and go on, and are held against the audit.
type watcher struct {
	*recorder.Follower
	endpoints []string
	pinned    string // the node that it stays with; empty: it goes where the leader is
}

// watchers are all of them.
type watchers struct {
	all  []*watcher
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu  sync.Mutex
	err error // that ended one of them
}

// watch starts them.
func (r *runner) watch() *watchers {
	ctx, stop := context.WithCancel(r.ctx)
	x := &watchers{stop: stop}
	spaces := []check.Space{check.OfKeys, check.OfLocks, check.OfElections}
	add := func(name string, space check.Space) *watcher {
		w := &watcher{Follower: recorder.NewFollower(name, space), endpoints: r.cluster.Endpoints()}
		x.all = append(x.all, w)
		return w
	}
	for _, s := range spaces {
		add("audit of "+string(s), s).Audits = true
	}
	for i, n := range r.cluster.Nodes() {
		w := add(string(spaces[i%len(spaces)])+" at "+n.Name, spaces[i%len(spaces)])
		w.Prev = w.Space == check.OfKeys
		rng := rand.New(rand.NewPCG(r.cfg.seed, uint64(100+i)))
		w.Breaks = func() int { return 1 + rng.IntN(200) }
		w.Rest = func(ctx context.Context) { r.rest(ctx, time.Duration(rng.IntN(500))*time.Millisecond) }
		o := add("observer at "+n.Name, check.OfElections)
		o.Observes = true
		for _, w := range []*watcher{w, o} {
			w.endpoints, w.pinned = []string{n.Endpoint}, n.Name
		}
	}
	for _, w := range x.all {
		x.wg.Go(func() {
			if err := w.follow(ctx); err != nil && ctx.Err() == nil {
				x.mu.Lock()
				defer x.mu.Unlock()
				x.err = errors.Join(x.err, fmt.Errorf("watch %s: %w", w.Name, err))
			}
		})
	}
	return x
}

// follow goes on until the context ends.
func (w *watcher) follow(ctx context.Context) error {
	var c *sdk.Client
	for c == nil {
		var err error
		if c, err = sdk.Dial(ctx, sdk.Config{Endpoints: w.endpoints, Name: w.Name, IgnoreLeader: w.pinned != ""}); err != nil && ctx.Err() != nil {
			return err
		}
	}
	defer c.Close()
	return w.Follow(ctx, c, now)
}

// audited is the revision up to which those have come that make the audit.
func (x *watchers) audited() uint64 {
	least, first := uint64(0), true
	for _, w := range x.all {
		if reached := w.Reached(); w.Audits && (first || reached < least) {
			least, first = reached, false
		}
	}
	return least
}

// finish waits until all have been told of everything up to a revision, and adds
// them to the history. Those of a node that is down for good are judged by what
// they were told until then.
func (x *watchers) finish(ctx context.Context, upto, elections uint64, down func(node string) bool, h *check.History) error {
	var list []*recorder.Follower
	for _, w := range x.all {
		list = append(list, w.Follower)
		w.Expect(upto, elections)
		if down(w.pinned) {
			w.Upto = min(w.Upto, w.Reached())
		}
		for w.Reached() < w.Upto {
			x.mu.Lock()
			err := x.err
			x.mu.Unlock()
			if err == nil && ctx.Err() != nil {
				err = fmt.Errorf("watch %s has been told of everything up to revision %d, and not up to %d: %w", w.Name, w.Reached(), w.Upto, ctx.Err())
			}
			if err != nil {
				return err
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	x.stop()
	x.wg.Wait()
	return recorder.Tell(h, list, upto)
}
