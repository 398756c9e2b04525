package etcdmodel

import (
	"errors"
	"testing"

	"github.com/conch-lock/conch/coordinator/store"
)

// ours is the store, without anything around it.
type ours struct {
	t *testing.T
	s *store.Store
}

func newStore(t *testing.T) *ours {
	s := store.New(store.Options{})
	t.Cleanup(s.Close)
	return &ours{t, s}
}

// do carries out what changes as the state machine does: everything is a
// transaction within a revision.
func (s *ours) do(o op) result {
	s.t.Helper()
	switch o.kind {
	case get:
		r, err := s.s.Range(*storeOp(o).Range)
		if err != nil {
			return s.refusal(err)
		}
		return storeRange(&r, r.Revision)
	case compact:
		tx := s.s.Begin()
		err := tx.Compact(o.rev)
		tx.Commit()
		if err != nil {
			return s.refusal(err)
		}
		return result{revision: s.s.Revision()}
	}
	t := store.Txn{Success: []store.Op{storeOp(o)}}
	if o.kind == nested {
		t = *storeTxn(o.txn)
	}
	tx := s.s.Begin()
	tx.BeginRevision(0)
	r, err := tx.Txn(t)
	revision, _ := tx.EndRevision()
	tx.Commit()
	if err != nil {
		return s.refusal(err)
	}
	out := storeResult(&r)
	if o.kind != nested {
		out = out.results[0]
	}
	out.revision = revision
	return out
}

func storeTxn(t *txn) *store.Txn {
	out := &store.Txn{}
	for _, c := range t.compares {
		out.Compares = append(out.Compares, store.Compare{
			Target: store.Target(c.target), Relation: store.Relation(c.relation), Key: c.key, End: c.end, Value: c.value, Number: c.number,
		})
	}
	for _, o := range t.then {
		out.Success = append(out.Success, storeOp(o))
	}
	for _, o := range t.orElse {
		out.Failure = append(out.Failure, storeOp(o))
	}
	return out
}

func storeOp(o op) store.Op {
	switch o.kind {
	case put:
		return store.Op{Put: &store.PutOp{Key: o.key, Value: []byte(o.value), Prev: o.prev, KeepValue: o.keepValue}}
	case del:
		return store.Op{Delete: &store.DeleteOp{Key: o.key, End: o.end, Prev: o.prev}}
	case nested:
		return store.Op{Txn: storeTxn(o.txn)}
	}
	return store.Op{Range: &store.Query{
		Key: o.key, End: o.end, Revision: o.rev, Limit: o.limit, KeysOnly: o.keysOnly, CountOnly: o.countOnly,
		Order: store.Order(o.order), Descending: o.descending,
		MinMod: o.minMod, MaxMod: o.maxMod, MinCreate: o.minCreate, MaxCreate: o.maxCreate,
	}}
}

func storeResult(r *store.TxnResult) result {
	out := result{succeeded: r.Succeeded}
	for _, one := range r.Results {
		switch {
		case one.Range != nil:
			out.results = append(out.results, storeRange(one.Range, 0))
		case one.Put != nil:
			var prev []store.Record
			if one.Put.Prev.Exists() {
				prev = append(prev, one.Put.Prev)
			}
			out.results = append(out.results, result{kvs: storeKVs(prev)})
		case one.Delete != nil:
			out.results = append(out.results, result{count: one.Delete.Deleted, kvs: storeKVs(one.Delete.Prevs)})
		default:
			out.results = append(out.results, storeResult(one.Txn))
		}
	}
	return out
}

func storeRange(r *store.RangeResult, revision uint64) result {
	return result{revision: revision, count: r.Count, more: r.More, kvs: storeKVs(r.Records)}
}

func storeKVs(all []store.Record) []kv {
	var out []kv
	for _, r := range all {
		out = append(out, kv{r.Key, r.Value, r.Create, r.Mod, r.Version})
	}
	return out
}

func (s *ours) refusal(err error) result {
	s.t.Helper()
	for word, known := range map[string]error{
		compacted: store.ErrCompacted, future: store.ErrFuture, duplicate: store.ErrDuplicateKey, absent: store.ErrKeyNotFound,
		emptyKey: store.ErrKeyBounds, tooMany: store.ErrTooManyOps, tooDeep: store.ErrTooDeep, invalid: store.ErrInvalidOp,
	} {
		if errors.Is(err, known) {
			return result{refused: word}
		}
	}
	s.t.Fatalf("the store answered %v", err)
	return result{}
}
