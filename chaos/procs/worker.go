//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
)

// worker is one client and what it does all the time.
type worker struct {
	Name      string
	Kind      string // one of kinds
	TTL       time.Duration
	Endpoints []string
	Group     int    // of those that work with the same keys
	Pinned    string // the node that it stays with; empty: it goes where the leader is
	Seed      uint64

	to      listener
	gate    *gate
	absent  func() (back func()) // notes that it is out of touch on purpose, nil: it must not be; may be nil
	rng     *rand.Rand
	calls   *recorder.Client
	client  *sdk.Client
	session *sdk.Session
	grants  atomic.Int64 // what it got of what it asked for
	values  int          // that it has written
	seen    map[string]string
}

// kinds are what a worker can do.
var kinds = map[string]func(*worker, context.Context){
	"contended": (*worker).contend,
	"shared":    (*worker).share,
	"permits":   (*worker).permit,
	"churn":     (*worker).churn,
	"short":     (*worker).short,
	"leader":    (*worker).lead,
	"keys":      (*worker).keep,
	"again":     (*worker).again,
	brittle:     (*worker).risk,
}

// epoch is how long names are in use: then everybody goes on with others, so
// that no part of the history grows too large to be put in order.
const epoch = 20 * time.Second

// named is a name of this epoch, the same for all clients.
func named(kind string, i int) string { return fmt.Sprintf("%s/%d.%d", kind, i, now()/epoch) }

// work goes on until the context ends.
func (w *worker) work(ctx context.Context) {
	w.rng = rand.New(rand.NewPCG(w.Seed, 0))
	w.calls = &recorder.Client{Name: w.Name, Sink: w.to, Now: now}
	w.seen = map[string]string{}
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

// value is one that nobody has written before: its process is in it, as one that
// is killed begins anew.
func (w *worker) value() string {
	w.values++
	return fmt.Sprintf("%s-%d-%d", w.Name, os.Getpid(), w.values)
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
	w.calls.Over(s)
	if err := s.Err(); err != nil && !errors.Is(err, sdk.ErrSessionClosed) {
		w.to.lost(loss{
			Client: w.Name, Session: s.ID(), TTL: s.TTL(), At: min(now(), at(s.Deadline())), Pinned: w.Pinned, Reason: err.Error(),
		})
	}
}

// grant is what a client holds.
type grant interface {
	Done() <-chan struct{}
	Err() error
	Deadline() time.Time
}

// held waits as long as a grant is to be held, or the context lasts, and says until when its client
// believed in it: no longer than to its deadline, which may have passed before
// this began, while the client was stopped.
func (w *worker) held(ctx context.Context, g grant, id int, hold time.Duration) {
	timer := time.NewTimer(hold)
	select {
	case <-timer.C:
	case <-g.Done():
	case <-ctx.Done():
	}
	timer.Stop()
	to := now() // before it looks: then it was held until here
	if g.Err() != nil {
		to = min(to, at(g.Deadline()))
	}
	w.calls.Believed(id, to)
}

// take claims locks and holds them for a while.
func (w *worker) take(ctx context.Context, s *sdk.Session, hold time.Duration, try bool, items []check.Item, opts ...sdk.LockOption) {
	g, err := w.calls.Lock(ctx, s, try, items, opts...)
	if err != nil {
		return
	}
	w.grants.Add(1)
	if items[0].Mode == "" {
		w.protected(g, s.ID(), g.Token(), g.Names())
	}
	w.held(ctx, g, g.ID(), hold)
	if err := g.Err(); err != nil {
		w.calls.TakenAway(s, g.Name(), g.Token(), err)
		for _, n := range g.Names() { // like one that was paused and does not know
			if items[0].Mode == "" {
				_ = w.to.write(n, g.Token())
			}
		}
	}
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = w.calls.Unlock(release, g)
}

// protected writes, as the holder of locks, to what they protect. Who holds them
// still, after it was refused for its token, must have been robbed by an operator.
func (w *worker) protected(g grant, session sdk.SessionID, token sdk.Token, names []string) {
	for _, n := range names {
		if err := w.to.write(n, token); err == nil || g.Err() != nil {
			continue
		}
		if w.to.doomed(session, token) {
			w.to.count("write refused to one that had not heard yet of an operator")
		} else {
			w.to.count(refusedHolder)
		}
	}
}

// refusedHolder is what must never happen: one that believes to hold the lock,
// before and after its write, is refused for its token.
const refusedHolder = "VIOLATION: the store refused the token of one that holds the lock"

func one(name string) []check.Item { return []check.Item{{Name: name}} }
