package store

import (
	"fmt"

	"github.com/conch-lock/conch/internal/planted"
)

// Target is what a Compare looks at. The numbers are those of the wire.
type Target uint8

const (
	TargetValue Target = iota
	TargetVersion
	TargetCreate
	TargetMod
	TargetSession
	TargetHeldLock // whether the lock named Key is held with the token Number

	targets
)

// Relation is what a Compare asks for: the record's is Equal to, Greater than,
// Less than or NotEqual to the given one. A held lock knows Equal (it is held)
// and NotEqual (it is not) alone.
type Relation uint8

const (
	Equal Relation = iota
	Greater
	Less
	NotEqual

	relations
)

// Compare is a condition on a key of the Keys space, on every key of a range,
// or on a lock. An absent key has zero for all numbers, and no comparison of
// its value holds.
type Compare struct {
	Target   Target
	Relation Relation
	Key, End string // as in a Query
	Value    string // with TargetValue
	Number   uint64 // with all others
}

// PutOp writes a key of the Keys space.
type PutOp struct {
	Key         string
	Value       []byte
	Session     uint64 // owner, 0: nobody
	Prev        bool   // tell the record as it was before
	KeepValue   bool   // leave the value as it is; the key exists
	KeepSession bool   // leave the owner as it is; the key exists
}

// DeleteOp deletes a key of the Keys space or a range of keys.
type DeleteOp struct {
	Key, End string // as in a Query
	Prev     bool   // tell the records as they were before
}

// Op is one operation; exactly one field is set.
type Op struct {
	Range  *Query
	Put    *PutOp
	Delete *DeleteOp
	Txn    *Txn
}

// Txn does what Success says if all Compares hold, else what Failure says.
// Compares, those of nested transactions too, see the state as it was before
// the outermost began; the operations see what those before them did.
type Txn struct {
	Compares []Compare
	Success  []Op
	Failure  []Op

	// Held answers TargetHeldLock; nil: no lock is held. Of the outermost alone.
	Held func(lock string, token uint64) bool
	// Alive says whether a session that is to own a key exists; nil: all do. Of
	// the outermost alone.
	Alive func(session uint64) bool
}

// TxnResult tells which way a transaction went and what each operation did.
type TxnResult struct {
	Succeeded bool
	Results   []OpResult
	Revision  uint64 // of the store when it was done
}

// OpResult answers an Op; the field of the same name is set.
type OpResult struct {
	Range  *RangeResult
	Put    *PutResult
	Delete *DeleteResult
	Txn    *TxnResult
}

// PutResult answers a PutOp.
type PutResult struct {
	Prev Record // if asked for
}

// DeleteResult answers a DeleteOp.
type DeleteResult struct {
	Deleted uint64
	Prevs   []Record // if asked for
}

// Txn carries out a transaction within a revision. Everything that can be
// refused is refused before the first write: on an error nothing has happened.
// Errors: ErrTooManyOps, ErrTooDeep, ErrInvalidOp, ErrKeyBounds,
// ErrValueBounds, ErrSpace and ErrDuplicateKey for what it is, whichever way
// it would have gone; ErrKeyNotFound (to keep the value or owner of an absent
// key), ErrSessionAbsent, ErrFuture, ErrCompacted and ErrTooLarge (past MaxVisited,
// MaxReturned, MaxDeleted or MaxDropped) for what it meets.
func (t *Tx) Txn(txn Txn) (TxnResult, error) {
	if err := checkTxn(&txn); err != nil {
		return TxnResult{}, fmt.Errorf("txn: %w", err)
	}
	b := budget{t: t}
	way, err := t.choose(&b, &txn, &txn)
	if err == nil && b.exhaustible() {
		err = b.weigh(&txn, way)
	}
	if err != nil {
		return TxnResult{}, fmt.Errorf("txn: %w", err)
	}
	if planted.On(planted.FailedCompareCounts) && !way.succeeded {
		t.allocate()
	}
	return t.carryOut(&txn, way), nil
}

// way is how a transaction goes, and those nested in the operations chosen, in
// their order.
type way struct {
	succeeded bool
	nested    []way
}

func (w way) ops(txn *Txn) []Op {
	if w.succeeded {
		return txn.Success
	}
	return txn.Failure
}

// choose evaluates the compares and checks what will be carried out against
// the present state.
func (t *Tx) choose(b *budget, root, txn *Txn) (way, error) {
	w := way{succeeded: true}
	for i := range txn.Compares {
		holds := t.holds(b, root, &txn.Compares[i])
		if err := b.check(); err != nil {
			return way{}, fmt.Errorf("compare %d: %w", i, err)
		}
		if !holds && !planted.On(planted.CompareIgnored) {
			w.succeeded = false
			break
		}
	}
	for i, op := range w.ops(txn) {
		b.note(&op)
		var err error
		switch {
		case op.Range != nil:
			err = t.s.checkQuery(*op.Range)
		case op.Put != nil:
			err = t.checkPut(root, op.Put)
		case op.Txn != nil:
			var n way
			n, err = t.choose(b, root, op.Txn)
			w.nested = append(w.nested, n)
		}
		if err != nil {
			return way{}, fmt.Errorf("operation %d: %w", i, err)
		}
	}
	return w, nil
}

// checkPut checks what a put needs to find.
func (t *Tx) checkPut(root *Txn, op *PutOp) error {
	if op.KeepValue || op.KeepSession {
		if _, ok := t.Get(Keys, op.Key); !ok {
			return fmt.Errorf("keep the value or session of key %q: %w", op.Key, ErrKeyNotFound)
		}
	}
	if op.Session != 0 && root.Alive != nil && !root.Alive(op.Session) {
		return fmt.Errorf("session %d for key %q: %w", op.Session, op.Key, ErrSessionAbsent)
	}
	return nil
}

// holds evaluates a compare.
func (t *Tx) holds(b *budget, root *Txn, c *Compare) bool {
	if c.Target == TargetHeldLock {
		held := root.Held != nil && root.Held(c.Key, c.Number)
		return held == (c.Relation == Equal)
	}
	found, all := false, true
	t.s.visit(Query{Key: c.Key, End: c.End}, func(r Record) bool {
		found = true
		all = c.matches(r)
		return b.look() && all
	})
	if !found {
		return c.Target != TargetValue && c.matches(Record{})
	}
	return all
}

// carryOut does what was chosen.
func (t *Tx) carryOut(txn *Txn, w way) TxnResult {
	result := TxnResult{Succeeded: w.succeeded}
	for _, op := range w.ops(txn) {
		var r OpResult
		switch {
		case op.Range != nil:
			found, err := t.s.Range(*op.Range)
			if err != nil {
				panic(fmt.Sprintf("store: a range that was checked is refused: %v", err))
			}
			r.Range = &found
		case op.Put != nil:
			r.Put = t.carryOutPut(op.Put)
		case op.Delete != nil:
			prevs := t.DeleteRange(Keys, op.Delete.Key, op.Delete.End)
			r.Delete = &DeleteResult{Deleted: uint64(len(prevs))}
			if op.Delete.Prev {
				r.Delete.Prevs = prevs
			}
		case op.Txn != nil:
			nested := t.carryOut(op.Txn, w.nested[0])
			w.nested = w.nested[1:]
			r.Txn = &nested
		}
		result.Results = append(result.Results, r)
		if planted.On(planted.TxnHalfDone) {
			break
		}
	}
	result.Revision = t.s.revision
	return result
}

func (t *Tx) carryOutPut(op *PutOp) *PutResult {
	value, session := op.Value, op.Session
	if op.KeepValue || op.KeepSession {
		// It existed when the transaction began, and no operation of it deletes
		// a key that it puts; should it be gone after all, it is put anew.
		now, _ := t.Get(Keys, op.Key)
		if op.KeepValue {
			value = []byte(now.Value)
		}
		if op.KeepSession {
			session = now.Session
		}
	}
	prev := t.put(Keys, op.Key, value, session)
	if !op.Prev {
		prev = Record{}
	}
	return &PutResult{Prev: prev}
}

// DeleteRange deletes the records of a key or range, as a Query names it, and
// returns them in the order of their keys.
func (t *Tx) DeleteRange(space Space, key, end string) []Record {
	if end == "" {
		if r := t.Delete(space, key); r.Exists() {
			return []Record{r}
		}
		return nil
	}
	var found []Record
	t.s.visit(Query{Space: space, Key: key, End: end}, func(r Record) bool {
		found = append(found, r)
		return true
	})
	for _, r := range found {
		t.Delete(space, r.Key)
	}
	return found
}
