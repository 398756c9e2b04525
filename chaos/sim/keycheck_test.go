package sim

import (
	"testing"

	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
)

// TestKeyCheck: each way in which an answer about keys can be wrong is found.
func TestKeyCheck(t *testing.T) {
	old := store.Record{Key: "key-0", Value: "1", Create: 2, Mod: 2, Version: 1}
	put := store.Record{Key: "key-0", Value: "2", Create: 2, Mod: 3, Version: 2, Session: 9}
	// begin is a cell in which revision 3 puts a key that revision 2 had put.
	begin := func(rec store.Record) keyCheck {
		c := newKeyCheck()
		c.changed(&store.Event{Record: old})
		c.lock("lock-0", 2, locks.Record{Holders: []locks.Holder{{Token: 7}}})
		wantSound(t, "the first put", c.txn(&store.Txn{Success: []store.Op{{Put: &store.PutOp{Key: "key-0", Value: []byte("1")}}}},
			&store.TxnResult{Succeeded: true, Revision: 2, Results: []store.OpResult{{Put: &store.PutResult{}}}}))
		wantSound(t, "the first entry", c.end([]store.Event{{Record: old}}, func(uint64) bool { return true }))
		c.changed(&store.Event{Record: rec})
		return c
	}
	txn := func(compares ...store.Compare) *store.Txn {
		return &store.Txn{
			Compares: compares,
			Success:  []store.Op{{Put: &store.PutOp{Key: "key-0", Value: []byte("2"), Session: 9, Prev: true}}, {Range: &store.Query{Key: "key-", End: "key."}}},
			Failure:  []store.Op{{Range: &store.Query{Key: "key-0"}}},
		}
	}
	answer := func(prev store.Record, found ...store.Record) *store.TxnResult {
		return &store.TxnResult{Succeeded: true, Revision: 3, Results: []store.OpResult{
			{Put: &store.PutResult{Prev: prev}}, {Range: &store.RangeResult{Records: found, Count: uint64(len(found))}},
		}}
	}
	guard := store.Compare{Target: store.TargetHeldLock, Relation: store.Equal, Key: "lock-0", Number: 7}
	absent := store.Compare{Target: store.TargetVersion, Relation: store.Equal, Key: "key-0"}
	newer := store.Compare{Target: store.TargetMod, Relation: store.Greater, Key: "key-0", Number: 1}
	other := guard
	other.Number = 8

	c := begin(put)
	wantSound(t, "a put that all compares allow", c.txn(txn(guard, newer), answer(old, put)))
	wantBroken(t, "a second one that made its revision", c.txn(txn(guard, newer), answer(old, put)))
	wantSound(t, "its entry", c.end([]store.Event{{Record: put, Prev: old}}, func(uint64) bool { return true }))
	wantBroken(t, "a key that outlives its session", c.end(nil, func(uint64) bool { return false }))
	failed := &store.TxnResult{Revision: 3, Results: []store.OpResult{{Range: &store.RangeResult{Records: []store.Record{put}, Count: 1}}}}
	wantSound(t, "a compare that fails", c.txn(txn(absent), failed))
	wantSound(t, "a guard that fails", c.txn(txn(other), failed))
	wantBroken(t, "one that should have succeeded", c.txn(txn(newer), failed))
	wantSound(t, "a read at its revision", c.read(2, "key-0", old))
	wantSound(t, "a read of nothing", c.read(2, "key-1", store.Record{}))
	wantBroken(t, "an old value", c.read(3, "key-0", old))
	wantBroken(t, "nothing where there is something", c.read(3, "key-0", store.Record{}))

	for what, x := range map[string]struct {
		txn *store.Txn
		got *store.TxnResult
	}{
		"a compare that was ignored": {txn(absent), answer(old, put)},
		"a guard that was ignored":   {txn(other), answer(old, put)},
		"half of the operations":     {txn(), &store.TxnResult{Succeeded: true, Revision: 3, Results: answer(old).Results[:1]}},
		"another value before":       {txn(), answer(store.Record{}, put)},
		"a range from before":        {txn(), answer(old, old)},
		"a range with nothing in it": {txn(), answer(old)},
	} {
		c := begin(put)
		wantBroken(t, what, c.txn(x.txn, x.got))
	}
	for what, rec := range map[string]store.Record{
		"another value left":   {Key: "key-0", Value: "3", Create: 2, Mod: 3, Version: 2, Session: 9},
		"another owner left":   {Key: "key-0", Value: "2", Create: 2, Mod: 3, Version: 2},
		"another version left": {Key: "key-0", Value: "2", Create: 2, Mod: 3, Version: 1, Session: 9},
		"a put that is lost":   {Key: "key-0", Value: "1", Create: 2, Mod: 2, Version: 1},
		"another key changed":  {Key: "key-1", Value: "2", Create: 3, Mod: 3, Version: 1, Session: 9},
	} {
		c := begin(rec)
		wantBroken(t, what, c.txn(txn(), answer(old, put)))
	}

	// Deletions, and what nobody asked for.
	drop := &store.Txn{Success: []store.Op{{Delete: &store.DeleteOp{Key: "key-0", Prev: true}}}}
	dropped := func(n uint64, prevs ...store.Record) *store.TxnResult {
		return &store.TxnResult{Succeeded: true, Revision: 3, Results: []store.OpResult{{Delete: &store.DeleteResult{Deleted: n, Prevs: prevs}}}}
	}
	gone := store.Event{Deleted: true, Record: store.Record{Key: "key-0", Mod: 3}, Prev: old}
	deleted := func() keyCheck {
		c := begin(old)
		c.changed(&gone)
		return c
	}
	c = deleted()
	wantBroken(t, "a deletion that nobody asked for", c.end([]store.Event{gone}, func(uint64) bool { return false }))
	c = deleted()
	wantSound(t, "a deletion", c.txn(drop, dropped(1, old)))
	wantSound(t, "a deletion's entry", c.end([]store.Event{gone}, func(uint64) bool { return false }))
	wantSound(t, "a deletion of what is gone", c.txn(drop, dropped(0)))
	again := dropped(1, old)
	again.Revision = 4
	wantBroken(t, "a deletion of what is gone that deleted something", c.txn(drop, again))
	c = deleted()
	wantBroken(t, "a deletion without what was there", c.txn(drop, dropped(1)))
	c = begin(put)
	wantBroken(t, "a put that nobody asked for", c.end([]store.Event{{Record: put, Prev: old}}, func(uint64) bool { return true }))
	owned := gone
	owned.Prev.Session = 9
	c = deleted()
	wantSound(t, "a deletion with its session", c.end([]store.Event{owned}, func(uint64) bool { return false }))
	c = deleted()
	wantBroken(t, "one while its session lives", c.end([]store.Event{owned}, func(uint64) bool { return true }))
}
