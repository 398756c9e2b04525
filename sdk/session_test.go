package sdk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conch-lock/conch/api"
)

func TestSessionLivesOn(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c, WithTTL(MinTTL))
		l := take(t, s, "job")
		time.Sleep(time.Minute)
		if s.State() != Healthy || s.Err() != nil || l.Err() != nil {
			t.Errorf("after a minute: %v, %v, %v", s.State(), s.Err(), l.Err())
		}
		if left := time.Until(s.Deadline()); left <= 0 || left > s.TTL()*9/10 {
			t.Errorf("%v are left of the safe time", left)
		}
	})
}

// The deadline counts from sending: nine tenths of the time to live after the
// last acknowledged keep-alive was sent, and before the cell lets go.
func TestHolderKnowsFirst(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c, WithTTL(9*time.Second))
		l := take(t, s, "job")
		var states []State
		seen := make(chan struct{})
		go func() {
			states = slices.Collect(s.States(t.Context()))
			close(seen)
		}()
		time.Sleep(3 * time.Second) // a keep-alive is sent and acknowledged now
		synctest.Wait()
		acked := time.Now()
		f.with(func() {
			for _, n := range f.nodes {
				n.mute = true
			}
		})
		<-l.Done()
		if took := time.Since(acked); took != 8100*time.Millisecond {
			t.Errorf("it ended after %v, want 8.1s", took)
		}
		f.with(func() {
			if len(f.claims) != 1 {
				t.Error("the cell let go before the holder knew")
			}
			for _, n := range f.nodes {
				n.mute = false
			}
		})
		for what, err := range map[string]error{"session": s.Err(), "lock": l.Err(), "context": context.Cause(l.Context()), "unlock": l.Unlock(t.Context())} {
			want(t, what, err, ErrSessionExpired)
		}
		_, err := s.Lock(t.Context(), "job")
		want(t, "Lock", err, ErrSessionExpired)
		<-seen
		if !slices.Equal(states, []State{Healthy, Jeopardy, Lost}) {
			t.Errorf("states %v", states)
		}
	})
}

// An acknowledgement that was long under way does not count from its arrival.
func TestDeadlineCountsFromSending(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		start := time.Now()
		s := open(t, c, WithTTL(9*time.Second))
		f.hook("n1:1", func(r *api.Request) fault {
			if r.GetKeepAlive() != nil {
				return fault{delay: 2 * time.Second}
			}
			return fault{}
		})
		time.Sleep(5500 * time.Millisecond) // sent after 3 s, acknowledged after 5 s
		if safe := s.Deadline().Sub(start); safe != 11100*time.Millisecond {
			t.Errorf("the deadline is %v after the start, want 3s + 8.1s", safe)
		}
	})
}

// A claim that waits for long does not keep the cell from forgetting the
// replies of those after it.
func TestLongWaiterHoldsUpNoAcknowledgements(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		held := take(t, s, "long")
		got := make(chan *Lock, 1)
		go func() {
			l, err := s.Lock(t.Context(), "long")
			if err != nil {
				t.Error(err)
			}
			got <- l
		}()
		synctest.Wait()
		for range 50 {
			if err := take(t, s, "short").Unlock(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		f.with(func() {
			if n := len(f.sessions[uint64(s.ID())].replies); n > 3 {
				t.Errorf("the cell has to remember %d replies", n)
			}
		})
		if err := held.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-got
	})
}

// A machine that was suspended finds its sessions over although no timer has
// fired yet.
func TestSuspendedMachine(t *testing.T) {
	var suspended atomic.Int64
	world(t, func(c *Config) {
		now := c.Now
		c.Now = func() time.Duration { return now() + time.Duration(suspended.Load()) }
	}, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		l := take(t, s, "job")
		suspended.Store(int64(time.Minute))
		want(t, "lock", l.Err(), ErrSessionExpired)
		want(t, "session", s.Err(), ErrSessionExpired)
		if s.State() != Lost {
			t.Errorf("state %v", s.State())
		}
	})
}

// A grant that arrives after the session's own deadline is not handed out.
func TestLateGrantIsNotHandedOut(t *testing.T) {
	var suspended atomic.Int64
	world(t, func(c *Config) {
		now := c.Now
		c.Now = func() time.Duration { return now() + time.Duration(suspended.Load()) }
	}, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		f.hook("n1:1", func(r *api.Request) fault {
			if r.GetAcquire() != nil {
				suspended.Store(int64(time.Minute)) // while the reply is under way
			}
			return fault{}
		})
		_, err := s.Lock(t.Context(), "job")
		want(t, "Lock", err, ErrSessionExpired)
	})
}

// TestEndsItsOwnCalls: a session that is lost ends the calls that were made in it
// and no others, of which a client of many sessions has many.
func TestEndsItsOwnCalls(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		a, b := open(t, c), open(t, c)
		f.hook("n1:1", func(r *api.Request) fault { return fault{lose: r.GetAcquire() != nil} })
		var over []string
		for i := range 6 {
			s := []*Session{a, b}[i%2]
			go func() {
				_, err := s.Lock(t.Context(), fmt.Sprint(i))
				if s == a {
					want(t, "Lock", err, ErrSessionEnded)
				}
				f.with(func() { over = append(over, fmt.Sprint(i)) })
			}()
			synctest.Wait()
		}
		books := func(wantA, wantB int) {
			t.Helper()
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(a.calls) != wantA || len(b.calls) != wantB || len(c.calls) != wantA+wantB {
				t.Errorf("%d and %d calls in the sessions, %d in all, want %d and %d", len(a.calls), len(b.calls), len(c.calls), wantA, wantB)
			}
		}
		books(3, 3)
		f.with(func() { f.end(uint64(a.ID()), api.EndReason_END_ENDED, "") })
		synctest.Wait()
		books(0, 3)
		f.with(func() {
			if slices.Sort(over); !slices.Equal(over, []string{"0", "2", "4"}) {
				t.Errorf("calls %v are over", over)
			}
		})
	})
}

func TestReasonsAreTyped(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		a, b := open(t, c), open(t, c)
		la := take(t, a, "a")
		if err := c.EndSession(t.Context(), a.ID(), "maintenance"); err != nil {
			t.Fatal(err)
		}
		<-la.Done()
		want(t, "ended session", a.Err(), ErrSessionEnded)
		want(t, "its lock", la.Err(), ErrSessionEnded)
		if errors.Is(a.Err(), ErrSessionClosed) || errors.Is(a.Err(), ErrSessionExpired) {
			t.Error("two reasons at once")
		}
		lb := take(t, b, "b")
		if err := c.BreakLock(t.Context(), "b", lb.Token(), "stuck"); err != nil {
			t.Fatal(err)
		}
		<-lb.Done()
		want(t, "broken lock", lb.Err(), ErrBroken)
		if b.Err() != nil {
			t.Errorf("its session: %v", b.Err())
		}
		// Ended while not connected: the attachment tells.
		f.with(func() {
			for _, n := range f.nodes {
				n.down = true
			}
		})
		f.cut("n1:1")
		synctest.Wait()
		f.with(func() {
			f.end(uint64(b.ID()), api.EndReason_END_EXPIRED, "")
			for _, n := range f.nodes {
				n.down = false
			}
		})
		<-b.Done()
		want(t, "session that the cell does not know", b.Err(), ErrSessionExpired)
		if err := a.Close(t.Context()); err != nil {
			t.Errorf("closing what is over: %v", err)
		}
	})
}

// A session that has expired is over: closing it waits for nobody.
func TestCloseOfWhatExpired(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		f.unplug()
		<-s.Done()
		want(t, "session", s.Err(), ErrSessionExpired)
		start := time.Now()
		if err := s.Close(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("closing it took %v and returned %v", time.Since(start), err)
		}
		f.plug()
	})
}

func TestKeepAlivesAreBatched(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		for range 100 {
			open(t, c)
		}
		f.with(func() { f.nodes["n1:1"].beats = nil })
		time.Sleep(10 * time.Second)
		f.with(func() {
			total := 0
			for _, n := range f.nodes["n1:1"].beats {
				total += n
			}
			if total < 290 || len(f.nodes["n1:1"].beats) > 4 {
				t.Errorf("%d keep-alives in %d requests, want some 300 in 3 or 4", total, len(f.nodes["n1:1"].beats))
			}
		})
	})
}

// A node that answers and acknowledges nothing may be cut off from the others.
func TestLeavesANodeThatAcknowledgesNothing(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		f.with(func() { f.nodes["n1:1"].deaf = true })
		time.Sleep(30 * time.Second)
		if s.State() != Healthy {
			t.Errorf("state %v", s.State())
		}
		f.with(func() {
			if f.nodes["n2:1"].accepted == 0 {
				t.Error("it stayed with the deaf node")
			}
		})
	})
}

// Answers that are merely late are no reason to break a connection that brings
// them: as slow as the whole cell has become, another node would be no better, and
// what is under way would be lost.
func TestSlowAnswersLoseNoSession(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c, WithTTL(500*time.Millisecond))
		time.Sleep(5 * time.Second)
		for _, slow := range []time.Duration{100, 150, 200, 250} {
			f.with(func() {
				for _, n := range f.nodes {
					n.slow, n.accepted = slow*time.Millisecond, 0
				}
			})
			time.Sleep(5 * time.Second)
			if err := s.Err(); err != nil {
				t.Fatalf("answers are %v ms late: %v", int(slow), err)
			}
			f.with(func() {
				if n := f.nodes["n1:1"].accepted + f.nodes["n2:1"].accepted + f.nodes["n3:1"].accepted; n > 3 {
					t.Errorf("answers are %v ms late: %d connections in five seconds", int(slow), n)
				}
			})
		}
		f.with(func() {
			if len(f.nodes["n1:1"].streams) != 1 {
				t.Errorf("%d connections with the first node: it was left, or a second one stayed open", len(f.nodes["n1:1"].streams))
			}
		})
	})
}

// A node that gets slower and slower, while the others are well, is left before it
// costs the session its life.
func TestLeavesANodeThatGetsSlower(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c, WithTTL(500*time.Millisecond))
		for slow := range 400 {
			f.with(func() { f.nodes["n1:1"].slow = time.Duration(slow) * time.Millisecond })
			time.Sleep(10 * time.Millisecond)
		}
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		f.with(func() {
			if len(f.nodes["n1:1"].streams) != 0 {
				t.Error("it is with the slow node yet")
			}
		})
	})
}

// That the session is over is no sign that the node it was lost on is well: the
// client goes to the one that it has found meanwhile.
func TestLeavesTheNodeThatLostTheSession(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c, WithTTL(500*time.Millisecond))
		f.with(func() {
			f.nodes["n1:1"].deaf = true
			f.nodes["n2:1"].slow, f.nodes["n3:1"].slow = 400*time.Millisecond, 400*time.Millisecond
		})
		time.Sleep(2 * time.Second)
		want(t, "session", s.Err(), ErrSessionExpired)
		f.with(func() {
			if len(f.nodes["n1:1"].streams) != 0 {
				t.Error("it is with the deaf node yet")
			}
		})
	})
}

// While no other node can be reached, a doubted one goes on being used, and the
// client can be closed at once.
func TestDoubtsTheOnlyNode(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c, WithTTL(500*time.Millisecond))
		f.with(func() {
			f.nodes["n1:1"].deaf, f.nodes["n2:1"].down, f.nodes["n3:1"].down = true, true, true
		})
		time.Sleep(400 * time.Millisecond) // in doubt after 291
		if _, err := c.Put(within(t, time.Second), "key", []byte("x")); err != nil {
			t.Errorf("a write while other nodes are tried: %v", err)
		}
		f.with(func() { f.nodes["n1:1"].deaf = false })
		time.Sleep(10 * time.Second)
		if err := s.Err(); err != nil {
			t.Error(err)
		}
		f.with(func() {
			if len(f.nodes["n1:1"].streams) != 1 {
				t.Error("it left the only node")
			}
			f.nodes["n1:1"].deaf = true
		})
		time.Sleep(350 * time.Millisecond)
		start := time.Now()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("Close took %v", took)
		}
	})
}

// A node that acknowledges nothing any more is left in time also by a session of the
// shortest TTL, when the next one is silent, too.
func TestLeavesTwoNodesInTime(t *testing.T) {
	for i := range 10 { // at any time between two keep-alives
		world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
			s := open(t, c, WithTTL(500*time.Millisecond))
			time.Sleep(time.Second + time.Duration(i)*17*time.Millisecond)
			f.with(func() { f.nodes["n1:1"].deaf, f.nodes["n2:1"].mute = true, true })
			time.Sleep(5 * time.Second)
			if err := s.Err(); err != nil {
				t.Error(err)
			}
			f.with(func() {
				if len(f.nodes["n3:1"].streams) != 1 {
					t.Errorf("%d connections with the node that serves", len(f.nodes["n3:1"].streams))
				}
			})
		})
	}
}

// A keep-alive that was on its way to a leader that is gone is sent again as soon
// as there is another one: nobody on the way keeps it.
func TestKeepAliveAgainWhenTheLeaderChanges(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		start := time.Now()
		s := open(t, c, WithTTL(9*time.Second))
		f.with(func() { f.nodes["n1:1"].deaf = true })
		time.Sleep(3500 * time.Millisecond) // sent after 3 s, lost with the leader; the next one is due after 4.5 s
		f.with(func() {
			n := f.nodes["n1:1"]
			if len(n.beats) != 1 {
				t.Fatalf("%d keep-alives before the leader changed, want 1", len(n.beats))
			}
			n.deaf, n.hint = false, &api.LeaderHint{Node: "n1", Endpoint: "n1:1"}
			for st := range n.streams {
				st.send(&api.Response{Result: &api.Response_Leader{Leader: n.hint}})
			}
		})
		synctest.Wait()
		if safe := s.Deadline().Sub(start); safe != 11600*time.Millisecond {
			t.Errorf("the deadline is %v after the start, want 3.5s + 8.1s", safe)
		}
	})
}

func TestAbandonedOpeningIsClosed(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		f.hook("n1:1", func(r *api.Request) fault { return fault{loseReply: r.GetOpenSession() != nil} })
		_, err := c.NewSession(within(t, 100*time.Millisecond))
		want(t, "NewSession", err, context.DeadlineExceeded)
		f.hook("n1:1", nil)
		f.cut("n1:1")
		time.Sleep(time.Second)
		f.with(func() {
			if f.opened != 1 || len(f.sessions) != 0 {
				t.Errorf("%d sessions were opened, %d are left; want 1 and none", f.opened, len(f.sessions))
			}
		})
	})
}

// An opening that took almost as long as the session lives proves itself
// before it is handed out.
func TestSlowOpeningProvesItself(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		until := time.Now().Add(1200 * time.Millisecond)
		for _, e := range []string{"n1:1", "n2:1", "n3:1"} {
			f.hook(e, func(r *api.Request) fault {
				if r.GetOpenSession() != nil && time.Now().Before(until) {
					return fault{refuse: &api.Error{Code: api.Code_UNKNOWN_OUTCOME}}
				}
				return fault{}
			})
		}
		s := open(t, c, WithTTL(time.Second))
		if s.Err() != nil || time.Until(s.Deadline()) < 450*time.Millisecond {
			t.Errorf("%v, %v left", s.Err(), time.Until(s.Deadline()))
		}
		time.Sleep(10 * time.Second)
		if s.State() != Healthy {
			t.Errorf("state %v", s.State())
		}
	})
}

func TestSessionOptionsAreChecked(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		for _, o := range []SessionOption{
			WithTTL(499 * time.Millisecond), WithTTL(24*time.Hour + 1), WithTTL(time.Second + 1),
			WithLabels(map[string]string{"": "x"}),
		} {
			_, err := c.NewSession(t.Context(), o)
			want(t, "NewSession", err, ErrInvalid)
		}
		s := open(t, c)
		for _, name := range []string{"", "a\x00b", "\xff", string(make([]byte, 513))} {
			_, err := s.Lock(t.Context(), name)
			want(t, "Lock", err, ErrInvalid)
		}
		for _, o := range []LockOption{Permits(0, 1), Permits(3, 2), And("job"), WithWait(-1), WithLockDelay(2 * time.Hour)} {
			_, err := s.Lock(t.Context(), "job", o)
			want(t, "Lock", err, ErrInvalid)
		}
	})
}

func TestDo(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		boom := errors.New("boom")
		var tokens []Token
		for _, result := range []error{nil, boom} {
			err := c.Do(t.Context(), "job", func(ctx context.Context, token Token) error {
				tokens = append(tokens, token)
				return result
			})
			if !errors.Is(err, result) {
				t.Errorf("Do = %v, want %v", err, result)
			}
		}
		if f.opened != 1 || len(tokens) != 2 || tokens[1] <= tokens[0] {
			t.Errorf("%d sessions, tokens %v", f.opened, tokens)
		}
		if h, _ := f.queue("job"); h != 0 {
			t.Error("it is not released")
		}
		// The lock is lost: the context ends, and the reason is told.
		err := c.Do(t.Context(), "job", func(ctx context.Context, token Token) error {
			go func() { _ = c.BreakLock(t.Context(), "job", token, "test") }()
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), ErrBroken) {
				t.Errorf("cause %v", context.Cause(ctx))
			}
			return nil
		})
		want(t, "Do", err, ErrBroken)
		// The job's context ends: the release does not depend on it.
		ctx, cancel := context.WithCancel(t.Context())
		err = c.Do(ctx, "job", func(ctx context.Context, token Token) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		})
		want(t, "Do", err, context.Canceled)
		if h, _ := f.queue("job"); h != 0 {
			t.Error("it is not released after its context ended")
		}
		// A panic passes, and releases.
		func() {
			defer func() { _ = recover() }()
			_ = c.Do(t.Context(), "job", func(context.Context, Token) error { panic("boom") })
		}()
		if h, _ := f.queue("job"); h != 0 {
			t.Error("it is not released after a panic")
		}
	})
}

// Who waits for the shared session is told why it was not opened, and asks no
// more, unless the one who opened it ran out of time.
func TestSharedSessionIsRefused(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		const n = 50
		opens := 0
		hook := func(r *api.Request) fault {
			if r.GetOpenSession() == nil {
				return fault{}
			}
			if opens++; opens <= 2 {
				return fault{lose: true}
			}
			return fault{refuse: &api.Error{Code: api.Code_LIMIT_REACHED, Definite: true}}
		}
		for e := range f.nodes {
			f.hook(e, hook)
		}
		do := func(ctx context.Context, into chan<- error) {
			into <- c.Do(ctx, "job", func(context.Context, Token) error { return nil })
		}
		first, others := make(chan error, 1), make(chan error, n)
		go do(within(t, 100*time.Millisecond), first)
		synctest.Wait()
		for range n {
			go do(t.Context(), others)
		}
		want(t, "Do of who opens", <-first, context.DeadlineExceeded)
		synctest.Wait() // one of the others asks
		f.cut("n1:1")   // and is answered when it asks again
		for range n {
			want(t, "Do", <-others, ErrLimitReached)
		}
		f.with(func() {
			if opens > 5 {
				t.Errorf("%d callers asked %d times", n+1, opens)
			}
		})
	})
}

func TestManyLocksAtOnce(t *testing.T) {
	world(t, func(c *Config) { c.MaxPending = 16 }, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		done := make(chan error)
		inside := atomic.Int32{}
		const n = 200
		for range n {
			go func() {
				l, err := s.Lock(t.Context(), "job")
				if err == nil {
					if inside.Add(1) != 1 {
						err = errors.New("two hold it at once")
					}
					time.Sleep(time.Millisecond)
					inside.Add(-1)
					err = errors.Join(err, l.Unlock(t.Context()))
				}
				done <- err
			}()
		}
		time.Sleep(50 * time.Millisecond)
		f.cut("n1:1")
		time.Sleep(50 * time.Millisecond)
		f.cut("n2:1")
		for range n {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		f.with(func() {
			if f.applied["acquire"] != n || f.token != n {
				t.Errorf("%d acquires and %d tokens, want %d each", f.applied["acquire"], f.token, n)
			}
			if len(f.sessions[uint64(s.ID())].replies) > 100 {
				t.Errorf("%d replies are unacknowledged", len(f.sessions[uint64(s.ID())].replies))
			}
		})
	})
}
