package wal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/conch-lock/conch/raftnode/disk"
)

// model is what a log has to hold after some batches.
type model struct {
	state   []byte
	base    Mark
	entries []Entry // from any index at or below base+1
}

func (m model) last() uint64 {
	if n := len(m.entries); n > 0 {
		return m.entries[n-1].Index
	}
	return m.base.Index
}

// after is the model with a batch applied.
func (m model) after(b Batch) model {
	m.entries = slices.Clone(m.entries)
	if b.State != nil {
		m.state = b.State
	}
	if b.Mark != (Mark{}) {
		m.base = b.Mark
		if i := slices.IndexFunc(m.entries, func(e Entry) bool { return e.Index == b.Mark.Index }); i < 0 || m.entries[i].Term != b.Mark.Term {
			m.entries = nil
		}
	}
	if len(b.Entries) > 0 {
		m.entries = slices.DeleteFunc(m.entries, func(e Entry) bool { return e.Index >= b.Entries[0].Index })
		m.entries = append(m.entries, b.Entries...)
	}
	return m
}

// matches reports whether c is the model: all of it past the mark, and nothing
// else before it.
func (m model) matches(c Contents) bool {
	if !bytes.Equal(m.state, c.State) || (m.state == nil) != (c.State == nil) || m.base != (Mark{c.Base, c.BaseTerm}) {
		return false
	}
	drop := 0
	if n := len(c.Entries); n > 0 {
		if c.Entries[0].Index > m.base.Index+1 {
			return false
		}
		drop = slices.IndexFunc(m.entries, func(e Entry) bool { return e.Index == c.Entries[0].Index })
	} else {
		drop = slices.IndexFunc(m.entries, func(e Entry) bool { return e.Index > m.base.Index })
		if drop >= 0 {
			return false
		}
		drop = len(m.entries)
	}
	return drop >= 0 && same(m.entries[drop:], c.Entries)
}

// driver does random things to a log and keeps what a crash may leave.
type driver struct {
	t     *testing.T
	rng   *rand.Rand
	m     *disk.Mem
	l     *Log
	o     Options
	now   []model // what the log may be after a crash: the last durable, and each since
	term  uint64
	count uint64
	later []func() // work in the background that waits
}

// step does one thing.
func (d *driver) step() {
	if len(d.later) > 0 && d.rng.IntN(3) == 0 {
		for _, work := range d.later {
			work()
		}
		d.later = nil
	}
	cur := d.now[len(d.now)-1]
	switch d.rng.IntN(20) {
	case 0:
		must(d.t, d.l.Seal())
		d.now = []model{cur}
		return
	case 1:
		must(d.t, d.l.Release(cur.base.Index))
		return
	case 2:
		d.m.Ops()
		must(d.t, d.l.Close())
		d.now = []model{cur}
		l, c, err := Open(d.m, testDir, d.o)
		must(d.t, err)
		if d.l = l; !cur.matches(c) {
			d.t.Fatalf("reopened without a crash: %s", brief(c.Entries))
		}
		return
	}
	b := d.batch(cur)
	d.now = append(d.now, cur.after(b)) // from now on it may be there
	must(d.t, d.l.Append(b))
	if b.Sync {
		d.now = d.now[len(d.now)-1:]
	}
}

func (d *driver) batch(cur model) Batch {
	b := Batch{Sync: d.rng.IntN(2) == 0}
	if d.rng.IntN(3) == 0 {
		d.count++
		b.State = fmt.Appendf(nil, "state %d", d.count)
	}
	last := cur.last()
	switch d.rng.IntN(12) {
	case 0: // a snapshot from elsewhere, past the end
		b.Mark = Mark{last + 1 + d.rng.Uint64N(5), d.term}
	case 1, 2: // one of our own
		if ahead := slices.IndexFunc(cur.entries, func(e Entry) bool { return e.Index > cur.base.Index }); ahead >= 0 {
			e := cur.entries[ahead+d.rng.IntN(len(cur.entries)-ahead)]
			b.Mark = Mark{e.Index, e.Term}
		}
	}
	cur = cur.after(b)
	from := cur.last() + 1
	if d.rng.IntN(5) == 0 { // a new leader replaces the end
		d.term++
		from -= d.rng.Uint64N(from - cur.base.Index)
	}
	for i := range d.rng.Uint64N(6) {
		b.Entries = append(b.Entries, Entry{Index: from + i, Term: d.term, Data: noise(d.rng, d.rng.IntN(900))})
	}
	return b
}

// TestCrashAtEveryOperation runs random batches and cuts the power before every
// operation on the disk, in several ways. What is found has to be what was
// acknowledged, or that and some of the batches begun since, in order; a crash
// is never taken for corruption. Some recoveries crash again on the way.
func TestCrashAtEveryOperation(t *testing.T) {
	seeds, steps := uint64(6), 250
	if testing.Short() {
		seeds, steps = 2, 60
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			d := &driver{t: t, rng: rand.New(rand.NewPCG(seed, 1)), m: disk.NewMem(), o: small, now: []model{{}}, term: 1}
			crash := rand.New(rand.NewPCG(seed, 2))
			if seed%2 == 1 { // the next segment is prepared some time, beside the rest
				d.o.Background = func(work func()) { d.later = append(d.later, work) }
			}
			d.l, _ = open(t, d.m, d.o)
			crashes, torn := 0, 0
			d.m.SetHook(func(op disk.Op) error {
				if op.Kind == disk.OpRead || op.Kind == disk.OpList || op.Kind == disk.OpOpen {
					return nil // nothing changed since the operation before
				}
				for _, s := range []disk.Survival{disk.DropUnsynced(), disk.KeepUnsynced(), disk.TearLast(crash), disk.KeepSome(crash), disk.KeepSome(crash)} {
					c := d.m.Clone()
					c.Crash(s)
					crashes++
					if found := d.recover(c, crash, op); found.Torn > 0 {
						torn++
					}
				}
				return nil
			})
			for range steps {
				d.step()
			}
			t.Logf("%d crashes, %d torn tails", crashes, torn)
			if torn == 0 {
				t.Fatal("no tail was ever torn: the test tests little")
			}
		})
	}
}

// recover opens a crashed disk and compares.
func (d *driver) recover(c *disk.Mem, rng *rand.Rand, op disk.Op) Contents {
	o := d.o
	o.Background = nil
	if rng.IntN(3) == 0 { // the recovery crashes too
		stop := c.Ops() + 1 + rng.Uint64N(12)
		c.SetHook(func(op disk.Op) error {
			if op.Seq >= stop {
				return disk.ErrCrashed
			}
			return nil
		})
		if l, _, err := Open(c, testDir, o); err == nil {
			l.file.Close()
		}
		c.SetHook(nil)
		c.Crash(disk.KeepSome(rng))
	}
	_, found, err := Open(c, testDir, o)
	if err != nil {
		d.t.Fatalf("crash before %+v: %v", op, err)
	}
	if !slices.ContainsFunc(d.now, func(m model) bool { return m.matches(found) }) {
		d.t.Fatalf("crash before %+v: found mark %d, state %q, entries %s; acknowledged was mark %d, state %q, entries %s, and %d batches since",
			op, found.Base, found.State, brief(found.Entries), d.now[0].base, d.now[0].state, brief(d.now[0].entries), len(d.now)-1)
	}
	// What Open returned stays, and the log goes on.
	c.Crash(disk.DropUnsynced())
	l, again, err := Open(c, testDir, o)
	must(d.t, err)
	if !same(again.Entries, found.Entries) || !bytes.Equal(again.State, found.State) || again.Base != found.Base {
		d.t.Fatalf("crash before %+v: what Open returned was not durable", op)
	}
	if rng.IntN(4) == 0 {
		goesOn(d.t, c, l, o, again)
	}
	return found
}
