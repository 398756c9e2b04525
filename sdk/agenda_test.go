package sdk

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conch-lock/conch/internal/cost"
)

// TestBeatsGoTogether: sessions that were opened one after the other share the
// frames of their keep-alives, and none is lost for it.
func TestBeatsGoTogether(t *testing.T) {
	const n, slots, ttl = 1100, 2, 10 * time.Second
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		var all []*Session
		for range n {
			all = append(all, open(t, c, WithTTL(ttl)))
			time.Sleep(7 * time.Millisecond)
		}
		time.Sleep(ttl)
		synctest.Wait()
		since := 0
		f.with(func() { since = len(f.nodes["n1:1"].beats) })
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, s := range all {
			if s.State() != Healthy {
				t.Errorf("session %v is %v", s.ID(), s.State())
			}
		}
		f.with(func() {
			beats := f.nodes["n1:1"].beats[since:]
			sum := 0
			for _, b := range beats {
				sum += b
			}
			if want := n * 18; sum != want { // three in a time to live
				t.Errorf("%d keep-alives in a minute, want %d", sum, want)
			}
			if most := slots * 18; len(beats) > most {
				t.Errorf("they came in %d requests, want at most %d", len(beats), most)
			}
		})
	})
}

// TestBeatsPartAgain: keep-alives that were held up together, by a process that
// stood still or a connection that was broken, do not go together for ever.
func TestBeatsPartAgain(t *testing.T) {
	const n, slots, ttl = 2100, 4, 10 * time.Second
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		for range n {
			open(t, c, WithTTL(ttl))
		}
		time.Sleep(ttl)
		f.with(func() {
			for st := range f.nodes["n1:1"].streams {
				st.break_()
			}
		})
		time.Sleep(ttl)
		synctest.Wait()
		f.with(func() {
			most := 0
			for _, n := range f.nodes { // to whichever it went
				for _, b := range n.beats[max(0, len(n.beats)-slots):] {
					most = max(most, b)
				}
			}
			if most > 3*n/slots/2 {
				t.Errorf("a request kept %d sessions alive long after the connection broke, want some %d", most, n/slots)
			}
		})
	})
}

// TestAgenda: the heap knows each session once, with what falls due first in
// front, whatever is opened, lost and moved.
func TestAgenda(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		var all []*Session
		for i := range 40 {
			all = append(all, open(t, c, WithTTL(MinTTL+time.Duration(i%7)*time.Second)))
		}
		for i, s := range all {
			if i%3 == 0 {
				if err := s.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(50 * time.Millisecond)
			c.mu.Lock()
			if len(c.agenda) != len(c.sessions) {
				t.Errorf("%d sessions are in the agenda, %d live", len(c.agenda), len(c.sessions))
			}
			for at, s := range c.agenda {
				if s.place != at || c.sessions[s.id] != s {
					t.Errorf("session %v at %d believes to be at %d", s.id, at, s.place)
				}
				if at > 0 && c.agenda.Less(at, (at-1)/2) {
					t.Errorf("session %v at %d is due before the one above it", s.id, at)
				}
			}
			c.mu.Unlock()
		}
	})
}

// TestCostOfTending: looking after ten thousand sessions of which none is due
// costs nothing for each.
func TestCostOfTending(t *testing.T) {
	c := manySessions(10_000)
	now := c.cfg.Now()
	c.tend(now)
	cost.AtMost(t, "allocations of looking after 10,000 sessions", testing.AllocsPerRun(100, func() { c.tend(now) }), 0)
}

// manySessions is a client with sessions that were all opened now, not connected.
func manySessions(n int) *Client {
	c := &Client{cfg: Config{Now: func() time.Duration { return time.Hour }}, sessions: map[SessionID]*Session{}, wakeAt: never, poke: make(chan struct{}, 1)}
	for i := range n {
		s := &Session{c: c, id: SessionID(i + 1), ttl: DefaultTTL, safe: DefaultTTL / safeDen * safeNum, proven: true,
			acked: time.Hour, changed: make(chan struct{}), place: i}
		c.sessions[s.id] = s
		c.agenda = append(c.agenda, s)
	}
	return c
}

// BenchmarkTend is one look of the keeper of a client with many sessions of
// which none is due.
func BenchmarkTend(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := manySessions(n)
			now := c.cfg.Now()
			c.tend(now)
			b.ReportAllocs()
			for b.Loop() {
				c.tend(now)
			}
		})
	}
}
