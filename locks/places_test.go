package locks

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/conch-lock/conch/internal/cost"
	"github.com/conch-lock/conch/sessions"
	"pgregory.net/rapid"
)

var crowdLimits = Limits{Claims: 1 << 20, ClaimsOfSession: 1 << 20, Waiters: 1 << 20}

// crowdClaim is a claim as the model of a crowd knows it.
type crowdClaim struct {
	id    ClaimID
	items []Item
	rank  int64
	order uint64
	held  bool
}

// crowd runs a table with long queues beside its obvious form: every queue is a
// sorted list.
type crowd struct {
	t        *rapid.T
	table    *Table
	token    Token
	sink     recorder
	queues   map[Name][]*crowdClaim
	holders  map[Name]*crowdClaim
	of       map[uint64]*crowdClaim // by order
	sequence sessions.Sequence
	revision uint64
	random   *rand.Rand
}

var crowdNames = []Name{"a", "b"}

func (w *crowd) step() Step {
	w.revision++
	return Step{Revision: w.revision}
}

func (w *crowd) leave(c *crowdClaim) {
	for _, it := range c.items {
		if c.held {
			delete(w.holders, it.Name)
		} else {
			w.queues[it.Name] = slices.DeleteFunc(w.queues[it.Name], func(o *crowdClaim) bool { return o == c })
		}
	}
	delete(w.of, c.order)
}

// settle grants in the model what can be granted, and compares.
func (w *crowd) settle() {
	first := func(c *crowdClaim) bool {
		for _, it := range c.items {
			if w.holders[it.Name] != nil || w.queues[it.Name][0] != c {
				return false
			}
		}
		return true
	}
	for _, n := range crowdNames {
		if q := w.queues[n]; len(q) > 0 && first(q[0]) {
			w.grant(q[0])
		}
	}
	w.table.Flush(&w.sink)
	for _, n := range crowdNames {
		l, want := w.table.Get(n), w.holders[n]
		if l == nil && want == nil {
			continue
		}
		if (want != nil) != (l.Holder() != nil) || want != nil && want.id != l.Holder().ID || l.Waiting() != len(w.queues[n]) {
			w.t.Fatalf("lock %q: %d wait and %+v holds it; the model says %d and %+v", n, l.Waiting(), l.Holder(), len(w.queues[n]), want)
		}
	}
}

func (w *crowd) grant(c *crowdClaim) {
	for _, it := range c.items {
		w.queues[it.Name] = slices.DeleteFunc(w.queues[it.Name], func(o *crowdClaim) bool { return o == c })
		w.holders[it.Name] = c
	}
	c.held = true
}

func (w *crowd) join(rank int64) {
	w.sequence++
	c := &crowdClaim{id: ClaimID{sessions.ID(1 + w.random.IntN(3)), w.sequence}, rank: rank}
	switch w.random.IntN(8) {
	case 0:
		c.items = []Item{{Name: "a"}, {Name: "b"}}
	case 1, 2:
		c.items = []Item{{Name: "b"}}
	default:
		c.items = []Item{{Name: "a"}}
	}
	got, err := w.table.Claim(w.step(), Request{ID: c.id, Items: c.items, Rank: rank})
	if err != nil {
		w.t.Fatal(err)
	}
	c.order = got.Order
	w.of[c.order] = c
	for _, it := range c.items {
		q := w.queues[it.Name]
		i := len(q)
		for i > 0 && q[i-1].rank > rank {
			i--
		}
		w.queues[it.Name] = slices.Insert(q, i, c)
	}
	w.settle()
}

// some is a claim chosen at random, waiting or not; nil when there is none.
func (w *crowd) some() *crowdClaim {
	if len(w.of) == 0 {
		return nil
	}
	keys := sortedKeys(w.of)
	return w.of[keys[w.random.IntN(len(keys))]]
}

func (w *crowd) cancel(c *crowdClaim) {
	if c == nil {
		return
	}
	if was := w.table.Cancel(w.step(), w.table.Find(c.id)); was != c.held {
		w.t.Fatalf("cancelled %v: granted %v, the model says %v", c.id, was, c.held)
	}
	w.leave(c)
	w.settle()
}

// transfer hands a lock to somebody who waits for it anywhere, as elections do.
func (w *crowd) transfer(n Name) {
	from := w.holders[n]
	if from == nil || len(from.items) > 1 || len(w.queues[n]) == 0 {
		return
	}
	to := w.queues[n][w.random.IntN(len(w.queues[n]))]
	if len(to.items) > 1 {
		return
	}
	w.table.Transfer(w.step(), w.table.Find(from.id), w.table.Find(to.id))
	w.leave(from)
	w.grant(to)
	w.settle()
}

func (w *crowd) endSession(id sessions.ID) {
	w.table.EndSession(w.step(), id, Expired)
	for _, o := range sortedKeys(w.of) {
		if c := w.of[o]; c.id.Session == id {
			w.leave(c)
		}
	}
	w.settle()
}

// restore puts the table back from what it wrote. Ranks are not in the rows.
func (w *crowd) restore() {
	t := NewTable(crowdLimits, &w.token)
	t.Recall = w.sink.recall
	r := NewRestorer(t, 0)
	for _, n := range sortedKeys(w.sink.records) {
		if err := r.Lock(n, w.sink.records[n]); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, o := range sortedKeys(w.sink.rows) {
		if _, err := r.Ranked(o, w.sink.rows[o], w.of[o].rank); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := r.Finish(w.table.Order()); err != nil {
		w.t.Fatal(err)
	}
	w.table = t
}

// positions compares the places of everybody.
func (w *crowd) positions() {
	want := map[*crowdClaim]int{}
	for _, n := range crowdNames {
		for i, c := range w.queues[n] {
			want[c] = max(want[c], i+1)
		}
	}
	for _, o := range sortedKeys(w.of) {
		if c := w.of[o]; !c.held {
			if got := w.table.Position(w.table.Find(c.id)); got != want[c] {
				w.t.Fatalf("%v of rank %d is at %d, the model says %d", c.id, c.rank, got, want[c])
			}
		}
	}
}

// TestCrowdAgainstModel: who waits, holds and stands where is the same in queues
// of all lengths, whether they have places or not.
func TestCrowdAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &crowd{
			t: rt, sink: recorder{records: map[Name][]byte{}, rows: map[uint64][]byte{}},
			queues: map[Name][]*crowdClaim{}, holders: map[Name]*crowdClaim{}, of: map[uint64]*crowdClaim{},
			random: rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)),
		}
		w.table = NewTable(crowdLimits, &w.token)
		w.table.Recall = w.sink.recall
		ranks := rapid.Int64Range(1, 4).Draw(rt, "ranks")
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			default:
				for range rapid.IntRange(1, 300).Draw(rt, "join") {
					w.join(-w.random.Int64N(ranks))
				}
			case 0, 1:
				for range rapid.IntRange(1, 200).Draw(rt, "leave") {
					w.cancel(w.some())
				}
			case 2, 3:
				for range rapid.IntRange(1, 200).Draw(rt, "release") {
					w.cancel(w.holders[crowdNames[w.random.IntN(2)]])
				}
			case 4:
				w.transfer(crowdNames[w.random.IntN(2)])
			case 5:
				w.endSession(sessions.ID(rapid.IntRange(1, 3).Draw(rt, "session")))
			case 6:
				w.restore()
			}
			if rapid.Bool().Draw(rt, "look") {
				w.positions()
			}
			if err := w.table.Check(0, func(sessions.ID) bool { return true }); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

// TestJoinAnywhere lets a claim join between any two others, and leave again.
func TestJoinAnywhere(t *testing.T) {
	const n = 4 * maxBlock
	table, waiters := queue(t, 0, -1)
	for i := range n {
		c, err := table.Claim(Step{}, Request{ID: ClaimID{3, sessions.Sequence(i + 1)}, Items: []Item{{Name: "a"}}, Rank: int64(2 * i)})
		if err != nil {
			t.Fatal(err)
		}
		waiters = append(waiters, c)
	}
	for i := range n + 1 {
		c, err := table.Claim(Step{}, Request{ID: ClaimID{4, sessions.Sequence(i + 1)}, Items: []Item{{Name: "a"}}, Rank: int64(2*i - 1)})
		if err != nil {
			t.Fatal(err)
		}
		if got := table.Position(c); got != i+1 {
			t.Fatalf("it joined at %d, behind %d", got, i)
		}
		if p := c.parts[0].prev; i > 0 && (p == nil || p.claim != waiters[i-1]) || i == 0 && p != nil {
			t.Fatalf("it joined at %d, behind another claim", i+1)
		}
		if err := table.Check(0, func(sessions.ID) bool { return true }); err != nil {
			t.Fatal(err)
		}
		table.Cancel(Step{}, c)
	}
}

// queue is a lock that is held and that n claims of session 2 wait for.
func queue(t testing.TB, n int, rank int64) (table *Table, waiters []*Claim) {
	var token Token
	table = NewTable(crowdLimits, &token)
	for i := range n + 1 {
		c, err := table.Claim(Step{Revision: 1}, Request{ID: ClaimID{2, sessions.Sequence(i + 1)}, Items: []Item{{Name: "a"}}, Rank: rank})
		if err != nil {
			t.Fatal(err)
		}
		waiters = append(waiters, c)
	}
	table.Flush(discard{})
	return table, waiters[1:]
}

// discard is a Sink that wants nothing.
type discard struct{}

func (discard) Lock(*Lock)           {}
func (discard) Granted(*Claim)       {}
func (discard) Queue(uint64, []byte) {}
func (discard) Settle(uint64)        {}

// TestCostOfPlaces: only who needs places of a long queue has them, they take
// little, and to look something up there takes nothing.
func TestCostOfPlaces(t *testing.T) {
	short, waiters := queue(t, longWalk, 0)
	for i, c := range waiters {
		if got := short.Position(c); got != i+1 {
			t.Fatalf("waiter %d is at %d", i+1, got)
		}
	}
	if short.Get("a").places != nil {
		t.Error("a short queue has places")
	}

	const n = 10_000
	table, waiters := queue(t, n, 0)
	l := table.Get("a")
	for range 1000 {
		table.Cancel(Step{}, l.Holder())
	}
	table.Flush(discard{})
	if l.places != nil {
		t.Error("a queue has places that nobody needed")
	}
	waiters = waiters[1000:]

	live := func() float64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return float64(s.HeapAlloc)
	}
	before, i := live(), 0
	table.Position(waiters[0])
	cost.AtMost(t, "bytes of a place", (live()-before)/float64(len(waiters)), 20)
	cost.AtMost(t, "allocations of a position", testing.AllocsPerRun(len(waiters)-1, func() {
		if got := table.Position(waiters[i]); got != i+1 {
			t.Fatalf("waiter %d is at %d", i+1, got)
		}
		i++
	}), 0)

	for l.Waiting() >= longWalk/2 {
		if l.places == nil {
			t.Fatalf("a queue of %d lost its places", l.Waiting())
		}
		table.Cancel(Step{}, l.Holder())
		table.Flush(discard{})
	}
	if l.places != nil {
		t.Errorf("a queue of %d still has places", l.Waiting())
	}
	runtime.KeepAlive(waiters)
}

// What follows is of queues that have places, if they are long.

// BenchmarkPosition asks for the places of waiters all over a queue.
func BenchmarkPosition(b *testing.B) {
	for _, n := range []int{64, 10_000, 40_000} {
		b.Run(fmt.Sprintf("waiters=%d", n), func(b *testing.B) {
			table, waiters := queue(b, n, 0)
			table.Position(waiters[0])
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				at := i * 7919 % n
				if table.Position(waiters[at]) != at+1 {
					b.Fatal("another place")
				}
			}
		})
	}
}

// BenchmarkOvertake lets a claim join a queue before all that wait, and leave.
func BenchmarkOvertake(b *testing.B) {
	for _, n := range []int{64, 10_000, 40_000} {
		b.Run(fmt.Sprintf("waiters=%d", n), func(b *testing.B) {
			table, waiters := queue(b, n, 0)
			table.Position(waiters[0])
			q := Request{ID: ClaimID{3, 0}, Items: []Item{{Name: "a"}}, Rank: -1}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				q.ID.Sequence++
				c, err := table.Claim(Step{}, q)
				if err != nil {
					b.Fatal(err)
				}
				table.Cancel(Step{}, c)
				table.Flush(discard{})
			}
		})
	}
}

// BenchmarkQueue lets the holder of a lock leave, and another claim join.
func BenchmarkQueue(b *testing.B) {
	for _, n := range []int{16, 10_000, 40_000} {
		b.Run(fmt.Sprintf("waiters=%d", n), func(b *testing.B) {
			table, waiters := queue(b, n, 0)
			table.Position(waiters[0])
			q := Request{ID: ClaimID{3, 0}, Items: []Item{{Name: "a"}}}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				q.ID.Sequence++
				if _, err := table.Claim(Step{}, q); err != nil {
					b.Fatal(err)
				}
				table.Cancel(Step{}, table.Get("a").Holder())
				table.Flush(discard{})
			}
		})
	}
}
