package cell

import (
	"testing"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
)

// leading is a cell of one node that leads and has a session.
func leading(t *testing.T, ttl uint64) *cluster {
	c := newCluster(t, 1, nil)
	c.elect(1)
	if ttl > 0 {
		a := c.submit(1, openSession(1, ttl))
		c.turn(1, 0)
		want(t, a, "ok")
	}
	return c
}

func (c *cluster) clusterTime() time.Duration {
	return time.Duration(c.cells[1].Machine().Now()) * time.Microsecond
}

// TestNoTicksWhenIdle: a cell without sessions or timers proposes nothing, and
// the time in which it was idle harms nobody.
func TestNoTicksWhenIdle(t *testing.T) {
	c := leading(t, 0)
	put := &machine.Txn{Txn: store.Txn{Success: []store.Op{{Put: &store.PutOp{Key: "k"}}}}}
	a := c.submit(1, put)
	c.turn(1, 0)
	want(t, a, "ok")
	entries := len(c.log)
	for range 3600 * 10 {
		c.turn(1, 100*time.Millisecond)
	}
	if len(c.log) != entries {
		t.Fatalf("%d entries while idle", len(c.log)-entries)
	}
	b := c.submit(1, openSession(1, 1000))
	c.turn(1, 0)
	want(t, b, "ok")
	c.turn(1, 100*time.Millisecond)
	if c.cells[1].Machine().Sessions().Len() != 1 {
		t.Fatal("the session did not outlive its opening")
	}
}

// TestHistoryAges: an idle cell ticks now and then as long as there is history
// that time will let go, and then no more.
func TestHistoryAges(t *testing.T) {
	c := newCluster(t, 1, func(cfg *Config) { cfg.Limits.Store.KeepMillis = 60_000 })
	c.elect(1)
	for range 150 {
		c.submit(1, &machine.Txn{Txn: store.Txn{Success: []store.Op{{Put: &store.PutOp{Key: "k"}}}}})
	}
	c.turn(1, 0)
	entries := len(c.log)
	for range 5 * 600 {
		c.turn(1, 100*time.Millisecond)
	}
	if n := len(c.log) - entries; n < 5 || n > 12 {
		t.Fatalf("%d entries", n)
	}
	if c.cells[1].Machine().Aging() || c.cells[1].Machine().Store().Compacted() < 100 {
		t.Fatalf("compacted to %d", c.cells[1].Machine().Store().Compacted())
	}
}

// TestPauseNotCounted: the time in which the leader was paused, and could hear
// nobody, is not counted, and no more is a jump of its clock.
func TestPauseNotCounted(t *testing.T) {
	c := leading(t, 1000)
	c.turn(1, 50*time.Millisecond)
	before := c.clusterTime()
	for range slowGaps {
		c.turn(1, time.Hour)
		c.turn(1, maxGap+1)
	}
	c.turn(1, 50*time.Millisecond)
	if passed := c.clusterTime() - before; passed > 50*time.Millisecond {
		t.Fatalf("%v passed", passed)
	}
	if c.cells[1].Machine().Sessions().Len() != 1 {
		t.Fatal("the session was ended by a pause")
	}
}

// TestSlowLeader: on a leader whose turns are always late sessions end, too,
// if later.
func TestSlowLeader(t *testing.T) {
	c := leading(t, 1000)
	turns := 0
	for ; c.cells[1].Machine().Sessions().Len() > 0; turns++ {
		if turns > 100 {
			t.Fatalf("%v passed in %d turns of 150 ms", c.clusterTime(), turns)
		}
		c.turn(1, 150*time.Millisecond)
	}
	if turns < 10+slowGaps {
		t.Fatalf("it ended after %d turns", turns)
	}
}

// TestStall: while entries do not commit, time stands still, and no tick is
// proposed after another.
func TestStall(t *testing.T) {
	c := leading(t, 1000)
	c.now += 100 * time.Millisecond
	stuck := c.propose(1)
	if len(stuck) != 1 {
		t.Fatalf("%d payloads", len(stuck))
	}
	for range 200 {
		c.now += 50 * time.Millisecond
		if p := c.propose(1); p != nil {
			t.Fatal("a tick was proposed while one was under way")
		}
	}
	c.commit(stuck...)
	c.turn(1, 50*time.Millisecond)
	c.turn(1, 50*time.Millisecond)
	if now := c.clusterTime(); now > maxStall+250*time.Millisecond {
		t.Fatalf("%v passed", now)
	}
}

// TestFailOver: a new leader counts from its first turn on.
func TestFailOver(t *testing.T) {
	c := newCluster(t, 2, nil)
	c.elect(1)
	a := c.submit(1, openSession(1, 1000))
	c.turn(1, 0)
	want(t, a, "ok")
	for range 5 {
		c.turn(1, 50*time.Millisecond)
	}
	before := c.clusterTime()
	c.lose()
	c.now += time.Minute
	c.elect(2)
	c.turn(2, 0)
	c.turn(2, 50*time.Millisecond)
	if passed := c.clusterTime() - before; passed > 50*time.Millisecond {
		t.Fatalf("%v passed without a leader", passed)
	}
}

// TestDueTick: an entry is proposed in the turn in which a deadline falls due,
// whatever the interval is, and the session of a silent client ends on time.
func TestDueTick(t *testing.T) {
	c := leading(t, 60_000)
	b := c.submit(1, acquire(1, 1, "a"))
	op := acquire(1, 2, "a")
	op.Wait = 130
	d := c.submit(1, op)
	c.turn(1, 0)
	want(t, b, "ok")
	want(t, d, "ok")
	start := c.now
	var over time.Duration
	for over == 0 && c.now < start+time.Second {
		c.turn(1, 10*time.Millisecond)
		for _, e := range c.cells[1].out {
			if e.Kind == machine.ClaimOver {
				over = c.now - start
			}
		}
	}
	if over < 130*time.Millisecond || over > 140*time.Millisecond {
		t.Fatalf("over after %v", over)
	}
}

func TestExpiryOnTime(t *testing.T) {
	for _, ttl := range []uint64{500, 1000, 5000, 30_000} {
		c := leading(t, ttl)
		start, entries := c.now, len(c.log)
		for c.cells[1].Machine().Sessions().Len() > 0 {
			c.turn(1, 25*time.Millisecond)
			if c.now > start+2*time.Minute {
				t.Fatalf("TTL %d ms: never ended", ttl)
			}
		}
		took := c.now - start
		if took < time.Duration(ttl)*time.Millisecond || took > time.Duration(ttl)*time.Millisecond+50*time.Millisecond {
			t.Errorf("TTL %d ms: ended after %v", ttl, took)
		}
		// It ticks a tenth of the TTL, at least every half second, and not more.
		if n, most := len(c.log)-entries, 14+int(ttl/500); n > most {
			t.Errorf("TTL %d ms: %d entries, at most %d are wanted", ttl, n, most)
		}
	}
}

// TestHeardSession lives for ever; it is told of each keep-alive.
func TestHeardSession(t *testing.T) {
	c := leading(t, 500)
	for n := uint64(1); n <= 200; n++ {
		c.cells[1].Hear(1, n)
		for range 3 {
			c.turn(1, 50*time.Millisecond)
		}
	}
	if c.cells[1].Machine().Sessions().Len() != 1 {
		t.Fatal("a session that was heard ended")
	}
	var last uint64
	for _, e := range c.cells[1].out {
		if e.Kind != machine.Alive || e.Number <= last {
			t.Fatalf("%+v after keep-alive %d", e, last)
		}
		last = e.Number
	}
	if last < 199 {
		t.Fatalf("the last was %d", last)
	}
}
