package machine

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"github.com/conch-lock/conch/internal/cost"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// What the requests that matter may allocate. It is a guard: whoever needs more
// says why, and whoever needs less lowers the figure. Times are for benchmarks.
const (
	allocsOfCycle    = 16.5 // an acquire that is granted, and its release
	allocsOfHandOver = 21.1 // a release that grants the next, and queueing again, in an entry of their own
	allocsOfHeard    = 0.1  // a keep-alive
	allocsOfRestored = 4.6  // a held lock, from a snapshot; a tenth of a session is its part
	allocsOfPiece    = 4.5  // of each 64 KiB of a snapshot, into memory that is used again
	bytesOfSession   = 340  // in memory, of one that only lives
	bytesOfAcquire   = 44   // in the log, with a name of 12 bytes
)

// applier applies entries to a machine, one after the other.
type applier struct {
	m     *Machine
	index uint64
	entry []byte
	h     Header
}

func (a *applier) apply(t *testing.T) Output {
	a.index++
	a.m.Begin()
	if err := a.m.Apply(a.index, 1, a.entry); err != nil {
		t.Fatal(err)
	}
	return a.m.Commit()
}

func newApplier(t *testing.T, n int) *applier {
	a := &applier{m: New(Limits{})}
	t.Cleanup(func() { a.m.Close() })
	for id := 0; id < n; {
		a.entry = a.h.Append(a.entry[:0])
		for range min(100, n-id) {
			o := &OpenSession{TTL: 3_600_000}
			o.Nonce[0], o.Nonce[1], o.Nonce[2] = byte(id), byte(id>>8), 1
			a.entry = Command{Op: o}.Append(a.entry)
			id++
		}
		a.apply(t)
	}
	return a
}

func TestCostOfCycle(t *testing.T) {
	const batch = 128
	a := newApplier(t, batch)
	var acquires [batch]Acquire
	var releases [batch]Release
	items := make([]locks.Item, batch)
	for i := range items {
		items[i].Name = locks.Name(fmt.Sprintf("job/%08d", i))
	}
	sequence := sessions.Sequence(0)
	size := 0
	cycle := func() {
		a.entry = a.h.Append(a.entry[:0])
		before := len(a.entry)
		for i := range acquires {
			acquires[i] = Acquire{Request: Request{sessions.ID(i + 1), sequence + 1, sequence}, Items: items[i : i+1]}
			a.entry = Command{Origin: 1 << 60, Request: 1 << 40, Op: &acquires[i]}.Append(a.entry)
		}
		size = (len(a.entry) - before) / batch
		out := a.apply(t)
		if len(out.Results) != batch {
			t.Fatalf("%d results", len(out.Results))
		}
		a.entry = a.h.Append(a.entry[:0])
		for i, r := range out.Results {
			releases[i] = Release{Request: Request{sessions.ID(i + 1), sequence + 2, sequence + 1}, Name: items[i].Name, Token: r.Reply.Claim.Token}
			a.entry = Command{Origin: 1 << 60, Request: 1 << 40, Op: &releases[i]}.Append(a.entry)
		}
		for _, r := range a.apply(t).Results {
			if r.Reply.Code != OK {
				t.Fatal(r.Reply)
			}
		}
		sequence += 2
	}
	revision := a.m.Store().Revision()
	allocs := testing.AllocsPerRun(50, cycle) / batch
	cost.AtMost(t, "allocations of a cycle", allocs, allocsOfCycle)
	cost.AtMost(t, "bytes of an acquire in the log", float64(size), bytesOfAcquire)
	cost.AtMost(t, "revisions of a cycle", float64(a.m.Store().Revision()-revision)/51/batch, 2)
}

func TestCostOfHandOver(t *testing.T) {
	a := newApplier(t, 64)
	a.entry = a.h.Append(a.entry[:0])
	for id := range sessions.ID(64) {
		a.entry = Command{Op: &Acquire{Request: Request{id + 1, 1, 0}, Items: []locks.Item{{Name: "contended"}}}}.Append(a.entry)
	}
	a.apply(t)
	n := sessions.ID(0)
	items := []locks.Item{{Name: "contended"}}
	var release Release
	var acquire Acquire
	revision := a.m.Store().Revision()
	allocs := testing.AllocsPerRun(640, func() {
		id, round := n%64+1, sessions.Sequence(n/64)
		c := a.m.Locks().Find(locks.ClaimID{Session: id, Sequence: 1 + 2*round})
		if c == nil || !c.Granted() {
			t.Fatalf("session %d does not hold the lock", id)
		}
		release = Release{Request: Request{id, 2 + 2*round, 1 + 2*round}, Name: "contended", Token: c.Token}
		acquire = Acquire{Request: Request{id, 3 + 2*round, 1 + 2*round}, Items: items}
		a.entry = a.h.Append(a.entry[:0])
		a.entry = Command{Origin: 1, Request: 1, Op: &release}.Append(a.entry)
		a.entry = Command{Origin: 1, Request: 2, Op: &acquire}.Append(a.entry)
		if out := a.apply(t); len(out.Events) != 1 || out.Events[0].Kind != ClaimGranted {
			t.Fatalf("%+v", out.Events)
		}
		n++
	})
	cost.AtMost(t, "allocations of a hand-over", allocs, allocsOfHandOver)
	cost.AtMost(t, "revisions of a hand-over", float64(a.m.Store().Revision()-revision)/641, 1)
}

func TestCostOfKeepAlives(t *testing.T) {
	const n = 10_000
	a := newApplier(t, n)
	beat := uint64(0)
	revision := a.m.Store().Revision()
	allocs := testing.AllocsPerRun(5, func() {
		beat++
		a.h = Header{Elapsed: 1}
		for id := range sessions.ID(n) {
			a.h.Heard = append(a.h.Heard, Heard{Session: id + 1, Number: beat})
		}
		a.entry = a.h.Append(a.entry[:0])
		if out := a.apply(t); len(out.Events) != n {
			t.Fatalf("%d events", len(out.Events))
		}
	}) / n
	cost.AtMost(t, "allocations of a keep-alive", allocs, allocsOfHeard)
	if a.m.Store().Revision() != revision {
		t.Error("keep-alives have a revision")
	}
}

func TestCostOfRestore(t *testing.T) {
	const n = 10_000
	m := held(t, n)
	all := written(m)
	index, term := m.Applied()
	fresh := New(Limits{})
	t.Cleanup(fresh.Close)
	allocs := testing.AllocsPerRun(3, func() {
		if err := fresh.Restore(bytes.NewReader(all), index, term); err != nil {
			t.Fatal(err)
		}
	}) / n
	cost.AtMost(t, "allocations of a lock that is restored", allocs, allocsOfRestored)
}

func TestCostOfSnapshot(t *testing.T) {
	m := held(t, 10_000)
	buf := make([]byte, 0, 128<<10)
	pieces := 0
	allocs := testing.AllocsPerRun(3, func() {
		pieces = 0
		s := m.Snapshot()
		defer s.Close()
		for done := false; !done; pieces++ {
			_, done = s.Next(buf)
		}
	})
	if pieces < 10 {
		t.Fatalf("%d pieces", pieces)
	}
	cost.AtMost(t, "allocations of a piece of a snapshot", allocs/float64(pieces), allocsOfPiece)
}

// TestCostOfIdleSession: what ten thousand sessions take that have nothing, after
// they were all heard in one entry, which is what a client with many does.
func TestCostOfIdleSession(t *testing.T) {
	const n = 10_000
	live := func() float64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return float64(s.HeapAlloc)
	}
	empty := live()
	a := newApplier(t, n)
	for beat := range uint64(3) {
		a.h = Header{Elapsed: 1}
		for id := range sessions.ID(n) {
			a.h.Heard = append(a.h.Heard, Heard{Session: id + 1, Number: beat + 1})
		}
		a.entry = a.h.Append(nil)
		a.apply(t)
	}
	for range 2 { // small entries follow, which need less
		a.h = Header{Elapsed: 1}
		a.entry = a.h.Append(nil)
		a.apply(t)
	}
	cost.AtMost(t, "bytes of an idle session", (live()-empty)/n, bytesOfSession)
	runtime.KeepAlive(a)
}
