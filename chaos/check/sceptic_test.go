package check

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func testSource() (string, error) {
	b, err := os.ReadFile("check_test.go")
	return string(b), err
}

// TestScepticFinds: it finds what has no order, with all revisions taken away.
func TestScepticFinds(t *testing.T) {
	for what, break_ := range map[string]func(h *History){
		"a lock held by two": func(h *History) {
			i := slices.IndexFunc(h.Operations, func(o Operation) bool { return o.Kind == Release && o.Token == 1 })
			h.Operations[i].Invoke = find(h, Acquire, token(3)).Return + ms
			h.Operations[i].Return = h.Operations[i].Invoke + ms
		},
		"tokens in another order": func(h *History) {
			a, b := find(h, Acquire, token(1)), find(h, Acquire, token(3))
			ra, rb := find(h, Release, token(1)), find(h, Release, token(3))
			a.Token, b.Token, ra.Token, rb.Token = 3, 1, 3, 1
		},
		"refused for one who was gone": func(h *History) {
			o := find(h, Acquire, func(o *Operation) bool { return o.Code == "HELD" })
			o.Claim, o.Token = []Item{{Name: "x"}}, 1
		},
		"too many permits": func(h *History) {
			o := find(h, Acquire, token(7))
			o.Claim = []Item{{Name: "many", Mode: Permits, Permits: 4, Capacity: 5}}
		},
		"two leaders": func(h *History) {
			o := find(h, Resign, nil)
			o.Invoke, o.Return = 1000*ms, 1001*ms
		},
		"a stale read":  func(h *History) { find(h, Keys, reads1("7")).Result.Results[0].Records[0].Value = "2" },
		"an early read": func(h *History) { find(h, Keys, reads1("1")).Result.Results[0].Records[0].Value = "2" },
		"a compare that should have held": func(h *History) {
			o := find(h, Keys, writes1("2"))
			o.Result = &Result{Results: []KeyResult{{Records: []Record{{Key: "k", Value: "1"}}}}}
		},
		"a lost write": func(h *History) {
			o := find(h, Keys, writes1("7"))
			o.Outcome = Unknown
			last := *find(h, Keys, reads1("7"))
			last.Sequence = 0
			last.Invoke, last.Return = last.Return+ms, last.Return+2*ms
			last.Result = &Result{Succeeded: true, Results: []KeyResult{{Records: []Record{{Key: "k", Value: "4"}}}}}
			h.Operations = append(h.Operations, last)
		},
		"a deleted key is read": func(h *History) {
			o := find(h, Keys, func(o *Operation) bool { return len(o.Txn.Then) == 2 && o.Txn.Then[1].At != 0 })
			o.Result.Results[0].Records = []Record{{Key: "l", Value: "5"}}
		},
	} {
		t.Run(what, func(t *testing.T) {
			h := sound()
			break_(h)
			for i := range h.Operations {
				h.Operations[i].Revision = 0
			}
			dir := t.TempDir()
			found := Sceptic{Dir: dir}.Check(h).Violations
			if len(found) == 0 {
				t.Fatal("nothing was found")
			}
			pictures, _ := filepath.Glob(filepath.Join(dir, "*.html"))
			if len(pictures) != len(found) || !strings.Contains(found[0].Text, pictures[0]) {
				t.Errorf("pictures %q of %q", pictures, found)
			}
		})
	}
}

// TestSeenByItsKeyAlone: of a value of unknown outcome that is replaced at once
// clients may see no more than that the key was there; a watcher saw the value.
func TestSeenByItsKeyAlone(t *testing.T) {
	s := newScene()
	o := s.txn(1, put("k", "1"))
	o.Outcome, o.Result, o.Return = Unknown, nil, Forever
	s.txn(2, Txn{If: []Compare{{Target: VersionOf, Is: ">", Key: "k"}}, Then: []KeyOp{{Action: Put, Key: "k", Value: "2"}}})
	for _, v := range (Sceptic{}).Check(s.h).Violations {
		t.Errorf("it was put: %v", v)
	}
	s.h.Audit = s.h.Audit[1:]
	if len((Sceptic{}).Check(s.h).Violations) == 0 {
		t.Error("nobody put it, and it was there")
	}
}

// TestScepticRefusesWhatIsTooMuch: it does not pass over what it cannot check.
func TestScepticRefusesWhatIsTooMuch(t *testing.T) {
	h := &History{}
	for i := range MostOperations + 1 {
		x := get("k")
		h.Operations = append(h.Operations, Operation{Kind: Keys, Txn: &x, Result: &Result{Succeeded: true, Results: []KeyResult{{}}}, Outcome: Done, Invoke: Time(i), Return: Time(i)})
	}
	if found := (Sceptic{}).Check(h).Violations; len(found) != 1 || !strings.Contains(found[0].Text, "more than") {
		t.Errorf("found %v", found)
	}
}

// busy is a history of many clients that work beside each other: what each does
// happens at a random moment between its call and its return.
func busy(seed uint64, n int) *History {
	rng := rand.New(rand.NewPCG(seed, 0))
	s := newScene()
	type hold struct {
		token, session uint64
		item           Item
	}
	var holds []hold
	for i := range n {
		session := uint64(1 + rng.IntN(8))
		switch rng.IntN(6) {
		case 0:
			if len(holds) < 3 {
				x := Item{Name: fmt.Sprint("l", len(holds))}
				if !slices.ContainsFunc(holds, func(h hold) bool { return h.item.Name == x.Name }) {
					holds = append(holds, hold{s.acquire(session, x), session, x})
				}
			}
		case 1:
			if len(holds) > 0 {
				j := rng.IntN(len(holds))
				s.release(holds[j].token, holds[j].item)
				holds = slices.Delete(holds, j, j+1)
			}
		case 2:
			s.txn(session, put(fmt.Sprint("k", rng.IntN(3)), fmt.Sprint("v", i)))
		case 3:
			s.txn(session, swap(fmt.Sprint("k", rng.IntN(3)), fmt.Sprint("v", i-1), fmt.Sprint("w", i)))
		case 4:
			s.txn(session, Txn{Then: []KeyOp{{Action: Delete, Key: fmt.Sprint("k", rng.IntN(3))}}})
		default:
			s.txn(session, get(fmt.Sprint("k", rng.IntN(3))))
		}
	}
	s.h.AuditTo = s.rev
	for i := range s.h.Operations {
		o := &s.h.Operations[i]
		o.Sequence, o.Until = 0, 0
		o.Invoke -= Time(rng.Int64N(int64(12 * ms)))
		o.Return += Time(rng.Int64N(int64(12 * ms)))
	}
	return s.h
}

// TestBusy: many clients at a time are no violation; a read of another value is
// one, for both kinds of judges.
func TestBusy(t *testing.T) {
	for seed := range uint64(20) {
		h := busy(seed, 300)
		for _, v := range append(Judge(h).Violations, Sceptic{}.Check(h).Violations...) {
			t.Errorf("seed %d: %v", seed, v)
		}
		var old string
		for i := range h.Operations {
			o := &h.Operations[i]
			if o.Kind != Keys || len(o.Txn.Then) != 1 {
				continue
			}
			if x := o.Txn.Then[0]; x.Action == Put && x.Key == "k0" && old == "" {
				old = x.Value
			}
			if x := o.Txn.Then[0]; i > 200 && x.Action == Get && x.Key == "k0" {
				o.Result.Results[0].Records = []Record{{Key: "k0", Value: old, Create: 1, Mod: 1, Version: 1}}
				break
			}
		}
		if len(Judge(h).Violations) == 0 || len(Sceptic{}.Check(h).Violations) == 0 {
			t.Errorf("seed %d: a read of the first value at the end was not found", seed)
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	h := busy(1, 200_000)
	b.ResetTimer()
	for b.Loop() {
		if v := Judge(h).Violations; len(v) > 0 {
			b.Fatal(v)
		}
	}
	b.ReportMetric(float64(len(h.Operations))*float64(b.N)/b.Elapsed().Seconds(), "operations/s")
}

func BenchmarkSceptic(b *testing.B) {
	h := busy(1, 20_000)
	b.ResetTimer()
	for b.Loop() {
		if v := (Sceptic{}).Check(h).Violations; len(v) > 0 {
			b.Fatal(v)
		}
	}
	b.ReportMetric(float64(len(h.Operations))*float64(b.N)/b.Elapsed().Seconds(), "operations/s")
}
