package sdk

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conch-lock/conch/api"
)

// world runs a test in virtual time against a fake cell of three nodes. The
// bubble ends only when every goroutine has, so each test also checks that
// Close leaves none behind.
func world(t *testing.T, change func(*Config), test func(t *testing.T, f *fakeCell, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeCell(t, "n1:1", "n2:1", "n3:1")
		cfg := f.config()
		if change != nil {
			change(&cfg)
		}
		c, err := Dial(t.Context(), cfg)
		if err != nil {
			t.Fatalf("Dial: %v", err)
		}
		defer func() {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			f.wg.Wait()
		}()
		test(t, f, c)
	})
}

func (f *fakeCell) config() Config {
	start := time.Now()
	return Config{
		Endpoints: []string{"n1:1", "n2:1", "n3:1"},
		Dial:      f.dial,
		Now:       func() time.Duration { return time.Since(start) + time.Hour },
	}
}

func open(t *testing.T, c *Client, opts ...SessionOption) *Session {
	t.Helper()
	s, err := c.NewSession(t.Context(), opts...)
	if err != nil {
		t.Fatalf("NewSession: %v", err)
	}
	return s
}

func take(t *testing.T, s *Session, name string, opts ...LockOption) *Lock {
	t.Helper()
	l, err := s.Lock(t.Context(), name, opts...)
	if err != nil {
		t.Fatalf("Lock %q: %v", name, err)
	}
	return l
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got error %v, want one that is %q", what, err, target)
	}
}

// nth lets the first requests that match pass and does ft to number n (from 1).
func nth(n int64, ft fault, match func(*api.Request) bool) func(*api.Request) fault {
	var seen atomic.Int64
	return func(r *api.Request) fault {
		if match(r) && seen.Add(1) == n {
			return ft
		}
		return fault{}
	}
}

func isAcquire(r *api.Request) bool { return r.GetAcquire() != nil }
func isRelease(r *api.Request) bool { return r.GetRelease() != nil }
func isOpen(r *api.Request) bool    { return r.GetOpenSession() != nil }

func TestDialTellsWhyEachEndpointFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeCell(t, "n1:1", "n2:1")
		f.nodes["n1:1"].down, f.nodes["n2:1"].mute = true, true
		cfg := f.config()
		start := time.Now()
		_, err := Dial(t.Context(), cfg)
		want(t, "Dial", err, ErrUnreachable)
		want(t, "Dial", err, context.DeadlineExceeded)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("Dial took %v, want the dial timeout", took)
		}
		for _, part := range []string{"n1:1: connection refused", "n2:1: no answer", "n3:1: connection refused"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error %q does not say %q", err, part)
			}
		}
		var u *UnreachableError
		if !errors.As(err, &u) || len(u.Attempts) != 3 {
			t.Errorf("got %+v, want three attempts", u)
		}
		f.wg.Wait()
	})
}

func TestDialRefusesBadConfigs(t *testing.T) {
	for name, cfg := range map[string]Config{
		"0 endpoints":         {},
		`want host:port`:      {Endpoints: []string{"nowhere"}},
		"named twice":         {Endpoints: []string{"a:1", "a:1"}},
		"session ttl 1ms":     {Endpoints: []string{"a:1"}, SessionTTL: time.Millisecond},
		"silence timeout 1ns": {Endpoints: []string{"a:1"}, SilenceTimeout: 1},
		"max pending -1":      {Endpoints: []string{"a:1"}, MaxPending: -1},
	} {
		_, err := Dial(t.Context(), cfg)
		want(t, name, err, ErrInvalid)
		if err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("error %q does not say %q", err, name)
		}
	}
}

func TestLockAndUnlock(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		a := take(t, s, "job")
		if a.Token() == 0 || a.Name() != "job" || a.Err() != nil || a.Context().Err() != nil {
			t.Errorf("lock %+v", a)
		}
		_, err := s.TryLock(t.Context(), "job")
		want(t, "TryLock", err, ErrHeld)
		var e *Error
		if !errors.As(err, &e) || e.Holder != s.ID() || e.Token != a.Token() || e.Since.IsZero() || !e.Definite {
			t.Errorf("the refusal does not say who holds it: %+v", e)
		}
		got := make(chan *Lock)
		go func() {
			b, err := s.Lock(t.Context(), "job")
			if err != nil {
				t.Error(err)
			}
			got <- b
		}()
		synctest.Wait()
		if err := a.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := <-got
		if b.Token() <= a.Token() {
			t.Errorf("token %d after %d", b.Token(), a.Token())
		}
		want(t, "the released lock", a.Err(), ErrReleased)
		want(t, "its context", context.Cause(a.Context()), ErrReleased)
		if err := a.Unlock(t.Context()); err != nil {
			t.Errorf("a second Unlock: %v", err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		want(t, "lock after close", b.Err(), ErrSessionClosed)
		want(t, "unlock after close", b.Unlock(t.Context()), ErrSessionClosed)
		if h, w := f.queue("job"); h+w != 0 {
			t.Errorf("%d holders, %d waiters are left", h, w)
		}
	})
}

func TestLostRepliesTakeEffectOnce(t *testing.T) {
	for name, match := range map[string]func(*api.Request) bool{"open": isOpen, "acquire": isAcquire, "release": isRelease} {
		t.Run(name, func(t *testing.T) {
			world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
				f.hook("n1:1", nth(1, fault{loseReply: true, kill: true}, match))
				s := open(t, c)
				l := take(t, s, "job")
				if err := l.Unlock(t.Context()); err != nil {
					t.Fatalf("Unlock: %v", err)
				}
				f.with(func() {
					if f.opened != 1 || f.applied["acquire"] != 1 || f.token != 1 {
						t.Errorf("%d sessions, %d acquires, token %d; want one each", f.opened, f.applied["acquire"], f.token)
					}
					if f.nodes["n2:1"].accepted == 0 {
						t.Error("it never reconnected: the fault did not happen")
					}
				})
			})
		})
	}
}

func TestCancelledLockLeavesNoWaiter(t *testing.T) {
	for name, ft := range map[string]fault{
		"queued": {}, "request lost": {lose: true, kill: true}, "reply lost": {loseReply: true},
	} {
		t.Run(name, func(t *testing.T) {
			world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
				s := open(t, c)
				held := take(t, s, "job")
				f.hook("n1:1", nth(1, ft, isAcquire))
				_, err := s.Lock(within(t, 50*time.Millisecond), "job")
				want(t, "Lock", err, context.DeadlineExceeded)
				time.Sleep(5 * time.Second)
				if h, w := f.queue("job"); h != 1 || w != 0 {
					t.Errorf("%d holders, %d waiters; want the first holder alone", h, w)
				}
				if err := held.Unlock(t.Context()); err != nil {
					t.Error(err)
				}
				if h, w := f.queue("job"); h+w != 0 {
					t.Errorf("%d holders, %d waiters; want none", h, w)
				}
				c.mu.Lock()
				defer c.mu.Unlock()
				if len(s.claims) != 0 || len(c.calls) != 0 || s.sequences.acked != s.sequences.last {
					t.Errorf("%d claims, %d calls, acknowledged %d of %d: something stays behind", len(s.claims), len(c.calls), s.sequences.acked, s.sequences.last)
				}
			})
		})
	}
}

func TestWaitRunsOutInTheCell(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		take(t, s, "job")
		start := time.Now()
		_, err := s.Lock(t.Context(), "job", WithWait(3*time.Second))
		want(t, "Lock", err, ErrWaitTimedOut)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestWaitingClaimSurvivesReconnect(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		a := take(t, s, "job")
		got := make(chan *Lock, 1)
		go func() {
			b, err := s.Lock(t.Context(), "job")
			if err != nil {
				t.Error(err)
			}
			got <- b
		}()
		synctest.Wait()
		// The grant happens while nobody listens.
		f.with(func() {
			for _, n := range f.nodes {
				n.down = true
			}
		})
		f.cut("n1:1")
		synctest.Wait()
		if s.State() != Jeopardy || a.Err() != nil {
			t.Errorf("state %v, lock %v while disconnected; want jeopardy, and still held", s.State(), a.Err())
		}
		f.with(func() {
			f.drop(f.claims[0]) // an operator breaks the first grant
			for _, n := range f.nodes {
				n.down = false
			}
		})
		b := <-got
		if b.Token() != 2 || f.applied["acquire"] != 2 {
			t.Errorf("token %d after %d acquires", b.Token(), f.applied["acquire"])
		}
		<-a.Done()
		want(t, "the lock broken meanwhile", a.Err(), ErrBroken)
		want(t, "unlocking it", a.Unlock(t.Context()), ErrBroken)
		synctest.Wait()
		if s.State() != Healthy {
			t.Errorf("state %v after the reconnect", s.State())
		}
	})
}

func TestUnlockGoesOnWithoutItsContext(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		l := take(t, s, "job")
		f.hook("n1:1", func(r *api.Request) fault {
			if r.GetRelease() != nil {
				return fault{refuse: &api.Error{Code: api.Code_UNKNOWN_OUTCOME}}
			}
			return fault{}
		})
		err := l.Unlock(within(t, 100*time.Millisecond))
		want(t, "Unlock", err, context.DeadlineExceeded)
		if h, _ := f.queue("job"); h != 1 {
			t.Fatal("it is released already")
		}
		f.hook("n1:1", nil)
		if err := l.Unlock(t.Context()); err != nil {
			t.Errorf("the second Unlock: %v", err)
		}
		if h, _ := f.queue("job"); h != 0 {
			t.Error("it is not released")
		}
	})
}

// A node that lives and has lost a request is asked again.
func TestLostRequestOnALiveConnection(t *testing.T) {
	for name, endpoints := range map[string]int{"one node": 1, "three": 3} {
		t.Run(name, func(t *testing.T) {
			world(t, func(c *Config) { c.Endpoints = c.Endpoints[:endpoints] }, func(t *testing.T, f *fakeCell, c *Client) {
				s := open(t, c)
				l := take(t, s, "job")
				f.hook("n1:1", nth(1, fault{lose: true}, isRelease))
				start := time.Now()
				if err := l.Unlock(t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took < 20*time.Second || took > 22*time.Second {
					t.Errorf("it took %v", took)
				}
				if h, _ := f.queue("job"); h != 0 || s.Err() != nil {
					t.Errorf("%d holders, session %v", h, s.Err())
				}
			})
		})
	}
}

func TestUnknownOutcomeIsTold(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		l := take(t, s, "job")
		f.hook("n1:1", nth(1, fault{loseReply: true, kill: true}, func(r *api.Request) bool { return r.GetBreakLock() != nil }))
		err := c.BreakLock(t.Context(), "job", l.Token(), "test")
		want(t, "BreakLock", err, ErrUnknownOutcome)
		<-l.Done()
		want(t, "the lock", l.Err(), ErrBroken)
		if f.applied["break"] != 1 {
			t.Errorf("%d breaks", f.applied["break"])
		}
		// A refusal that says that nothing happened is repeated.
		f.hook("n2:1", nth(1, fault{refuse: &api.Error{Code: api.Code_NO_LEADER, Definite: true}}, func(r *api.Request) bool { return r.GetTxn() != nil }))
		if _, err := c.Put(t.Context(), "k", []byte("v")); err != nil {
			t.Errorf("Put: %v", err)
		}
		// One that does not is not.
		f.hook("n2:1", nth(1, fault{refuse: &api.Error{Code: api.Code_NO_LEADER}}, func(r *api.Request) bool { return r.GetTxn() != nil }))
		_, err = c.Put(t.Context(), "k", []byte("v"))
		want(t, "Put", err, ErrUnknownOutcome)
		// With a session it is exactly-once.
		f.hook("n2:1", nth(1, fault{loseReply: true, kill: true}, func(r *api.Request) bool { return r.GetTxn() != nil }))
		before := f.applied["txn"]
		if _, err := s.Txn(t.Context(), Txn{Then: []Op{PutOp("k", []byte("w"))}}); err != nil {
			t.Errorf("Txn: %v", err)
		}
		if n := f.applied["txn"] - before; n != 1 {
			t.Errorf("the transaction took effect %d times", n)
		}
	})
}

func TestNoLeaderIsToldWhenTheWaitEnds(t *testing.T) {
	world(t, func(c *Config) { c.Endpoints = c.Endpoints[:1] }, func(t *testing.T, f *fakeCell, c *Client) {
		f.hook("n1:1", func(r *api.Request) fault {
			return fault{refuse: &api.Error{Code: api.Code_NO_LEADER, Message: "no leader", Definite: true}}
		})
		_, err := c.NewSession(within(t, 3*time.Second))
		want(t, "NewSession", err, ErrNoLeader)
		want(t, "NewSession", err, context.DeadlineExceeded)
		f.hook("n1:1", nil)
	})
}

// TestARefusalOfARepetitionIsNotDefinite: the first attempt was done and its
// reply lost; that the second was refused does not say that nothing happened.
func TestARefusalOfARepetitionIsNotDefinite(t *testing.T) {
	world(t, func(c *Config) { c.Endpoints = c.Endpoints[:1] }, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		first := true
		f.hook("n1:1", func(r *api.Request) fault {
			if r.GetTxn() == nil {
				return fault{}
			}
			if first {
				first = false
				return fault{loseReply: true, kill: true}
			}
			return fault{refuse: &api.Error{Code: api.Code_UNAVAILABLE, Message: "stopping", Definite: true}}
		})
		_, err := s.Txn(within(t, 3*time.Second), Txn{Then: []Op{PutOp("a", nil)}})
		var refused *Error
		if !errors.As(err, &refused) || refused.Definite {
			t.Errorf("%v: the refusal of the repetition is called definite", err)
		}
		f.with(func() {
			if f.kvs["a"] == nil {
				t.Error("the first attempt had no effect: the test shows nothing")
			}
		})
		f.hook("n1:1", nil)
	})
}

func TestLeavesANodeThatCannotServe(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		f.hook("n1:1", func(r *api.Request) fault {
			return fault{refuse: &api.Error{Code: api.Code_NO_LEADER, Definite: true}}
		})
		start := time.Now()
		open(t, c)
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("it took %v to try another node", took)
		}
		f.with(func() {
			if f.nodes["n2:1"].accepted != 1 {
				t.Error("it did not go to the next node")
			}
		})
	})
}

func TestLeavesASilentConnection(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		f.with(func() { f.nodes["n1:1"].mute = true })
		start := time.Now()
		take(t, s, "job")
		if took := time.Since(start); took != 1500*time.Millisecond {
			t.Errorf("a lock took %v with a silent node, want the silence timeout", took)
		}
	})
}

// Without a leader nothing is answered; who waited in vain is told that this is why.
func TestNoAnswerForWantOfALeader(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		ask := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := c.Get(ctx, "key")
			want(t, "get", err, context.DeadlineExceeded)
			return err
		}
		silent := func(r *api.Request) fault { return fault{lose: r.GetRange() != nil} }
		for _, endpoint := range []string{"n1:1", "n2:1", "n3:1"} {
			f.hook(endpoint, silent)
		}
		if err := ask(); strings.Contains(err.Error(), "leader") {
			t.Errorf("%v: nothing is known of a leader", err)
		}
		f.with(func() {
			for _, n := range f.nodes {
				n.hint = &api.LeaderHint{}
				for st := range n.streams {
					st.send(&api.Response{Result: &api.Response_Leader{Leader: n.hint}})
				}
			}
		})
		if err := ask(); !strings.Contains(err.Error(), "knows of no leader") {
			t.Errorf("%v: does not say that there is no leader", err)
		}
	})
}

func TestFollowsTheLeaderWithoutFlapping(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		held := take(t, s, "job")
		start := time.Now()
		point := func(to string) {
			for _, n := range f.nodes {
				n.hint = &api.LeaderHint{Node: to, Endpoint: to}
				for st := range n.streams {
					st.send(&api.Response{Result: &api.Response_Leader{Leader: n.hint}})
				}
			}
		}
		// Hints change faster than a client could follow.
		for i := 0; time.Since(start) < 20*time.Second; i++ {
			f.with(func() { point([]string{"n2:1", "n3:1", "n1:1"}[i%3]) })
			time.Sleep(1100 * time.Millisecond)
		}
		f.with(func() { point("n3:1") })
		time.Sleep(10 * time.Second)
		f.with(func() {
			total := 0
			for _, n := range f.nodes {
				total += n.accepted
			}
			if total > 7 {
				t.Errorf("%d connections in 30 s of changing hints", total)
			}
			if len(f.nodes["n3:1"].streams) != 1 {
				t.Error("it is not connected to the leader in the end")
			}
		})
		if s.State() != Healthy || held.Err() != nil {
			t.Errorf("session %v, lock %v", s.State(), held.Err())
		}
	})
}

func TestEverythingEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeCell(t, "n1:1")
		c, err := Dial(t.Context(), f.config())
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, c)
		l := take(t, s, "job")
		errs := make(chan error, 3)
		go func() { _, err := s.Lock(t.Context(), "job"); errs <- err }()
		f.hook("n1:1", nth(1, fault{lose: true}, func(r *api.Request) bool { return r.GetStatus() != nil }))
		go func() { _, err := c.Status(t.Context()); errs <- err }()
		go func() {
			var last error
			for _, err := range c.Watch(t.Context(), Prefix("")) {
				last = err
			}
			errs <- last
		}()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		closed := 0
		for range 3 {
			err := <-errs
			if errors.Is(err, ErrClosed) {
				closed++
			} else if !errors.Is(err, ErrSessionClosed) {
				t.Errorf("got %v", err)
			}
		}
		if closed != 2 {
			t.Errorf("%d calls ended with ErrClosed, want 2", closed)
		}
		want(t, "lock", l.Err(), ErrSessionClosed)
		_, err = c.Status(t.Context())
		want(t, "a call after Close", err, ErrClosed)
		if h, _ := f.queue("job"); h != 0 {
			t.Error("the lock was not released")
		}
		f.wg.Wait()
	})
}
