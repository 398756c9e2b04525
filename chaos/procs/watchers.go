//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
)

// watcher follows one space for the whole run. The first of each space goes where
// the leader is and makes the audit; the others stay with a node, break off now
// and then and go on, and are held against the audit.
type watcher struct {
	check.Watch
	endpoints []string
	pinned    string // the node that it stays with; empty: it goes where the leader is
	observe   bool   // through the SDK's observer, which adds nothing but what it leaves out
	restless  *rand.Rand
	reached   atomic.Uint64
}

// watchers are all of them.
type watchers struct {
	audit, others []*watcher
	stop          context.CancelFunc
	wg            sync.WaitGroup

	mu  sync.Mutex
	err error // that ended one of them
}

// watch starts them.
func (r *runner) watch() *watchers {
	ctx, stop := context.WithCancel(r.ctx)
	all := &watchers{stop: stop}
	spaces := []check.Space{check.OfKeys, check.OfLocks, check.OfElections}
	add := func(name string, space check.Space) *watcher {
		return &watcher{
			Watch:     check.Watch{Name: name, Space: space, Key: "\x00", End: "\x00", From: 2},
			endpoints: r.cluster.Endpoints(),
		}
	}
	for _, s := range spaces {
		all.audit = append(all.audit, add("audit of "+string(s), s))
	}
	for i, n := range r.cluster.Nodes() {
		w := add(string(spaces[i%len(spaces)])+" at "+n.Name, spaces[i%len(spaces)])
		w.Prev = w.Space == check.OfKeys
		w.restless = rand.New(rand.NewPCG(r.cfg.seed, uint64(100+i)))
		o := add("observer at "+n.Name, check.OfElections)
		o.observe = true
		for _, x := range []*watcher{w, o} {
			x.endpoints, x.pinned = []string{n.Endpoint}, n.Name
			all.others = append(all.others, x)
		}
	}
	for _, w := range slices.Concat(all.audit, all.others) {
		all.wg.Go(func() {
			if err := w.follow(ctx); err != nil && ctx.Err() == nil {
				all.mu.Lock()
				defer all.mu.Unlock()
				all.err = errors.Join(all.err, fmt.Errorf("watch %s: %w", w.Name, err))
			}
		})
	}
	return all
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
	left := -1 // deliveries until it breaks off; -1: never
	take := func(d check.Delivery) bool {
		w.Deliveries = append(w.Deliveries, d)
		if n := len(d.Changes); n > 0 {
			w.reached.Store(max(w.reached.Load(), d.Changes[n-1].Revision))
		}
		w.reached.Store(max(w.reached.Load(), d.Revision))
		left--
		return left != 0
	}
	if w.observe {
		return recorder.Observe(ctx, c, now, w.From, take)
	}
	for from := w.From; ; {
		if w.restless != nil {
			left = 1 + w.restless.IntN(200)
		}
		next, err := recorder.Follow(ctx, c, now, &w.Watch, from, take)
		if err != nil {
			return err
		}
		// It begins anew, after a while in which it misses something.
		from = next
		w.Deliveries = append(w.Deliveries, check.Delivery{At: now(), Resumed: from})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(w.restless.IntN(500)) * time.Millisecond):
		}
	}
}

// finish waits until all have been told of everything up to a revision, and adds
// them to the history. Observers are told of elections alone: when nothing
// changes there, they say nothing. Those of a node that is down for good are
// judged by what they were told until then.
func (x *watchers) finish(ctx context.Context, upto, electionsUpto uint64, down func(node string) bool, h *check.History) error {
	for _, w := range slices.Concat(x.audit, x.others) {
		w.Upto = upto
		if w.observe {
			w.Upto = electionsUpto
		}
		if down(w.pinned) {
			w.Upto = min(w.Upto, w.reached.Load())
		}
		for w.reached.Load() < w.Upto {
			x.mu.Lock()
			err := x.err
			x.mu.Unlock()
			if err == nil && ctx.Err() != nil {
				err = fmt.Errorf("watch %s has been told of everything up to revision %d, and not up to %d: %w", w.Name, w.reached.Load(), w.Upto, ctx.Err())
			}
			if err != nil {
				return err
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	x.stop()
	x.wg.Wait()
	h.AuditFrom, h.AuditTo = 2, upto
	for _, w := range x.audit {
		for _, d := range w.Deliveries {
			if d.Compacted {
				return fmt.Errorf("watch %s came too late: everything before revision %d was compacted", w.Name, d.Resumed)
			}
			for _, c := range d.Changes {
				if c.Revision <= upto {
					h.Audit = append(h.Audit, c)
					h.Endings = append(h.Endings, endings(&c, d.At)...)
				}
			}
		}
		h.Watches = append(h.Watches, w.Watch)
	}
	slices.SortStableFunc(h.Audit, func(a, b check.Change) int { return cmp.Compare(a.Revision, b.Revision) })
	for _, w := range x.others {
		h.Watches = append(h.Watches, w.Watch)
	}
	return nil
}

// endings are the ends of sessions that a change tells of.
func endings(c *check.Change, at instant) []check.Ending {
	var out []check.Ending
	add := func(t *check.Tenure) {
		if t.Ended == string(sdk.ReasonExpired) {
			out = append(out, check.Ending{Session: t.Session, Why: t.Ended, At: at, Revision: c.Revision})
		}
	}
	if c.Lock != nil {
		for i := range c.Lock.Ended {
			add(&c.Lock.Ended[i])
		}
	}
	return out
}
