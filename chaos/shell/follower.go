package shell

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
)

// follower is one consumer of a watch or an observer, for the whole run.
type follower struct {
	check.Watch
	c        *client
	audit    bool // it makes the audit
	observe  bool // through the SDK's observer
	restless bool // it breaks off now and then, and goes on

	reached atomic.Uint64
}

// followers are those of a run: the first of each space makes the audit, the
// others are held against it.
func (w *cell) followers() []*follower {
	clients := append(w.clients, w.admin)
	all := func(name string, space check.Space, at int) *follower {
		c := clients[at]
		return &follower{
			Watch: check.Watch{Name: name + " at " + c.name, Space: space, Key: "\x00", End: "\x00", From: 2}, c: c,
		}
	}
	const admin = 5 // which no fault is aimed at: it learns of everything soon
	list := []*follower{
		all("audit of keys", check.OfKeys, admin), all("audit of locks", check.OfLocks, admin), all("audit of elections", check.OfElections, admin),
		all("keys", check.OfKeys, 1), all("locks", check.OfLocks, 3), all("elections", check.OfElections, 1),
		all("observer", check.OfElections, 0), all("observer", check.OfElections, 3), all("some keys", check.OfKeys, 2),
	}
	for i, f := range list {
		f.audit, f.observe, f.restless = i < 3, f.Name[:3] == "obs", i == 4 || i == 5
	}
	list[3].Prev = true
	list[8].Key, list[8].End = "k/1", "k/3"
	return list
}

// follow goes on until the context ends.
func (f *follower) follow(ctx context.Context) {
	left := -1 // deliveries until it breaks off; -1: never
	take := func(d check.Delivery) bool {
		f.Deliveries = append(f.Deliveries, d)
		if n := len(d.Changes); n > 0 {
			f.reached.Store(max(f.reached.Load(), d.Changes[n-1].Revision))
		}
		f.reached.Store(max(f.reached.Load(), d.Revision))
		left--
		return left != 0
	}
	var err error
	if f.observe {
		err = recorder.Observe(ctx, f.c.sdk, now, f.From, take)
	}
	for from := f.From; !f.observe && err == nil && ctx.Err() == nil; {
		if f.restless {
			left = 1 + f.c.chance(60)
		}
		if from, err = recorder.Follow(ctx, f.c.sdk, now, &f.Watch, from, take); err == nil {
			f.c.history.count("watches resumed by their consumer")
			f.Deliveries = append(f.Deliveries, check.Delivery{At: now(), Resumed: from})
			pause(ctx, f.c.millis(0, 500))
		}
	}
	if err != nil && ctx.Err() == nil {
		f.c.history.violation("watch %s ended: %v", f.Name, err)
	}
}

// following runs followers. Their end is stop, and wait.
type following struct {
	list []*follower
	stop context.CancelFunc
	wg   sync.WaitGroup
}

func follow(list []*follower) *following {
	ctx, stop := context.WithCancel(context.Background())
	x := &following{list: list, stop: stop}
	for _, f := range list {
		x.wg.Go(func() { f.follow(ctx) })
	}
	return x
}

// arrived says who has not been told of everything yet. Observers are told of
// elections alone: when nothing changes there, they say nothing.
func (x *following) arrived(upto, elections uint64) error {
	for _, f := range x.list {
		f.Upto = upto
		if f.observe {
			f.Upto = elections
		}
		if r := f.reached.Load(); r < f.Upto {
			return fmt.Errorf("%s has been told of everything up to revision %d and not %d", f.Name, r, f.Upto)
		}
	}
	return nil
}

// tell completes the history when they have ended.
func (x *following) tell(h *check.History, upto uint64) {
	h.AuditFrom, h.AuditTo = 2, upto
	for _, f := range x.list {
		h.Watches = append(h.Watches, f.Watch)
		if !f.audit {
			continue
		}
		for _, d := range f.Deliveries {
			for _, c := range d.Changes {
				if c.Revision > upto {
					continue
				}
				h.Audit = append(h.Audit, c)
				if c.Lock == nil {
					continue
				}
				for _, t := range c.Lock.Ended {
					if t.Ended == "expired" {
						h.Endings = append(h.Endings, check.Ending{Session: t.Session, Why: t.Ended, At: d.At, Revision: c.Revision})
					}
				}
			}
		}
	}
	slices.SortStableFunc(h.Audit, func(a, b check.Change) int { return cmp.Compare(a.Revision, b.Revision) })
}
