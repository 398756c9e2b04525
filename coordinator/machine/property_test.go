package machine

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/sessions"
	"pgregory.net/rapid"
)

// testLimits are small, so that limits and the quota are met.
func testLimits(quota int64) Limits {
	return Limits{
		Sessions: 12, Claims: 60, ClaimsOfSession: 12, Waiters: 8,
		Store: store.Options{QuotaBytes: quota, KeepRevisions: 90, KeepMillis: 20_000},
	}
}

// replica is one machine of several that are given the same entries.
type replica struct {
	m     *Machine
	limit Limits
	from  int // the first entry that has not been given to it
}

// catchUp applies entries in groups of random size, and gives what came of it.
func (r *replica) catchUp(t *rapid.T, log [][]byte) []string {
	var out []string
	var changes []string
	for r.from < len(log) {
		n := rapid.IntRange(1, len(log)-r.from).Draw(t, "group")
		r.m.Begin()
		for range n {
			if err := r.m.Apply(uint64(r.from+1), 1, log[r.from]); err != nil {
				t.Fatal(err)
			}
			r.from++
		}
		o := r.m.Commit()
		out = append(out, kept(o)...)
		for _, c := range o.Changes {
			changes = append(changes, fmt.Sprintf("change %+v", c))
		}
	}
	return append(group(out), changes...)
}

// group puts results, events and hashes each in their own order: how they are
// mixed depends on what was applied together.
func group(l []string) []string {
	slices.SortStableFunc(l, func(a, b string) int { return int(a[0]) - int(b[0]) })
	return l
}

func (r *replica) restart(t rapid.TB) {
	all := everything(r.m)
	index, term := r.m.Applied()
	fresh := New(r.limit)
	if err := fresh.Restore(bytes.NewReader(all), index, term); err != nil {
		t.Fatal(err)
	}
	r.m.Close()
	r.m = fresh
	if again := everything(fresh); !bytes.Equal(all, again) {
		t.Fatal("the restored state writes another snapshot")
	}
}

// TestReplicasAgree: whatever the entries, and however they are grouped, three
// machines have the same state and say the same, one of them made anew from a
// snapshot again and again.
func TestReplicasAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limits := testLimits(int64(rapid.SampledFrom([]int{0, 6000, 12000}).Draw(rt, "quota")))
		var replicas [3]*replica
		for i := range replicas {
			replicas[i] = &replica{m: New(limits), limit: limits}
			defer func() { replicas[i].m.Close() }()
		}
		w := newWriter(rt)
		var log [][]byte
		for range rapid.IntRange(1, 25).Draw(rt, "rounds") {
			for range rapid.IntRange(1, 6).Draw(rt, "entries") {
				log = append(log, w.entry())
			}
			var first []string
			for i, r := range replicas {
				said := r.catchUp(rt, log)
				if i == 0 {
					first = said
				} else if !slices.Equal(first, said) {
					rt.Fatalf("replica %d says\n%q, replica 0\n%q", i, said, first)
				}
				if err := r.m.Check(); err != nil {
					rt.Fatalf("replica %d: %v", i, err)
				}
				if r.m.Store().Hash() != replicas[0].m.Store().Hash() || r.m.Chain() != replicas[0].m.Chain() {
					rt.Fatalf("replica %d has another state at entry %d", i, len(log))
				}
			}
			w.learn(replicas[0].m)
			if rapid.IntRange(0, 3).Draw(rt, "restart") == 0 {
				replicas[2].restart(rt)
			}
		}
	})
}

// learn tells the writer who holds what.
func (w *writer) learn(m *Machine) {
	for id := sessions.ID(1); id <= m.Sessions().Last(); id++ {
		for _, c := range append(m.Claims(id), m.Candidacies(id)...) {
			w.saw(Output{Results: []Result{{Reply: Reply{Claim: c}}}})
		}
	}
}

// visible is the hash of what users see: the revisioned spaces.
func visible(m *Machine) string {
	var b []byte
	for _, space := range []store.Space{store.Keys, store.Locks, store.Elections} {
		m.Store().Visit(store.Query{Space: space, End: store.Everything}, func(r store.Record) bool {
			b = fmt.Appendf(b, "%+v\n", r)
			return true
		})
	}
	return string(b)
}

// alone applies one command and gives the reply.
func alone(t *rapid.T, m *Machine, op Op) Reply {
	index, term := m.Applied()
	b := (&Header{}).Append(nil)
	m.Begin()
	if err := m.Apply(index+1, term, Command{Origin: 1, Request: 1, Op: op}.Append(b)); err != nil {
		t.Fatal(err)
	}
	return m.Commit().Results[0].Reply
}

// TestExactlyOnce: a request that is repeated at any time gets the reply that it
// had, or is told that this is forgotten, and changes nothing.
func TestExactlyOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limits := testLimits(0)
		m := New(limits)
		r := &replica{m: m, limit: limits}
		defer func() { r.m.Close() }()
		w := newWriter(rt)
		first := map[Request]Reply{}
		for range rapid.IntRange(1, 80).Draw(rt, "entries") {
			m := r.m
			h := w.header()
			op := w.op()
			index, _ := m.Applied()
			m.Begin()
			if err := m.Apply(index+1, 1, Command{Origin: 1, Request: 1, Op: op}.Append(h.Append(nil))); err != nil {
				rt.Fatal(err)
			}
			out := m.Commit()
			w.saw(out)
			if q := requestOf(op); q.Sequence != 0 {
				// What was asked of a session before there was one, was asked of nobody.
				if p, known := first[q]; !known || p.Code == SessionNotFound {
					first[q] = out.Results[0].Reply
				}
			}
			if rapid.IntRange(0, 5).Draw(rt, "restart") == 0 {
				r.restart(rt)
			}
			again := w.sent[rapid.IntRange(0, len(w.sent)-1).Draw(rt, "again")]
			q := requestOf(again)
			if p, known := first[q]; !known || p.Code == SessionNotFound {
				continue
			}
			before, events := visible(r.m), r.m.Token()
			p := alone(rt, r.m, again)
			if visible(r.m) != before || r.m.Token() != events {
				rt.Fatalf("%T %+v took effect again", again, q)
			}
			if want := first[q]; !sameOutcome(want, p) {
				rt.Fatalf("%T %+v was answered %s, and then %s", again, q, spelt(want), spelt(p))
			}
			if err := r.m.Check(); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

func requestOf(op Op) Request {
	switch o := op.(type) {
	case *Acquire:
		return o.Request
	case *Release:
		return o.Request
	case *Cancel:
		return o.Request
	case *Txn:
		return o.Request
	case *Campaign:
		return o.Request
	case *Proclaim:
		return o.Request
	case *Resign:
		return o.Request
	case *Transfer:
		return o.Request
	}
	return Request{}
}

// sameOutcome: the same reply; or the later state of the same claim; or that it
// is forgotten; or that the session is.
func sameOutcome(first, again Reply) bool {
	if again.Code == SequenceTooOld || again.Code == SessionNotFound {
		return true
	}
	if first.Claim == nil {
		return spelt(first) == spelt(again)
	}
	if again.Claim == nil { // it has ended since
		return again.Code == ClaimCancelled || again.Code == WaitTimedOut || again.Code == ClaimBroken || again.Code == ClaimTransferred
	}
	a, b := *first.Claim, *again.Claim
	if !a.Granted {
		return a.ID == b.ID && slices.Equal(a.Names, b.Names)
	}
	return fmt.Sprint(a) == fmt.Sprint(b)
}

// TestCommandsRoundTrip: what Append wrote is what Decode reads.
func TestCommandsRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWriter(rt)
		for range 20 {
			c := Command{Origin: rapid.Uint64().Draw(rt, "origin"), Request: rapid.Uint64().Draw(rt, "request"), Op: w.op()}
			b := c.Append(nil)
			one, rest, err := Split(b)
			if err != nil || len(rest) != 0 {
				rt.Fatal(err, rest)
			}
			d, err := Decode(one)
			if err != nil && c.Check() == nil {
				rt.Fatal(err)
			}
			if !bytes.Equal(d.Append(nil), b) || d.Origin != c.Origin || d.Request != c.Request {
				rt.Fatalf("%+v became %+v", c, d)
			}
		}
		h := w.header()
		got, rest, err := ReadHeader(append(h.Append(nil), 7))
		if err != nil || !bytes.Equal(rest, []byte{7}) || got.Millis != h.Millis || got.Elapsed != h.Elapsed || !slices.Equal(got.Heard, h.Heard) {
			rt.Fatalf("%+v became %+v, %v, %v", h, got, rest, err)
		}
	})
}
