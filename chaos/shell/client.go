package shell

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
)

// client is a process with a client of the SDK in it, on a host of its own.
type client struct {
	name    string
	host    *host
	nodes   []string // endpoints
	pinned  bool     // it stays with its endpoint
	rate    float64  // of its clock
	log     *journal
	history *history
	calls   *recorder.Client
	sdk     *sdk.Client

	mu      sync.Mutex
	rng     *rand.Rand
	written int
}

// maxDrift is by how much a client's clock may be wrong. Conch allows for a
// tenth in all.
const maxDrift = 0.04

func newClient(n *network, name string, seed uint64, endpoints []string, h *history) *client {
	rng := rand.New(rand.NewPCG(seed, uint64(name[1])<<8))
	return &client{
		name: name, host: n.boot(name), nodes: endpoints, pinned: len(endpoints) == 1, log: &journal{}, history: h,
		calls: &recorder.Client{Name: name, Sink: h, Now: now}, rng: rng, rate: 1 - maxDrift + 2*maxDrift*rng.Float64(),
	}
}

// dial makes a client of the SDK.
func (c *client) dial(ctx context.Context) (*sdk.Client, error) {
	return sdk.Dial(ctx, sdk.Config{
		Endpoints: c.nodes, Name: c.name, IgnoreLeader: c.pinned, SessionTTL: 3 * time.Second, Dial: c.host.dial,
		Now:    func() time.Duration { return time.Duration(float64(now()) * c.rate) },
		Logger: zerolog.New(c.log),
	})
}

// connect dials until it works.
func (c *client) connect(ctx context.Context) bool {
	for ctx.Err() == nil {
		made, err := c.dial(ctx)
		if err == nil {
			c.sdk = made
			return true
		}
		c.history.count("dials that failed")
		pause(ctx, 200*time.Millisecond)
	}
	return false
}

// chance is a number from 0 up to, and without, n.
func (c *client) chance(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.IntN(n)
}

// millis is a time from least up to most milliseconds.
func (c *client) millis(least, most int) time.Duration {
	return time.Duration(least+c.chance(most-least+1)) * time.Millisecond
}

// value is one that no other client writes.
func (c *client) value() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written++
	return fmt.Sprintf("%s.%d", c.name, c.written)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// moment is when, in the time of the run, the client's clock will have reached
// what it takes for that deadline.
func (c *client) moment(deadline time.Time) instant {
	return now() + time.Duration(float64(time.Until(deadline))/c.rate)
}

// sitting is a session that is opened anew when it was lost.
type sitting struct {
	c   *client
	ttl time.Duration
	s   *sdk.Session
}

// session is one that has not been lost; nil: there is none now.
func (x *sitting) session(ctx context.Context) *sdk.Session {
	if x.s != nil && x.s.Err() == nil {
		return x.s
	}
	x.leave()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := x.c.sdk.NewSession(ctx, sdk.WithTTL(x.ttl))
	if err != nil {
		x.c.history.count("sessions not opened")
		return nil
	}
	x.c.history.count("sessions opened")
	x.s = s
	go x.c.states(s)
	return s
}

// states follows what a session says of itself until it is lost: who loses it for
// want of keep-alives was warned ([checkWarned]).
func (c *client) states(s *sdk.Session) {
	warned := false
	for state := range s.States(context.Background()) {
		switch {
		case state == sdk.Jeopardy:
			c.history.count("sessions in jeopardy")
		case state == sdk.Healthy && warned:
			c.history.count("sessions saved from jeopardy")
		case state == sdk.Lost && !warned && errors.Is(s.Err(), sdk.ErrSessionExpired):
			c.history.surprised(loss{client: c.name, session: s.ID(), at: now(), reason: s.Err().Error()})
		}
		warned = state == sdk.Jeopardy
	}
}

// leave notes until when the session was good, and when it was lost.
func (x *sitting) leave() {
	if x.s == nil {
		return
	}
	deadline := x.c.moment(x.s.Deadline())
	x.c.calls.TakenAway(x.s, "", 0, x.s.Err())
	x.c.history.Session(check.Session{ID: uint64(x.s.ID()), Client: x.c.name, TTL: x.ttl, Safe: deadline})
	if err := x.s.Err(); err != nil && !errors.Is(err, sdk.ErrSessionClosed) {
		x.c.history.lost(loss{x.c.name, x.s.ID(), x.ttl, min(now(), deadline), err.Error()})
	}
	x.s = nil
}

// held is a lock or a leadership.
type held interface {
	Name() string
	Done() <-chan struct{}
	Err() error
	Deadline() time.Time
	Token() sdk.Token
	Session() *sdk.Session
}

// keep holds what was granted for a time, writes to what it protects, and
// returns until when the client believed in it.
func (c *client) keep(ctx context.Context, h held, hold time.Duration) instant {
	c.guard(h)
	c.hold(ctx, h, hold)
	c.guard(h)
	return c.believed(h)
}

// hold holds it, for a time or until it is lost.
func (c *client) hold(ctx context.Context, h held, hold time.Duration) {
	timer := time.NewTimer(hold)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.Done():
	case <-ctx.Done():
	}
}

// believed is until when the client has believed in what it holds: until now,
// before it looks, or the deadline.
func (c *client) believed(h held) instant {
	to := now()
	if h.Err() != nil {
		to = min(to, c.moment(h.Deadline()))
	}
	return to
}

// guard writes to what a lock protects. One that believes in it, before and
// after, must not be refused, unless an operator took it away.
func (c *client) guard(h held) {
	if h.Err() != nil || c.history.store(h.Name(), h.Token()) || h.Err() != nil {
		return
	}
	if c.history.Doomed(uint64(h.Session().ID()), uint64(h.Token())) {
		c.history.count("writes refused to who had not heard yet")
	} else {
		c.history.violation("the store of %q refused token %d of %s, which holds it", h.Name(), h.Token(), c.name)
	}
}
