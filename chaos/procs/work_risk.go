//go:build linux

package main

import (
	"context"
	"time"

	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
)

// What operators take away: a lock and an election. Their holders may believe in
// them until they are told, and the token alone protects meanwhile.
const (
	brittle   = "brittle"
	contested = "contested"
)

// untilTold is for how long somebody holds what is to be taken away, at the most:
// for longer than it may take to be told. An operator comes every second or so, and
// those who wait are served in the time that progress allows.
const untilTold = 10 * time.Second

// risk takes what operators take away, and holds it for a moment or until it is
// told that it is gone.
func (w *worker) risk(ctx context.Context) {
	s := w.ensure(ctx)
	if s == nil {
		return
	}
	// The operator comes for what is in use in this epoch.
	ctx, cancel := context.WithTimeout(ctx, epoch-now()%epoch)
	defer cancel()
	hold := untilTold
	if w.rng.IntN(3) == 0 {
		hold = time.Duration(w.rng.IntN(1000)) * time.Millisecond
	}
	if w.rng.IntN(2) == 0 {
		w.take(ctx, s, hold, false, one(named(brittle, 0)), w.delay()...)
		return
	}
	l, err := w.calls.Campaign(ctx, s, named(contested, 0), w.value())
	if err != nil {
		return
	}
	w.grants.Add(1)
	w.held(ctx, l, l.ID(), hold)
	if err := l.Err(); err != nil {
		w.calls.TakenAway(s, l.Name(), l.Token(), err)
		return
	}
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = w.calls.Resign(leave, l)
}

// delay is now and then that everybody is to be kept out for a while when the holder
// is lost.
func (w *worker) delay() []sdk.LockOption {
	if w.rng.IntN(3) > 0 {
		return nil
	}
	return []sdk.LockOption{recorder.WithDelay(time.Duration(800+w.rng.IntN(800)) * time.Millisecond)}
}
