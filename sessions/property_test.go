package sessions

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/conch-lock/conch/record"
	"pgregory.net/rapid"
)

// TestRepliesAgainstModel: a table remembers what a plain map does, minus what was
// acknowledged, through restarts.
func TestRepliesAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		table := NewTable(10)
		s, err := table.Open(Nonce{1}, Second, nil, 0, 1)
		if err != nil {
			rt.Fatal(err)
		}
		done := map[Sequence]string{} // over, never to take effect again
		var acked Sequence
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			q := Sequence(rapid.IntRange(1, 40).Draw(rt, "sequence"))
			a := Sequence(0)
			if rapid.IntRange(0, 3).Draw(rt, "acks") == 0 {
				a = Sequence(rapid.IntRange(0, 30).Draw(rt, "acked"))
			}
			acked = max(acked, min(a, q-1))
			data, err := table.Begin(1, q, a, false)
			was, over := done[q]
			switch {
			case q > acked && over && string(data) != was:
				rt.Fatalf("sequence %d: %q, %v; it was %q", q, data, err, was)
			case q > acked && !over && (data != nil || err != nil):
				rt.Fatalf("sequence %d: %q, %v; it is new", q, data, err)
			case q <= acked && !errors.Is(err, ErrTooOld) && string(data) != was:
				rt.Fatalf("sequence %d of at most %d acknowledged: %q, %v", q, acked, data, err)
			}
			if data == nil && err == nil {
				reply := fmt.Sprint("reply ", q)
				if rapid.Bool().Draw(rt, "late") {
					table.KeepLate(1, q, []byte(reply))
				} else {
					table.Keep(1, q, []byte(reply))
				}
				done[q] = reply
			}
			if err := table.Check(); err != nil {
				rt.Fatal(err)
			}
			if rapid.IntRange(0, 9).Draw(rt, "restart") == 0 {
				fresh := NewTable(10)
				fresh.RestoreLast(table.Last())
				if err := fresh.Restore(1, table.Get(1).Append(nil)); err != nil {
					rt.Fatal(err)
				}
				if !slices.Equal(fresh.Get(1).Append(nil), table.Get(1).Append(nil)) {
					rt.Fatal("a restored session is spelt otherwise")
				}
				table = fresh
			}
		}
		_ = s
	})
}

// TestDeadlinesAgainstModel: sessions fall due in order of deadline and ID.
func TestDeadlinesAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		table := NewTable(1000)
		type one struct {
			id       ID
			ttl      Duration
			deadline Time
		}
		var model []one
		now := Time(0)
		for i := range rapid.IntRange(1, 150).Draw(rt, "steps") {
			now += Time(rapid.IntRange(0, 3).Draw(rt, "time"))
			switch rapid.IntRange(0, 4).Draw(rt, "step") {
			case 0, 1:
				ttl := Duration(rapid.IntRange(1, 30).Draw(rt, "ttl"))
				s, err := table.Open(Nonce{1, byte(i), byte(i >> 8)}, ttl, nil, now, 1)
				if err != nil {
					rt.Fatal(err)
				}
				model = append(model, one{s.ID, ttl, now + ttl})
			case 2:
				if len(model) > 0 {
					m := &model[rapid.IntRange(0, len(model)-1).Draw(rt, "which")]
					m.deadline = max(m.deadline, now+m.ttl)
					table.Hear(m.id, now)
				}
			case 3:
				if len(model) > 0 {
					i := rapid.IntRange(0, len(model)-1).Draw(rt, "which")
					table.End(model[i].id)
					model = slices.Delete(model, i, i+1)
				}
			case 4:
				for s := table.Due(); s != nil && s.Deadline <= now; s = table.Due() {
					table.End(s.ID)
					model = slices.DeleteFunc(model, func(m one) bool { return m.id == s.ID })
				}
			}
			var first one
			for _, m := range model {
				if first.id == 0 || m.deadline < first.deadline || m.deadline == first.deadline && m.id < first.id {
					first = m
				}
			}
			s := table.Due()
			if (s == nil) != (first.id == 0) || s != nil && (s.ID != first.id || s.Deadline != first.deadline) {
				rt.Fatalf("due is %+v, the model says %+v", s, first)
			}
			if err := table.Check(); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

// TestLabels: what keeps the bounds is read as it was spelt, what does not is named.
func TestLabels(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := rapid.MapOfN(rapid.StringN(0, 20, 70), rapid.StringN(0, 80, 300), 0, 20).Draw(rt, "labels")
		l := LabelsOf(m)
		if l.Check() != nil {
			return
		}
		r := record.NewReader(l.Append(nil))
		if got := ReadLabels(r); !slices.Equal(got, l) || r.Done() != nil {
			rt.Fatalf("%v became %v: %v", l, got, r.Err())
		}
	})
}
