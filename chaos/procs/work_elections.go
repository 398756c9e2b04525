//go:build linux

package main

import (
	"context"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// lead stands in an election, leads for a moment, proclaims now and then, and
// resigns or hands over.
func (w *worker) lead(ctx context.Context) {
	s := w.ensure(ctx)
	if s == nil {
		return
	}
	name := named("boss", w.rng.IntN(2))
	var opts []sdk.CampaignOption
	stand := ctx
	switch w.rng.IntN(5) {
	case 0:
		opts = append(opts, sdk.WithWait(time.Duration(w.rng.IntN(300))*time.Millisecond))
	case 1:
		var cancel context.CancelFunc
		stand, cancel = context.WithTimeout(ctx, time.Duration(w.rng.IntN(500))*time.Millisecond)
		defer cancel()
	}
	l, err := w.calls.Campaign(stand, s, name, w.value(), opts...)
	if err != nil {
		return
	}
	w.grants.Add(1)
	if w.rng.IntN(2) == 0 {
		proclaim, cancel := context.WithTimeout(ctx, 3*time.Second)
		_ = w.calls.Proclaim(proclaim, l, w.value())
		cancel()
	}
	w.held(ctx, l, l.ID(), time.Duration(w.rng.IntN(20))*time.Millisecond)
	w.calls.TakenAway(s, name, l.Token(), l.Err())
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if w.rng.IntN(3) == 0 {
		if heir := w.heir(leave, name); heir != 0 && w.calls.Transfer(leave, l, heir) == nil {
			return
		}
	}
	_ = w.calls.Resign(leave, l)
}

// heir is a candidate that waits; 0: there is none that is known.
func (w *worker) heir(ctx context.Context, name string) sdk.SessionID {
	info, err := w.client.ShowElection(ctx, name)
	if err != nil || len(info.Candidates) == 0 {
		return 0
	}
	return info.Candidates[w.rng.IntN(len(info.Candidates))].Session
}
