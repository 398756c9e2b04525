package shell

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
)

// What operators take away. Who has it may believe in it until told, as nobody
// else may, and the token alone protects meanwhile. Its sessions have nothing else.
const (
	brittle   = "brittle"   // a lock
	contested = "contested" // an election
)

// operated says whether a run has operators: most have, and what they do hides
// in some what happens without them.
func (w *cell) operated() bool { return w.Seed%3 != 1 }

// operate has an operator take away what somebody holds, again and again, until
// the context ends.
func (w *cell) operate(ctx context.Context) {
	rng := rand.New(rand.NewPCG(w.Seed, 7))
	by := &recorder.Operator{SDK: w.admin.sdk, Journal: &w.history.Journal, Now: now, Rand: rng}
	for ctx.Err() == nil {
		pause(ctx, time.Duration(50+rng.IntN(700))*time.Millisecond)
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		w.takeAway(short, by)
		cancel()
	}
}

// takeAway takes the lock or the lead from who has it, who may be cut off
// meanwhile, now and then with a token that is not the one.
func (w *cell) takeAway(ctx context.Context, by *recorder.Operator) {
	x, holder := by.Choose(ctx, brittle, contested)
	if holder == 0 {
		return
	}
	intervene := func() (done bool) {
		x = by.Intervene(ctx, x)
		w.history.count(recorder.Did(x))
		return x.Outcome == check.Done
	}
	who := w.history.clientOf(holder)
	if who == "" || by.Rand.IntN(3) > 0 {
		intervene()
		return
	}
	// The ways of the holder alone are cut, before and for a while after.
	heal, over := w.net.cut(both(who, w.names())...), w.suffers("silence client", "", who)
	pause(ctx, time.Duration(by.Rand.IntN(100))*time.Millisecond)
	if intervene() {
		w.history.count("taken away while its holder was cut off")
	}
	time.Sleep(time.Duration(20+by.Rand.IntN(1500)) * time.Millisecond)
	heal()
	over()
}

// risk takes what operators take away, holds it for a while and writes to what it
// protects, also once more when it has lost it.
func risk(ctx context.Context, c *client, at *sitting) {
	s := at.session(ctx)
	if s == nil {
		return
	}
	c.history.opened(s.ID(), c.name)
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 8*time.Second)
	defer cancel()
	hold := c.millis(20, 1500)
	if c.chance(3) == 0 { // until somebody takes it away, and says so
		hold = time.Minute
	}
	if c.chance(2) == 0 {
		l, err := c.calls.Campaign(ctx, s, contested, c.value())
		if err != nil {
			return
		}
		c.calls.Believed(l.ID(), c.keep(ctx, l, hold))
		if !c.lostIt(l) {
			_ = c.calls.Resign(release, l)
		}
		return
	}
	var opts []sdk.LockOption
	if c.chance(3) == 0 {
		opts = append(opts, recorder.WithDelay(c.millis(800, 1600)))
	}
	g, err := c.calls.Lock(ctx, s, false, []check.Item{{Name: brittle}}, opts...)
	if err != nil {
		return
	}
	c.calls.Believed(g.ID(), c.keep(ctx, g, hold))
	if !c.lostIt(g) {
		_ = c.calls.Unlock(release, g)
	}
}

// lostIt says whether somebody took it away, and then writes with the old token
// as a process does that was paused: the resource lets it through only as long as
// it has seen no newer one.
func (c *client) lostIt(h held) bool {
	err := h.Err()
	if err == nil {
		return false
	}
	if c.calls.TakenAway(h.Session(), h.Name(), h.Token(), err) {
		c.history.count("told that it was taken away")
	}
	if !c.history.store(h.Name(), h.Token()) {
		c.history.count("late writes refused for their token")
	}
	return true
}

// opened notes whose a session is.
func (h *history) opened(id sdk.SessionID, client string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.owners[id] = client
}

func (h *history) clientOf(id sdk.SessionID) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.owners[id]
}
