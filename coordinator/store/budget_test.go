package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// returned is what of a result counts towards MaxReturned.
func returned(r *TxnResult) (n int) {
	add := func(l ...Record) {
		for _, x := range l {
			if x.Exists() {
				n += len(x.Key) + len(x.Value) + recordOverhead
			}
		}
	}
	for _, x := range r.Results {
		switch {
		case x.Range != nil:
			add(x.Range.Records...)
		case x.Put != nil:
			add(x.Put.Prev)
		case x.Delete != nil:
			add(x.Delete.Prevs...)
		case x.Txn != nil:
			n += returned(x.Txn)
		}
	}
	return n
}

// budgeted is a store with n keys a/00000, a/00001 ... that weigh as many bytes
// each, and what carries out a transaction in it: a refused one leaves no trace.
func budgeted(t *testing.T, n, weight int) (*Store, func(Txn) (TxnResult, error)) {
	s := New(Options{})
	t.Cleanup(s.Close)
	within := func(f func(*Tx)) {
		tx := s.Begin()
		tx.BeginRevision(1)
		f(tx)
		tx.EndRevision()
		tx.Commit()
	}
	within(func(tx *Tx) {
		for i := range n {
			key := fmt.Sprintf("a/%05d", i)
			tx.put(Keys, key, make([]byte, weight-recordOverhead-len(key)), 0)
		}
	})
	return s, func(txn Txn) (result TxnResult, err error) {
		before := s.Hash()
		within(func(tx *Tx) { result, err = tx.Txn(txn) })
		if err != nil && (s.Hash() != before || len(s.tx.Events()) > 0) {
			t.Errorf("refused, and yet something happened: %v", err)
		}
		return result, err
	}
}

// TestReturnedBytes: what the operations of a transaction return together has a
// bound, of whatever operations it is, and what they wrote before is reckoned.
func TestReturnedBytes(t *testing.T) {
	const n = 64
	const weight = MaxReturned / n
	all := func(q Query) Op { q.Key, q.End = "a/", "a0"; return Op{Range: &q} }
	del := func(key, end string, prev bool) Op { return Op{Delete: &DeleteOp{Key: key, End: end, Prev: prev}} }
	put := func(key string, size int, prev bool) Op {
		return Op{Put: &PutOp{Key: key, Value: make([]byte, size), Prev: prev}}
	}
	var swaps, swapsOfMost []Op
	for i := range n {
		op := put(fmt.Sprintf("a/%05d", i), 1, true)
		if swaps = append(swaps, op); i > 0 {
			swapsOfMost = append(swapsOfMost, op)
		}
	}
	const size = weight - recordOverhead - 7 // of a value
	for name, x := range map[string]struct {
		ops []Op
		is  int // bytes returned; 0: more than are allowed
	}{
		"all":                          {[]Op{all(Query{})}, MaxReturned},
		"all by value":                 {[]Op{all(Query{Order: ByValue, Descending: true})}, MaxReturned},
		"all in two parts":             {[]Op{all(Query{Limit: n / 2}), all(Query{Limit: n / 2, Descending: true})}, MaxReturned},
		"all with their deletion":      {[]Op{del("a/", "a0", true)}, MaxReturned},
		"all with what puts replace":   {swaps, MaxReturned},
		"less":                         {[]Op{all(Query{Limit: n - 1})}, MaxReturned - weight},
		"one more":                     {[]Op{all(Query{}), {Range: &Query{Key: "a/00000"}}}, 0},
		"one more by key alone":        {[]Op{all(Query{}), {Range: &Query{Key: "a/00000", KeysOnly: true}}}, 0},
		"one more that is not there":   {[]Op{all(Query{}), {Range: &Query{Key: "b"}}}, MaxReturned},
		"one more, counted":            {[]Op{all(Query{}), all(Query{CountOnly: true})}, MaxReturned},
		"one more in a nested one":     {[]Op{all(Query{}), {Txn: &Txn{Success: []Op{{Range: &Query{Key: "a/00000"}}}}}}, 0},
		"all after one has grown":      {[]Op{put("a/00000", size+1, false), all(Query{})}, 0},
		"all after one was rewritten":  {[]Op{put("a/00000", size, false), all(Query{})}, MaxReturned},
		"all after one was added":      {[]Op{put("a/", 0, false), all(Query{})}, 0},
		"all before one has grown":     {[]Op{all(Query{}), put("a/00000", size+1, false)}, MaxReturned},
		"one added, one deleted":       {[]Op{put("a/01000", size, false), del("a/00000", "", false), all(Query{})}, MaxReturned},
		"read again once deleted":      {[]Op{all(Query{}), del("a/", Everything, false), all(Query{})}, MaxReturned},
		"deleted again with the prevs": {[]Op{all(Query{}), del("a/0", "a/00063", false), del("a/", "a0", true)}, 0},
		"put, and then deleted nested": {[]Op{{Txn: &Txn{Success: []Op{put("a/z", size, false)}}}, {Txn: &Txn{Success: []Op{del("a/z", "", false)}}}, all(Query{})}, MaxReturned},
		"the oldest, all but one of them put": {append(swapsOfMost[:len(swapsOfMost):len(swapsOfMost)],
			all(Query{Order: ByVersion, Limit: 1})), MaxReturned},
		"the newest, all but one of them put": {append(swapsOfMost[:len(swapsOfMost):len(swapsOfMost)],
			all(Query{Order: ByVersion, Descending: true, Limit: 1})), MaxReturned - weight + recordOverhead + 8},
		"the past, whatever is put": {[]Op{put("a/00000", size+1, false), all(Query{Revision: 2})}, MaxReturned},
		"the past and one more":     {[]Op{del("a/", "a0", false), all(Query{Revision: 2}), {Range: &Query{Key: "a/00000", Revision: 2}}}, 0},
	} {
		for _, other := range []bool{false, true} { // whichever way it goes
			_, do := budgeted(t, n, weight)
			txn := Txn{Success: x.ops}
			if other {
				txn = Txn{Compares: []Compare{{Target: TargetVersion, Key: "absent", Number: 1}}, Failure: x.ops}
			}
			r, err := do(txn)
			switch {
			case x.is == 0 && !errors.Is(err, ErrTooLarge):
				t.Errorf("%s: %v, want a refusal", name, err)
			case x.is > 0 && (err != nil || returned(&r) != x.is):
				t.Errorf("%s: %v, %d bytes are returned, want %d", name, err, returned(&r), x.is)
			}
			if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("return %d at most", MaxReturned)) {
				t.Errorf("%s: %q does not say what is allowed", name, err)
			}
		}
	}
}

// TestVisitedRecords: what a transaction looks at has a bound, whatever for.
func TestVisitedRecords(t *testing.T) {
	const n = MaxVisited / MaxOps
	ops := func(q Query, many int) (l []Op) {
		q.Key, q.End = "a/", "b"
		for range many {
			l = append(l, Op{Range: &q})
		}
		return l
	}
	same := func(many int) (l []Compare) {
		for range many {
			l = append(l, Compare{Target: TargetMod, Relation: Equal, Key: "a/", End: "b", Number: 2})
		}
		return l
	}
	mixed := append(ops(Query{Limit: 1, KeysOnly: true}, 40), ops(Query{Revision: 2, CountOnly: true}, 23)...)
	mixed = append(mixed, Op{Delete: &DeleteOp{Key: "a/", End: "b"}})
	for _, extra := range []int{0, 1} {
		_, do := budgeted(t, n+extra, 64)
		for i, txn := range []Txn{
			{Success: ops(Query{CountOnly: true}, MaxOps)},
			{Compares: same(MaxOps)},
			{Compares: same(MaxOps - 1), Success: []Op{{Txn: &Txn{}}}}, // one less
			{Compares: same(MaxOps / 2), Success: mixed},
		} {
			r, err := do(txn)
			refused := extra > 0 && i != 2
			if !refused && (err != nil || !r.Succeeded) || refused && !errors.Is(err, ErrTooLarge) {
				t.Errorf("transaction %d, %d records looked at by each of %d: %v", i, n+extra, MaxOps, err)
			}
			if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("look at %d at most", MaxVisited)) {
				t.Errorf("transaction %d: %q does not say what is allowed", i, err)
			}
		}
	}
}

// TestDeletedRecords: what a transaction deletes has a bound, and more is deleted
// by several.
func TestDeletedRecords(t *testing.T) {
	del := func(key, end string) Op { return Op{Delete: &DeleteOp{Key: key, End: end}} }
	for _, x := range []struct{ n, weight, refusals int }{
		{MaxDeleted, 64, 0},
		{MaxDeleted + 1, 64, 1},
		{64, MaxDropped/64 + recordOverhead, 0},
		{64, MaxDropped/64 + recordOverhead + 1, 1},
	} {
		s, do := budgeted(t, x.n, x.weight)
		refusals := 0
		for _, ops := range [][]Op{
			{del("a/", Everything), del("a/", Everything)}, // what is gone does not count again
			{del("a/0000", "a/00002"), del("a/00000", "")},
			{del("a/", "b")},
		} {
			if _, err := do(Txn{Success: ops}); errors.Is(err, ErrTooLarge) {
				refusals++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		left, err := s.Range(Query{Key: "a/", End: Everything, CountOnly: true})
		if refusals != x.refusals || left.Count != 0 || err != nil {
			t.Errorf("%d records of %d bytes: %d refusals, want %d; %d are left, %v", x.n, x.weight, refusals, x.refusals, left.Count, err)
		}
	}
}
