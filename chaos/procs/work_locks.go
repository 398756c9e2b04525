//go:build linux

package main

import (
	"context"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/sdk"
)

// contend takes one of two locks that everybody wants, and now and then writes to
// a key in the cell that the lock protects.
func (w *worker) contend(ctx context.Context) {
	s := w.ensure(ctx)
	if s == nil {
		return
	}
	hold := time.Duration(w.rng.IntN(8)) * time.Millisecond
	if w.rng.IntN(100) == 0 {
		hold = time.Second
	}
	if w.rng.IntN(4) == 0 { // it gives up
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(20+w.rng.IntN(3000))*time.Millisecond)
		defer cancel()
	}
	w.take(ctx, s, hold, false, one(named("hot", w.rng.IntN(2))))
}

// share takes a lock together with others, now and then alone.
func (w *worker) share(ctx context.Context) {
	s := w.ensure(ctx)
	if s == nil {
		return
	}
	item := check.Item{Name: named("shared", 0)}
	if w.rng.IntN(4) != 0 {
		item.Mode = check.Shared
	}
	w.take(ctx, s, time.Duration(w.rng.IntN(10))*time.Millisecond, false, []check.Item{item})
}

// permit takes some of five permits.
func (w *worker) permit(ctx context.Context) {
	s := w.ensure(ctx)
	if s == nil {
		return
	}
	item := check.Item{Name: named("permits", 0), Mode: check.Permits, Permits: 1 + w.rng.IntN(3), Capacity: 5}
	w.take(ctx, s, time.Duration(w.rng.IntN(10))*time.Millisecond, w.rng.IntN(8) == 0, []check.Item{item})
}

// churn tries, waits for a little while, claims several at once, and gives up.
func (w *worker) churn(ctx context.Context) {
	s := w.ensure(ctx)
	if s == nil {
		return
	}
	items := []check.Item{{Name: named("churn", 0)}, {Name: named("churn", 1)}, {Name: named("churn", 2)}}
	w.rng.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	hold := time.Duration(w.rng.IntN(10)) * time.Millisecond
	switch w.rng.IntN(4) {
	case 0:
		w.take(ctx, s, hold, true, items[:1])
	case 1:
		w.take(ctx, s, hold, false, items[:1], sdk.WithWait(time.Duration(1+w.rng.IntN(200))*time.Millisecond))
	case 2:
		w.take(ctx, s, hold, false, items[:2+w.rng.IntN(2)])
	default:
		ctx, cancel := context.WithTimeout(ctx, time.Duration(w.rng.IntN(30))*time.Millisecond)
		defer cancel()
		w.take(ctx, s, hold, false, items[:1])
	}
}

// short opens a session that lives for a moment, with a lock, a key and a lead,
// and now and then falls silent instead of closing it.
func (w *worker) short(ctx context.Context) {
	ttl := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second}[w.rng.IntN(3)]
	s := w.open(ctx, ttl)
	if s == nil {
		return
	}
	w.endow(ctx, s)
	vanish := w.rng.IntN(4) == 0 && w.absent != nil
	hold := time.Duration(w.rng.IntN(100)) * time.Millisecond
	var back func()
	if vanish {
		back = w.absent()
	}
	if back != nil {
		held := time.AfterFunc(hold, w.gate.silence) // while it holds the lock, or waits for it
		until := time.AfterFunc(hold+ttl+ttl/2, w.gate.heal)
		hold += 2 * ttl
		defer func() {
			held.Stop()
			until.Stop()
			w.gate.heal()
			back()
		}()
	}
	w.take(ctx, s, hold, false, one(named("short", 0)), w.delay()...)
	if s.Err() != nil {
		w.mourn(s)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if w.calls.Close(ctx, s) != nil {
		w.to.count("session not closed in time")
	}
}

// endow gives a session a key and a lead that end with it.
func (w *worker) endow(ctx context.Context, s *sdk.Session) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, _ = w.calls.Txn(ctx, s, check.Txn{Then: []check.KeyOp{
		{Action: check.Put, Key: named("owned-"+w.Name, 0), Value: w.value(), Owner: uint64(s.ID())},
	}})
	_, _ = w.calls.Campaign(ctx, s, named("brief-"+w.Name, 0), w.value())
}
