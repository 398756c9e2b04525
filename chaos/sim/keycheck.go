package sim

import (
	"fmt"
	"slices"

	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
)

// keyCheck is the specification of keys, written anew: what a transaction finds,
// decides, answers and leaves. It knows each key and each lock as the revisions
// left them, and holds the transactions of an entry against that.
type keyCheck struct {
	keys  map[string][]store.Record // as revisions left them, in order; an absent one has a Mod alone
	held  map[locks.Name][]holding
	made  map[uint64]bool // revisions of this entry that are transactions' doing
	began uint64          // the revision before this entry
}

// holding is who holds a lock from a revision on.
type holding struct {
	at     uint64
	tokens []locks.Token
}

func newKeyCheck() keyCheck {
	return keyCheck{keys: map[string][]store.Record{}, held: map[locks.Name][]holding{}, made: map[uint64]bool{}}
}

// changed notes what a revision made of a key.
func (c *keyCheck) changed(e *store.Event) {
	rec := e.Record
	if e.Deleted {
		rec = store.Record{Mod: e.Revision()}
	}
	c.keys[e.Record.Key] = append(c.keys[e.Record.Key], rec)
}

// lock notes who holds a lock since a revision.
func (c *keyCheck) lock(n locks.Name, at uint64, r locks.Record) {
	h := holding{at: at}
	for _, x := range r.Holders {
		h.tokens = append(h.tokens, x.Token)
	}
	list := c.held[n]
	if i := len(list) - 1; i > 0 && list[i].at <= c.began {
		list = append(list[:0], list[i]) // nobody asks for those before
	}
	c.held[n] = append(list, h)
}

// at is the key at a revision, the zero Record when it is absent.
func (c *keyCheck) at(revision uint64, key string) store.Record {
	list := c.keys[key]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Mod <= revision {
			if list[i].Version == 0 {
				return store.Record{}
			}
			return list[i]
		}
	}
	return store.Record{}
}

// read judges what somebody read of a key at a revision.
func (c *keyCheck) read(revision uint64, key string, rec store.Record) error {
	if was := c.at(revision, key); was != rec {
		return fmt.Errorf("at revision %d it is said to be %+v, and it was %+v", revision, rec, was)
	}
	return nil
}

// holds says whether a lock was held with a token at a revision.
func (c *keyCheck) holds(revision uint64, n locks.Name, token locks.Token) bool {
	list := c.held[n]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].at <= revision {
			return slices.Contains(list[i].tokens, token)
		}
	}
	return false
}

// compare evaluates a compare at a revision.
func (c *keyCheck) compare(revision uint64, x store.Compare) bool {
	var is uint64
	switch rec := c.at(revision, x.Key); x.Target {
	case store.TargetHeldLock:
		return c.holds(revision, locks.Name(x.Key), locks.Token(x.Number)) == (x.Relation == store.Equal)
	case store.TargetVersion:
		is = rec.Version
	case store.TargetMod:
		is = rec.Mod
	}
	switch x.Relation {
	case store.Equal:
		return is == x.Number
	case store.Greater:
		return is > x.Number
	}
	panic(fmt.Sprintf("no client makes the compare %+v", x))
}

// txn judges a transaction by its answer and by what its revision changed.
func (c *keyCheck) txn(t *store.Txn, got *store.TxnResult) error {
	ops := t.Failure
	if got.Succeeded {
		ops = t.Success
	}
	if len(got.Results) != len(ops) {
		return fmt.Errorf("%d operations were to be done, %d were answered", len(ops), len(got.Results))
	}
	now, before := got.Revision, got.Revision
	for i, op := range ops {
		if op.Put != nil || op.Delete != nil && got.Results[i].Delete.Deleted > 0 {
			before = now - 1
		}
	}
	holds := !slices.ContainsFunc(t.Compares, func(x store.Compare) bool { return !c.compare(before, x) })
	if holds != got.Succeeded {
		return fmt.Errorf("its compares are %v at revision %d, and it was answered that they are %v", holds, before, got.Succeeded)
	}
	left := map[string]store.Record{} // what it changed
	find := func(key string) store.Record {
		if rec, ok := left[key]; ok {
			return rec
		}
		return c.at(before, key)
	}
	for i, op := range ops {
		if err := c.operation(op, got.Results[i], now, find, left); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
	}
	if before == now {
		return nil
	}
	if c.made[now] {
		return fmt.Errorf("another one made revision %d, too", now)
	}
	c.made[now] = true
	for key := range c.keys {
		is, want := c.at(now, key), find(key)
		if _, touched := left[key]; !touched {
			want = c.at(before, key)
		}
		if is != want {
			return fmt.Errorf("revision %d leaves key %q as %+v, want %+v", now, key, is, want)
		}
	}
	return nil
}

// operation does one operation and judges its answer.
func (c *keyCheck) operation(op store.Op, got store.OpResult, now uint64, find func(string) store.Record, left map[string]store.Record) error {
	switch {
	case op.Put != nil:
		was := find(op.Put.Key)
		rec := store.Record{Key: op.Put.Key, Value: string(op.Put.Value), Create: was.Create, Mod: now, Version: was.Version + 1, Session: op.Put.Session}
		if !was.Exists() {
			rec.Create = now
		}
		left[op.Put.Key] = rec
		if !op.Put.Prev {
			was = store.Record{}
		}
		if got.Put.Prev != was {
			return fmt.Errorf("before the put there was %+v, want %+v", got.Put.Prev, was)
		}
	case op.Delete != nil:
		was := find(op.Delete.Key)
		if (got.Delete.Deleted == 1) != was.Exists() || got.Delete.Deleted > 1 || was.Exists() && (len(got.Delete.Prevs) != 1 || got.Delete.Prevs[0] != was) {
			return fmt.Errorf("deleted were %+v, want %+v", got.Delete, was)
		}
		if was.Exists() {
			left[op.Delete.Key] = store.Record{}
		}
	case op.Range != nil:
		var want []store.Record
		for _, key := range keyNames {
			if key == op.Range.Key || op.Range.End != "" && key >= op.Range.Key && key < op.Range.End {
				if rec := find(key); rec.Exists() {
					want = append(want, rec)
				}
			}
		}
		if !slices.Equal(got.Range.Records, want) || got.Range.Count != uint64(len(want)) {
			return fmt.Errorf("found were %+v, want %+v", got.Range, want)
		}
	}
	return nil
}

// end ends an entry: what no transaction did is the deletion of the keys of
// sessions that are over, and no such session has any left.
func (c *keyCheck) end(events []store.Event, open func(session uint64) bool) error {
	for i := range events {
		e := &events[i]
		if e.Space == store.Keys && !c.made[e.Revision()] && (!e.Deleted || e.Prev.Session == 0 || open(e.Prev.Session)) {
			return fmt.Errorf("revision %d changed key %q, and nobody asked for that", e.Revision(), e.Record.Key)
		}
		c.began = e.Revision()
	}
	for key, list := range c.keys {
		if rec := list[len(list)-1]; rec.Session != 0 && !open(rec.Session) {
			return fmt.Errorf("key %q of session %d, which is over, is still there", key, rec.Session)
		}
	}
	clear(c.made)
	return nil
}
