package recorder

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/sdk"
)

// Follower is one consumer of a watch, or of an observer, for a whole run. Those
// that make the audit are what everybody else is held against; they miss nothing.
type Follower struct {
	check.Watch
	Audits   bool
	Observes bool // through the SDK's observer, which adds nothing but what it leaves out
	// Breaks says after how many deliveries it breaks off, to go on after Rest, in
	// which it misses something. nil: it never does.
	Breaks func() int
	Rest   func(ctx context.Context)

	reached atomic.Uint64
}

// NewFollower follows a whole space from the beginning.
func NewFollower(name string, space check.Space) *Follower {
	return &Follower{Watch: check.Watch{Name: name, Space: space, Key: "\x00", End: "\x00", From: 2}}
}

// Follow goes on until the context ends or the watch fails.
func (f *Follower) Follow(ctx context.Context, client *sdk.Client, now func() check.Time) error {
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
	if f.Observes {
		return Observe(ctx, client, now, f.From, take)
	}
	for from := f.From; ; {
		if f.Breaks != nil {
			left = f.Breaks()
		}
		next, err := Follow(ctx, client, now, &f.Watch, from, take)
		if err != nil {
			return err
		}
		from = next
		f.Deliveries = append(f.Deliveries, check.Delivery{At: now(), Resumed: from})
		if f.Rest != nil {
			f.Rest(ctx)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// Reached is the revision up to which it was told of everything.
func (f *Follower) Reached() uint64 { return f.reached.Load() }

// Expect says up to which revision it is to be told of everything. Observers are
// told of elections alone: when nothing changes there, they say nothing.
func (f *Follower) Expect(upto, elections uint64) {
	f.Upto = upto
	if f.Observes {
		f.Upto = elections
	}
}

// Tell completes a history with what followers were told, when they have ended.
func Tell(h *check.History, list []*Follower, upto uint64) error {
	h.AuditFrom, h.AuditTo = 2, upto
	for _, f := range list {
		h.Watches = append(h.Watches, f.Watch)
		if !f.Audits {
			continue
		}
		for _, d := range f.Deliveries {
			if d.Compacted {
				return fmt.Errorf("watch %s came too late: everything before revision %d was compacted", f.Name, d.Resumed)
			}
			for _, c := range d.Changes {
				if c.Revision <= upto {
					h.Audit = append(h.Audit, c)
				}
			}
		}
	}
	slices.SortStableFunc(h.Audit, func(a, b check.Change) int { return cmp.Compare(a.Revision, b.Revision) })
	return nil
}
