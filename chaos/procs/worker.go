//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// worker is one client and what it does all the time.
type worker struct {
	Name      string
	Kind      string // one of kinds
	TTL       time.Duration
	Endpoints []string
	Pinned    string // the node that it stays with; empty: it goes where the leader is
	Seed      uint64

	to      recorder
	gate    *gate
	absent  func() (back func()) // notes that it is out of touch on purpose; may be nil
	rng     *rand.Rand
	client  *sdk.Client
	session *sdk.Session
	grants  atomic.Int64
}

// kinds are what a worker can do.
var kinds = map[string]func(*worker, context.Context){
	"contended": (*worker).contend,
	"shared":    (*worker).share,
	"churn":     (*worker).churn,
	"short":     (*worker).short,
}

// exclusive says of which locks nobody asks for shared holds.
func exclusive(lock string) bool { return lock != sharedLock }

const sharedLock = "shared/0"

// work goes on until the context ends.
func (w *worker) work(ctx context.Context) {
	w.rng = rand.New(rand.NewPCG(w.Seed, 0))
	if w.gate == nil {
		w.gate = newGate()
	}
	for ctx.Err() == nil && w.client == nil {
		c, err := sdk.Dial(ctx, sdk.Config{Endpoints: w.Endpoints, Name: w.Name, IgnoreLeader: w.Pinned != "", Dial: w.gate.dial})
		if err != nil {
			w.to.count("dial failed")
			w.pause(ctx, 100*time.Millisecond)
			continue
		}
		w.client = c
	}
	if w.client == nil {
		return
	}
	defer w.client.Close()
	for ctx.Err() == nil {
		kinds[w.Kind](w, ctx)
		w.pause(ctx, time.Duration(2+w.rng.IntN(10))*time.Millisecond)
	}
}

func (w *worker) pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// ensure has a session, a new one when the last was lost; nil: there is none now.
func (w *worker) ensure(ctx context.Context) *sdk.Session {
	if s := w.session; s != nil {
		if s.Err() == nil {
			return s
		}
		w.mourn(s)
	}
	w.session = w.open(ctx, w.TTL)
	return w.session
}

func (w *worker) open(ctx context.Context, ttl time.Duration) *sdk.Session {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := w.client.NewSession(ctx, sdk.WithTTL(ttl), sdk.WithLabels(map[string]string{"worker": w.Name}))
	if err != nil {
		w.to.count("session not opened")
		return nil
	}
	w.to.count("session opened")
	return s
}

// mourn records a session that is over although nobody closed it.
func (w *worker) mourn(s *sdk.Session) {
	if err := s.Err(); err != nil && !errors.Is(err, sdk.ErrSessionClosed) {
		w.to.lost(loss{
			Client: w.Name, Session: s.ID(), TTL: s.TTL(), At: min(now(), at(s.Deadline())), Pinned: w.Pinned, Reason: err.Error(),
		})
	}
}

// take claims locks and holds them for a while. It says whether they were granted.
func (w *worker) take(ctx context.Context, s *sdk.Session, hold time.Duration, try bool, name string, shared bool, more []string, opts ...sdk.LockOption) bool {
	if shared {
		opts = append(opts, sdk.Shared())
	}
	if len(more) > 0 {
		opts = append(opts, sdk.And(more...))
	}
	asked := now()
	claim := s.Lock
	if try {
		claim = s.TryLock
	}
	l, err := claim(ctx, name, opts...)
	from := now()
	if err != nil {
		w.to.count("not granted: " + outcome(err))
		return false
	}
	g := grant{
		Client: w.Name, Session: s.ID(), Names: l.Names(), Shared: shared, Token: l.Token(), Revision: l.Revision(), Asked: asked, From: from,
	}
	w.to.granted(g)
	w.grants.Add(1)
	if !shared {
		for _, n := range l.Names() {
			if err := w.to.write(n, l.Token()); err != nil && l.Err() == nil {
				w.to.count(refusedHolder)
			}
		}
	}
	timer := time.NewTimer(hold)
	select {
	case <-timer.C:
	case <-l.Done():
		timer.Stop()
	}
	g.To = now()
	if l.Err() != nil {
		g.To = max(g.From, min(g.To, at(l.Deadline())))
	}
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	err = l.Unlock(release)
	cancel()
	g.Released = err == nil
	if err != nil {
		w.to.count("not released: " + outcome(err))
	}
	w.to.ended(g)
	return true
}

// refusedHolder is what must never happen: one that believes to hold the lock,
// before and after its write, is refused for its token.
const refusedHolder = "VIOLATION: the store refused the token of one that holds the lock"

// outcome is an error in few words.
func outcome(err error) string {
	for _, e := range []struct {
		err  error
		name string
	}{
		{context.DeadlineExceeded, "gave up"}, {context.Canceled, "the run ended"}, {sdk.ErrHeld, "held"}, {sdk.ErrWaitTimedOut, "wait timed out"},
		{sdk.ErrSessionExpired, "session expired"}, {sdk.ErrSessionClosed, "session closed"}, {sdk.ErrClosed, "client closed"},
	} {
		if errors.Is(err, e.err) {
			return e.name
		}
	}
	return err.Error()
}

// contend takes one of two locks that everybody wants.
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
	w.take(ctx, s, hold, false, fmt.Sprintf("hot/%d", w.rng.IntN(2)), false, nil)
}

// share takes a lock together with others, now and then alone.
func (w *worker) share(ctx context.Context) {
	s := w.ensure(ctx)
	if s == nil {
		return
	}
	w.take(ctx, s, time.Duration(w.rng.IntN(10))*time.Millisecond, false, sharedLock, w.rng.IntN(4) != 0, nil)
}

// churn tries, waits for a little while, claims several at once, and gives up.
func (w *worker) churn(ctx context.Context) {
	s := w.ensure(ctx)
	if s == nil {
		return
	}
	names := []string{"churn/0", "churn/1", "churn/2"}
	w.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	hold := time.Duration(w.rng.IntN(10)) * time.Millisecond
	switch w.rng.IntN(4) {
	case 0:
		w.take(ctx, s, hold, true, names[0], false, nil)
	case 1:
		w.take(ctx, s, hold, false, names[0], false, nil, sdk.WithWait(time.Duration(1+w.rng.IntN(200))*time.Millisecond))
	case 2:
		w.take(ctx, s, hold, false, names[0], false, names[1:1+w.rng.IntN(3)])
	default:
		ctx, cancel := context.WithTimeout(ctx, time.Duration(w.rng.IntN(30))*time.Millisecond)
		defer cancel()
		w.take(ctx, s, hold, false, names[0], false, nil)
	}
}

// short opens a session that lives for a moment, and now and then falls silent
// instead of closing it.
func (w *worker) short(ctx context.Context) {
	ttl := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second}[w.rng.IntN(3)]
	s := w.open(ctx, ttl)
	if s == nil {
		return
	}
	vanish := w.rng.IntN(4) == 0 && w.absent != nil
	hold := time.Duration(w.rng.IntN(100)) * time.Millisecond
	if vanish {
		back := w.absent()
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
	w.take(ctx, s, hold, false, "short/0", false, nil)
	if s.Err() != nil {
		w.mourn(s)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if s.Close(ctx) != nil {
		w.to.count("session not closed in time")
	}
}
