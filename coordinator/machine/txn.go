package machine

import (
	"errors"
	"fmt"

	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/record"
	"github.com/conch-lock/conch/sessions"
)

// Txn is a transaction on keys. With a session and sequence it is exactly-once.
type Txn struct {
	Request
	Txn store.Txn
}

func (*Txn) kind() byte { return kindTxn }

func (o *Txn) append(b []byte) []byte { return appendTxn(o.Request.append(b), &o.Txn) }

func (o *Txn) read(r *record.Reader) {
	o.Request.read(r)
	left := store.MaxOps
	o.Txn = readTxn(r, 1, &left)
}

func (o *Txn) check() error {
	if (o.Session == 0) != (o.Sequence == 0) {
		return fmt.Errorf("session %d and sequence %d: a transaction has both or none", o.Session, o.Sequence)
	}
	return store.CheckTxn(&o.Txn)
}

func (m *Machine) txn(o *Txn) Reply {
	if o.Session == 0 {
		return m.doTxn(o)
	}
	return m.once(o.Request, false, func() Reply { return m.doTxn(o) })
}

func (m *Machine) doTxn(o *Txn) Reply {
	if m.store.Full() && grows(o.Txn.Success, o.Txn.Failure) {
		p, _ := m.full()
		return p
	}
	t := o.Txn
	t.Held = func(lock string, token uint64) bool {
		// A token is of one grant, so a lock and an election may share a name.
		n, t := locks.Name(lock), locks.Token(token)
		return m.locks.Held(n, t) != nil || m.elections.Leading(n, t) != nil
	}
	t.Alive = func(id uint64) bool { return m.sessions.Get(sessions.ID(id)) != nil }
	m.tx.BeginRevision(m.millis)
	result, err := m.tx.Txn(t)
	m.tx.EndRevision()
	switch {
	case err == nil:
		result.Revision = m.store.Revision()
		return Reply{Revision: result.Revision, Txn: &result}
	case errors.Is(err, store.ErrSessionAbsent):
		return refuse(SessionNotFound, err)
	case errors.Is(err, store.ErrKeyNotFound):
		return refuse(NotFound, err)
	case errors.Is(err, store.ErrCompacted):
		return refuse(Compacted, err)
	case errors.Is(err, store.ErrFuture):
		return refuse(FutureRevision, err)
	case errors.Is(err, store.ErrTooLarge):
		return refuse(LimitReached, err)
	}
	return refuse(InvalidArgument, err)
}

// grows says whether operations may put something.
func grows(lists ...[]store.Op) bool {
	for _, ops := range lists {
		for _, op := range ops {
			if op.Put != nil || op.Txn != nil && grows(op.Txn.Success, op.Txn.Failure) {
				return true
			}
		}
	}
	return false
}

func appendTxn(b []byte, t *store.Txn) []byte {
	b = record.AppendUint(b, uint64(len(t.Compares)))
	for _, c := range t.Compares {
		b = append(b, byte(c.Target), byte(c.Relation))
		b = record.AppendString(b, c.Key)
		b = record.AppendString(b, c.End)
		b = record.AppendString(b, c.Value)
		b = record.AppendUint(b, c.Number)
	}
	for _, ops := range [2][]store.Op{t.Success, t.Failure} {
		b = record.AppendUint(b, uint64(len(ops)))
		for i := range ops {
			b = appendOp(b, &ops[i])
		}
	}
	return b
}

// The kinds of operations within a transaction.
const (
	opRange byte = iota + 1
	opPut
	opDelete
	opTxn
)

func appendOp(b []byte, op *store.Op) []byte {
	switch {
	case op.Range != nil:
		q := op.Range
		b = append(b, opRange, byte(q.Space))
		b = record.AppendString(b, q.Key)
		b = record.AppendString(b, q.End)
		b = record.AppendUint(b, q.Revision)
		b = record.AppendUint(b, q.Limit)
		b = record.AppendBool(b, q.KeysOnly)
		b = record.AppendBool(b, q.CountOnly)
		b = record.AppendBool(b, q.NoCount)
		b = append(b, byte(q.Order))
		b = record.AppendBool(b, q.Descending)
		b = record.AppendUint(b, q.MinMod)
		b = record.AppendUint(b, q.MaxMod)
		b = record.AppendUint(b, q.MinCreate)
		b = record.AppendUint(b, q.MaxCreate)
	case op.Put != nil:
		p := op.Put
		b = append(b, opPut)
		b = record.AppendString(b, p.Key)
		b = record.AppendString(b, p.Value)
		b = record.AppendUint(b, p.Session)
		b = record.AppendBool(b, p.Prev)
		b = record.AppendBool(b, p.KeepValue)
		b = record.AppendBool(b, p.KeepSession)
	case op.Delete != nil:
		d := op.Delete
		b = append(b, opDelete)
		b = record.AppendString(b, d.Key)
		b = record.AppendString(b, d.End)
		b = record.AppendBool(b, d.Prev)
	case op.Txn != nil:
		b = appendTxn(append(b, opTxn), op.Txn)
	default:
		b = append(b, 0)
	}
	return b
}

// readTxn reads a transaction of at most *left compares and operations.
func readTxn(r *record.Reader, depth int, left *int) (t store.Txn) {
	if depth > store.MaxDepth {
		r.Fail("transactions nested more than %d deep", store.MaxDepth)
		return t
	}
	count := func() int {
		n := r.Count()
		if *left -= n; *left < 0 {
			r.Fail("more than %d compares and operations", store.MaxOps)
			return 0
		}
		return n
	}
	for range count() {
		t.Compares = append(t.Compares, store.Compare{
			Target: store.Target(r.Byte()), Relation: store.Relation(r.Byte()),
			Key: r.String(), End: r.String(), Value: r.String(), Number: r.Uint(),
		})
		if r.Err() != nil {
			return t
		}
	}
	for _, ops := range [2]*[]store.Op{&t.Success, &t.Failure} {
		for range count() {
			*ops = append(*ops, readOp(r, depth, left))
			if r.Err() != nil {
				return t
			}
		}
	}
	return t
}

func readOp(r *record.Reader, depth int, left *int) (op store.Op) {
	switch kind := r.Byte(); kind {
	case opRange:
		q := &store.Query{Space: store.Space(r.Byte()), Key: r.String(), End: r.String()}
		q.Revision, q.Limit = r.Uint(), r.Uint()
		q.KeysOnly, q.CountOnly, q.NoCount = r.Bool(), r.Bool(), r.Bool()
		q.Order, q.Descending = store.Order(r.Byte()), r.Bool()
		q.MinMod, q.MaxMod, q.MinCreate, q.MaxCreate = r.Uint(), r.Uint(), r.Uint(), r.Uint()
		op.Range = q
	case opPut:
		p := &store.PutOp{Key: r.String(), Value: append([]byte(nil), r.Bytes()...), Session: r.Uint()}
		p.Prev, p.KeepValue, p.KeepSession = r.Bool(), r.Bool(), r.Bool()
		op.Put = p
	case opDelete:
		op.Delete = &store.DeleteOp{Key: r.String(), End: r.String(), Prev: r.Bool()}
	case opTxn:
		nested := readTxn(r, depth+1, left)
		op.Txn = &nested
	default:
		r.Fail("operation kind %d is not known", kind)
	}
	return op
}

func appendTxnResult(b []byte, t *store.TxnResult) []byte {
	b = record.AppendBool(b, t.Succeeded)
	b = record.AppendUint(b, t.Revision)
	b = record.AppendUint(b, uint64(len(t.Results)))
	for _, x := range t.Results {
		switch {
		case x.Range != nil:
			b = append(b, opRange)
			b = record.AppendUint(b, x.Range.Count)
			b = record.AppendBool(b, x.Range.More)
			b = record.AppendUint(b, x.Range.Revision)
			b = appendRecords(b, x.Range.Records)
		case x.Put != nil:
			b = appendRecords(append(b, opPut), []store.Record{x.Put.Prev})
		case x.Delete != nil:
			b = append(b, opDelete)
			b = record.AppendUint(b, x.Delete.Deleted)
			b = appendRecords(b, x.Delete.Prevs)
		case x.Txn != nil:
			b = appendTxnResult(append(b, opTxn), x.Txn)
		default:
			b = append(b, 0)
		}
	}
	return b
}

// atLeast is a size that a result does not fall short of when it is spelled.
func atLeast(t *store.TxnResult) (size int) {
	add := func(l []store.Record) {
		for i := range l {
			size += len(l[i].Key) + len(l[i].Value) + 6 // a byte for each length and number
		}
	}
	for _, x := range t.Results {
		switch {
		case x.Range != nil:
			add(x.Range.Records)
		case x.Put != nil:
			size += len(x.Put.Prev.Key) + len(x.Put.Prev.Value)
		case x.Delete != nil:
			add(x.Delete.Prevs)
		case x.Txn != nil:
			size += atLeast(x.Txn)
		}
	}
	return size
}

func appendRecords(b []byte, l []store.Record) []byte {
	b = record.AppendUint(b, uint64(len(l)))
	for _, x := range l {
		b = record.AppendString(b, x.Key)
		b = record.AppendString(b, x.Value)
		b = record.AppendUint(b, x.Create)
		b = record.AppendUint(b, x.Mod)
		b = record.AppendUint(b, x.Version)
		b = record.AppendUint(b, x.Session)
	}
	return b
}

func readRecords(r *record.Reader) (l []store.Record) {
	for range r.Count() {
		l = append(l, store.Record{
			Key: r.String(), Value: r.String(),
			Create: r.Uint(), Mod: r.Uint(), Version: r.Uint(), Session: r.Uint(),
		})
		if r.Err() != nil {
			return nil
		}
	}
	return l
}

func readTxnResult(r *record.Reader, depth int) *store.TxnResult {
	t := &store.TxnResult{Succeeded: r.Bool(), Revision: r.Uint()}
	if depth > store.MaxDepth {
		r.Fail("results nested more than %d deep", store.MaxDepth)
		return t
	}
	for range r.Count() {
		var x store.OpResult
		switch kind := r.Byte(); kind {
		case opRange:
			x.Range = &store.RangeResult{Count: r.Uint(), More: r.Bool(), Revision: r.Uint()}
			x.Range.Records = readRecords(r)
		case opPut:
			x.Put = &store.PutResult{}
			if l := readRecords(r); len(l) == 1 {
				x.Put.Prev = l[0]
			}
		case opDelete:
			x.Delete = &store.DeleteResult{Deleted: r.Uint()}
			x.Delete.Prevs = readRecords(r)
		case opTxn:
			x.Txn = readTxnResult(r, depth+1)
		default:
			r.Fail("result kind %d is not known", kind)
		}
		if r.Err() != nil {
			break
		}
		t.Results = append(t.Results, x)
	}
	return t
}
