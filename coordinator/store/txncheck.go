package store

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// checkTxn checks a transaction as it is written, whatever the state.
func checkTxn(txn *Txn) error {
	ops := 0
	if err := checkShape(txn, 1, &ops); err != nil {
		return err
	}
	for _, branch := range [][]Op{txn.Success, txn.Failure} {
		if _, err := checkWrites(branch); err != nil {
			return err
		}
	}
	return nil
}

// checkShape checks each compare and operation by itself, and their number.
func checkShape(txn *Txn, depth int, ops *int) error {
	if depth > MaxDepth {
		return fmt.Errorf("%w: at most %d levels are allowed", ErrTooDeep, MaxDepth)
	}
	*ops += len(txn.Compares) + len(txn.Success) + len(txn.Failure)
	if *ops > MaxOps {
		return fmt.Errorf("%d or more: %w: at most %d are allowed, compares and nested ones included", *ops, ErrTooManyOps, MaxOps)
	}
	for i := range txn.Compares {
		if err := txn.Compares[i].check(); err != nil {
			return fmt.Errorf("compare %d: %w", i, err)
		}
	}
	for _, branch := range [][]Op{txn.Success, txn.Failure} {
		for i := range branch {
			if err := branch[i].check(depth, ops); err != nil {
				return fmt.Errorf("operation %d: %w", i, err)
			}
		}
	}
	return nil
}

func (c *Compare) check() error {
	if c.Target >= targets || c.Relation >= relations {
		return fmt.Errorf("target %d, relation %d: %w: targets are 0 to %d, relations 0 to %d", c.Target, c.Relation, ErrInvalidOp, targets-1, relations-1)
	}
	if c.Target == TargetHeldLock && (c.Relation == Greater || c.Relation == Less || c.End != "") {
		return fmt.Errorf("lock %q: %w: a lock is compared by equal or not equal, and no range of locks", c.Key, ErrInvalidOp)
	}
	return checkSpan(c.Key, c.End)
}

// matches says whether the relation holds for a record.
func (c *Compare) matches(r Record) bool {
	var order int
	switch c.Target {
	case TargetValue:
		order = strings.Compare(r.Value, c.Value)
	case TargetVersion:
		order = cmp.Compare(r.Version, c.Number)
	case TargetCreate:
		order = cmp.Compare(r.Create, c.Number)
	case TargetMod:
		order = cmp.Compare(r.Mod, c.Number)
	case TargetSession:
		order = cmp.Compare(r.Session, c.Number)
	}
	switch c.Relation {
	case Equal:
		return order == 0
	case Greater:
		return order > 0
	case Less:
		return order < 0
	default:
		return order != 0
	}
}

func (op *Op) check(depth int, ops *int) error {
	set := 0
	for _, is := range []bool{op.Range != nil, op.Put != nil, op.Delete != nil, op.Txn != nil} {
		if is {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("%w: it is %d of range, put, delete and txn, and must be one", ErrInvalidOp, set)
	}
	switch {
	case op.Range != nil:
		if op.Range.Order >= orders {
			return fmt.Errorf("order %d: %w: orders are 0 to %d", op.Range.Order, ErrInvalidOp, orders-1)
		}
		if err := checkSpace(op.Range.Space); err != nil {
			return err
		}
		return checkSpan(op.Range.Key, op.Range.End)
	case op.Put != nil:
		return op.Put.check()
	case op.Delete != nil:
		return checkSpan(op.Delete.Key, op.Delete.End)
	default:
		return checkShape(op.Txn, depth+1, ops)
	}
}

func (op *PutOp) check() error {
	if op.KeepValue && len(op.Value) > 0 {
		return fmt.Errorf("put of key %q: %w: a value and to keep the value", op.Key, ErrInvalidOp)
	}
	if op.KeepSession && op.Session != 0 {
		return fmt.Errorf("put of key %q: %w: a session and to keep the session", op.Key, ErrInvalidOp)
	}
	return checkWrite(Keys, op.Key, len(op.Value))
}

// writes are the keys that a list of operations may put, whichever way nested
// transactions go, and the ranges that it may delete.
type writes struct {
	puts map[string]struct{}
	dels []*DeleteOp
}

// put notes a key, unless it is written already.
func (w *writes) put(key string, except map[string]struct{}) error {
	_, twice := w.puts[key]
	if _, fine := except[key]; fine {
		twice = false
	}
	for _, d := range w.dels {
		twice = twice || within(key, d.Key, d.End)
	}
	if twice {
		return fmt.Errorf("key %q: %w: it is put once, and not also deleted", key, ErrDuplicateKey)
	}
	w.puts[key] = struct{}{}
	return nil
}

// putAll notes keys in their order, so that the one refused is always the same.
func (w *writes) putAll(keys, except map[string]struct{}) error {
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if err := w.put(key, except); err != nil {
			return err
		}
	}
	return nil
}

// checkWrites refuses what etcd refuses: a key that is put twice, or put and
// also deleted by an operation of the same list or, for a nested transaction,
// of one before it.
func checkWrites(ops []Op) (writes, error) {
	w := writes{puts: map[string]struct{}{}}
	// 1. Deletes of this level.
	for _, op := range ops {
		if op.Delete != nil {
			w.dels = append(w.dels, op.Delete)
		}
	}
	// 2. What nested ones write. Both ways of one may put the same key: only
	// one is gone.
	for _, op := range ops {
		if op.Txn == nil {
			continue
		}
		success, err := checkWrites(op.Txn.Success)
		if err != nil {
			return w, err
		}
		failure, err := checkWrites(op.Txn.Failure)
		if err != nil {
			return w, err
		}
		if err := w.putAll(success.puts, nil); err != nil {
			return w, err
		}
		if err := w.putAll(failure.puts, success.puts); err != nil {
			return w, err
		}
		w.dels = append(append(w.dels, success.dels...), failure.dels...)
	}
	// 3. Puts of this level.
	for _, op := range ops {
		if op.Put != nil {
			if err := w.put(op.Put.Key, nil); err != nil {
				return w, err
			}
		}
	}
	return w, nil
}
