//go:build unix

package machine

import (
	"bytes"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// processor is the time that this process has had a processor for, in
// nanoseconds: on a busy machine it tells more than the time that passed.
func processor() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// measure resets the timer; the function that it gives reports the processor's.
func measure(b *testing.B) func() {
	b.ReportAllocs()
	b.ResetTimer()
	start := processor()
	return func() { b.ReportMetric(float64(processor()-start)/float64(b.N), "cpu-ns/op") }
}

// populated has n sessions.
func populated(b testing.TB, n int) *Machine {
	m := New(Limits{})
	b.Cleanup(m.Close)
	for id := 0; id < n; {
		e := (&Header{}).Append(nil)
		for range 100 {
			o := &OpenSession{TTL: 3_600_000}
			o.Nonce[0], o.Nonce[1], o.Nonce[2], o.Nonce[3] = 1, byte(id), byte(id>>8), byte(id>>16)
			e = Command{Op: o}.Append(e)
			id++
		}
		index, _ := m.Applied()
		m.Begin()
		if err := m.Apply(index+1, 1, e); err != nil {
			b.Fatal(err)
		}
		m.Commit()
	}
	return m
}

// BenchmarkClaim is one acquire that is granted and its release, in entries of a
// number of commands, by a hundred sessions on ten thousand locks.
func BenchmarkClaim(b *testing.B) {
	for _, batch := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			m := populated(b, 100)
			var sequence [101]sessions.Sequence
			names := make([]locks.Name, 10_000)
			for i := range names {
				names[i] = locks.Name(fmt.Sprintf("job/%05d", i))
			}
			var h Header
			e := make([]byte, 0, 64<<10)
			acquires := make([]Acquire, batch)
			releases := make([]Release, batch)
			index, _ := m.Applied()
			n := 0
			apply := func() Output {
				index++
				m.Begin()
				if err := m.Apply(index, 1, e); err != nil {
					b.Fatal(err)
				}
				return m.Commit()
			}
			items := make([]locks.Item, batch)
			defer measure(b)()
			for done := 0; done < b.N; done += batch {
				h.Millis++
				e = h.Append(e[:0])
				for i := range acquires {
					n++
					id := sessions.ID(1 + n%100)
					sequence[id]++
					items[i] = locks.Item{Name: names[n%len(names)]}
					acquires[i] = Acquire{Request: Request{id, sequence[id], sequence[id] - 1}, Items: items[i : i+1]}
					e = Command{Origin: 1, Request: uint64(n), Op: &acquires[i]}.Append(e)
				}
				out := apply()
				e = h.Append(e[:0])
				for i, r := range out.Results {
					c := r.Reply.Claim
					sequence[c.ID.Session]++
					q := sequence[c.ID.Session]
					releases[i] = Release{Request: Request{c.ID.Session, q, q - 1}, Name: c.Names[0], Token: c.Token}
					e = Command{Origin: 1, Request: uint64(n), Op: &releases[i]}.Append(e)
				}
				for _, r := range apply().Results {
					if r.Reply.Code != OK {
						b.Fatal(r.Reply)
					}
				}
			}
		})
	}
}

// BenchmarkHandOver is a release that grants the next of a queue, and the next
// claim of the one who released: a contended lock.
func BenchmarkHandOver(b *testing.B) {
	for _, batch := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			m := populated(b, 1000)
			var h Header
			index, _ := m.Applied()
			e := h.Append(nil)
			sequence := make([]sessions.Sequence, 1001)
			for id := sessions.ID(1); id <= 1000; id++ {
				sequence[id] = 1
				name := locks.Name(fmt.Sprint("lock/", int(id)%batch))
				e = Command{Op: &Acquire{Request: Request{id, 1, 0}, Items: []locks.Item{{Name: name}}}}.Append(e)
			}
			index++
			m.Begin()
			_ = m.Apply(index, 1, e)
			m.Commit()
			holders := make([]*locks.Claim, batch)
			defer measure(b)()
			for done := 0; done < b.N; done += batch {
				h.Millis++
				e = h.Append(e[:0])
				for i := range holders {
					id := sessions.ID(1 + (done+i)%1000)
					c := m.Locks().Find(locks.ClaimID{Session: id, Sequence: sequence[id]})
					if c == nil || !c.Granted() {
						continue
					}
					name := c.Names(nil)[0]
					q := sequence[id]
					e = Command{Origin: 1, Request: 1, Op: &Release{Request: Request{id, q + 1, q}, Name: name, Token: c.Token}}.Append(e)
					e = Command{Origin: 1, Request: 2, Op: &Acquire{Request: Request{id, q + 2, q}, Items: []locks.Item{{Name: name}}}}.Append(e)
					sequence[id] += 2
				}
				index++
				m.Begin()
				_ = m.Apply(index, 1, e)
				m.Commit()
			}
		})
	}
}

// BenchmarkTick is an entry that moves time beside ten thousand sessions, and
// hears none, a tenth or all of them.
func BenchmarkTick(b *testing.B) {
	for _, heard := range []int{0, 1000, 10_000} {
		b.Run(fmt.Sprintf("heard=%d", heard), func(b *testing.B) {
			m := populated(b, 10_000)
			index, _ := m.Applied()
			h := Header{Elapsed: 100 * sessions.Millisecond}
			var e []byte
			defer measure(b)()
			for i := range b.N {
				h.Heard = h.Heard[:0]
				for id := range heard {
					h.Heard = append(h.Heard, Heard{sessions.ID(id*(10_000/heard) + 1), uint64(i + 1)})
				}
				e = h.Append(e[:0])
				index++
				m.Begin()
				if err := m.Apply(index, 1, e); err != nil {
					b.Fatal(err)
				}
				m.Commit()
			}
		})
	}
}

// held is a machine with locks that sessions hold, ten each.
func held(b testing.TB, n int) *Machine {
	m := populated(b, n/10)
	for i := 0; i < n; {
		e := (&Header{Elapsed: 1}).Append(nil)
		for range 100 {
			id := sessions.ID(i%(n/10) + 1)
			e = Command{Op: &Acquire{Request: Request{Session: id, Sequence: sessions.Sequence(i/(n/10) + 1)}, Items: []locks.Item{{Name: locks.Name(fmt.Sprintf("held/%08d", i))}}}}.Append(e)
			i++
		}
		index, _ := m.Applied()
		m.Begin()
		if err := m.Apply(index+1, 1, e); err != nil {
			b.Fatal(err)
		}
		m.Commit()
	}
	return m
}

// written is what a snapshot of the machine writes.
func written(m *Machine) []byte {
	var all []byte
	s := m.Snapshot()
	defer s.Close()
	for {
		piece, done := s.Next(nil)
		all = append(all, piece...)
		if done {
			return all
		}
	}
}

// BenchmarkRestore is a million locks held by a hundred thousand sessions, from
// a snapshot in memory to a machine that can go on.
func BenchmarkRestore(b *testing.B) {
	m := held(b, 1_000_000)
	all := written(m)
	index, term := m.Applied()
	fresh := New(Limits{})
	b.Cleanup(fresh.Close)
	b.SetBytes(int64(len(all)))
	defer measure(b)()
	for b.Loop() {
		if err := fresh.Restore(bytes.NewReader(all), index, term); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSnapshot takes a snapshot of a million held locks as a replica does:
// a piece between two entries of 128 requests. Reported is what the piece adds to
// such a turn.
func BenchmarkSnapshot(b *testing.B) {
	m := held(b, 1_000_000)
	index, _ := m.Applied()
	e := (&Header{}).Append(nil)
	for i := range 128 {
		e = Command{Op: &Release{Request: Request{Session: sessions.ID(i + 1)}, Name: "nobody's", Token: 1}}.Append(e)
	}
	var longest, all time.Duration
	turns := 0
	b.ResetTimer()
	for b.Loop() {
		s := m.Snapshot()
		for done := false; !done; turns++ {
			index++
			m.Begin()
			if err := m.Apply(index, 1, e); err != nil {
				b.Fatal(err)
			}
			m.Commit()
			began := time.Now()
			_, done = s.Next(nil)
			took := time.Since(began)
			longest, all = max(longest, took), all+took
		}
		s.Close()
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "ms-longest")
	b.ReportMetric(float64(all.Microseconds())/1000/float64(turns), "ms-mean")
}
