package coordinator

import (
	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
)

// Bounds of the answer to a range.
const (
	maxRangeBytes   = 2 << 20
	maxRangeRecords = 65_536
)

// prepareRange checks a range. A serializable one is read at once.
func (l *loop) prepareRange(c *call, q *api.RangeRequest) (item, *api.Error) {
	query, e := queryOf(q)
	if e != nil {
		return item{}, e
	}
	if q.GetSerializable() {
		return item{call: c, run: func() { l.rangeKeys(c, query) }}, nil
	}
	return item{call: c, run: func() { l.reading(c, func() { l.rangeKeys(c, query) }) }}, nil
}

// queryOf checks a range and spells it for the store.
func queryOf(q *api.RangeRequest) (store.Query, *api.Error) {
	if e := checkSpace(q.GetSpace()); e != nil {
		return store.Query{}, e
	}
	if e := checkSpan(q.GetKey(), q.GetRangeEnd()); e != nil {
		return store.Query{}, e
	}
	if o := q.GetOrder(); o < api.Order_ORDER_KEY || o > api.Order_ORDER_VALUE {
		return store.Query{}, invalid("order: %d is not known: 0 (key) to 4 (value) are", o)
	}
	return store.Query{
		Space: store.Space(q.GetSpace()), Key: string(q.GetKey()), End: string(q.GetRangeEnd()),
		Revision: q.GetRevision(), Limit: q.GetLimit(),
		KeysOnly: q.GetKeysOnly(), CountOnly: q.GetCountOnly(),
		Order: store.Order(q.GetOrder()), Descending: q.GetDescending(),
		MinMod: q.GetMinModRevision(), MaxMod: q.GetMaxModRevision(),
		MinCreate: q.GetMinCreateRevision(), MaxCreate: q.GetMaxCreateRevision(),
	}, nil
}

func (l *loop) rangeKeys(c *call, q store.Query) {
	s := l.machine().Store()
	limit := q.Limit
	if limit == 0 || limit > maxRangeRecords {
		q.Limit = maxRangeRecords
	}
	found, err := s.Range(q)
	if err != nil {
		l.refuse(c, readError(s, err))
		return
	}
	r := &api.RangeResponse{More: found.More, Count: found.Count, Revision: found.Revision}
	size := 0
	for _, rec := range found.Records {
		kv := l.keyValue(q.Space, rec)
		if size += kv.SizeVT() + 8; size > maxRangeBytes && len(r.Kvs) > 0 {
			r.More = true
			break
		}
		r.Kvs = append(r.Kvs, kv)
	}
	l.reply(c, &api.Response{Result: &api.Response_Range{Range: r}})
}

// keyValue is a record as a client is told: in the space of locks its value is
// an encoded LockInfo, in that of elections an ElectionInfo.
func (l *loop) keyValue(space store.Space, rec store.Record) *api.KeyValue {
	kv := keyValueOf(rec)
	switch {
	case rec.Value == "":
	case space == store.Locks:
		kv.Value = l.lockValue(rec)
	case space == store.Elections:
		kv.Value = l.electionValue(rec)
	}
	return kv
}

func keyValueOf(rec store.Record) *api.KeyValue {
	kv := &api.KeyValue{
		Key: []byte(rec.Key), CreateRevision: rec.Create, ModRevision: rec.Mod,
		Version: rec.Version, Session: rec.Session,
	}
	if rec.Value != "" {
		kv.Value = []byte(rec.Value)
	}
	return kv
}

// prepareTxn checks a transaction.
func prepareTxn(c *call, q *api.TxnRequest) (item, *api.Error) {
	if (q.GetSession() == 0) != (q.GetSequence() == 0) {
		return item{}, invalid("session %d and sequence %d: a transaction has both or none", q.GetSession(), q.GetSequence())
	}
	ops := 0
	t, e := storeTxn(q, 1, &ops)
	if e != nil {
		return item{}, e
	}
	if err := store.CheckTxn(&t); err != nil {
		return item{}, invalid("%v", err)
	}
	return item{call: c, op: &machine.Txn{Request: requestOf(q), Txn: t}}, nil
}

func storeTxn(q *api.TxnRequest, depth int, ops *int) (t store.Txn, e *api.Error) {
	if depth > store.MaxDepth {
		return t, invalid("transactions nested more than %d deep, which is the limit", store.MaxDepth)
	}
	*ops += len(q.GetCompares()) + len(q.GetSuccess()) + len(q.GetFailure())
	if *ops > store.MaxOps {
		return t, invalid("a transaction with %d compares and operations or more: at most %d are allowed", *ops, store.MaxOps)
	}
	for i, x := range q.GetCompares() {
		if x.GetTarget() < api.Compare_VALUE || x.GetTarget() > api.Compare_HELD_LOCK ||
			x.GetResult() < api.Compare_EQUAL || x.GetResult() > api.Compare_NOT_EQUAL {
			return t, invalid("compares[%d]: target %d, result %d: targets are 0 to 5 and results 0 to 3", i, x.GetTarget(), x.GetResult())
		}
		t.Compares = append(t.Compares, store.Compare{
			Target: store.Target(x.GetTarget()), Relation: store.Relation(x.GetResult()),
			Key: string(x.GetKey()), End: string(x.GetRangeEnd()), Value: string(x.GetValue()), Number: x.GetNumber(),
		})
	}
	if t.Success, e = storeOps(q.GetSuccess(), depth, ops); e != nil {
		return t, e
	}
	t.Failure, e = storeOps(q.GetFailure(), depth, ops)
	return t, e
}

func storeOps(list []*api.Op, depth int, ops *int) ([]store.Op, *api.Error) {
	var out []store.Op
	for i, x := range list {
		var op store.Op
		switch x := x.GetOp().(type) {
		case *api.Op_Range:
			query, e := queryOf(x.Range)
			if e != nil {
				return nil, e
			}
			op.Range = &query
		case *api.Op_Put:
			p := x.Put
			op.Put = &store.PutOp{
				Key: string(p.GetKey()), Value: p.GetValue(), Session: p.GetSession(),
				Prev: p.GetPrev(), KeepValue: p.GetKeepValue(), KeepSession: p.GetKeepSession(),
			}
		case *api.Op_Delete:
			d := x.Delete
			op.Delete = &store.DeleteOp{Key: string(d.GetKey()), End: string(d.GetRangeEnd()), Prev: d.GetPrev()}
		case *api.Op_Txn:
			nested, e := storeTxn(x.Txn, depth+1, ops)
			if e != nil {
				return nil, e
			}
			op.Txn = &nested
		default:
			return nil, invalid("operation %d: it is none of range, put, delete and txn", i)
		}
		out = append(out, op)
	}
	return out, nil
}

// txnOf is the result of a transaction as a client is told.
func (l *loop) txnOf(t *store.Txn, result *store.TxnResult) *api.TxnResponse {
	if result == nil {
		return &api.TxnResponse{}
	}
	ops := t.Failure
	if result.Succeeded {
		ops = t.Success
	}
	r := &api.TxnResponse{Succeeded: result.Succeeded, Revision: result.Revision}
	for i := range result.Results {
		var op store.Op
		if i < len(ops) { // a repeated transaction may be another one than the first
			op = ops[i]
		}
		r.Results = append(r.Results, l.opOf(op, &result.Results[i]))
	}
	return r
}

func (l *loop) opOf(op store.Op, x *store.OpResult) *api.OpResult {
	switch {
	case x.Range != nil:
		var space store.Space
		if op.Range != nil {
			space = op.Range.Space
		}
		r := &api.RangeResponse{More: x.Range.More, Count: x.Range.Count, Revision: x.Range.Revision}
		for _, rec := range x.Range.Records {
			r.Kvs = append(r.Kvs, l.keyValue(space, rec))
		}
		return &api.OpResult{Result: &api.OpResult_Range{Range: r}}
	case x.Put != nil:
		p := &api.PutResult{}
		if x.Put.Prev.Exists() {
			p.Prev = keyValueOf(x.Put.Prev)
		}
		return &api.OpResult{Result: &api.OpResult_Put{Put: p}}
	case x.Delete != nil:
		d := &api.DeleteResult{Deleted: x.Delete.Deleted}
		for _, rec := range x.Delete.Prevs {
			d.Prevs = append(d.Prevs, keyValueOf(rec))
		}
		return &api.OpResult{Result: &api.OpResult_Delete{Delete: d}}
	case x.Txn != nil:
		var nested store.Txn
		if op.Txn != nil {
			nested = *op.Txn
		}
		return &api.OpResult{Result: &api.OpResult_Txn{Txn: l.txnOf(&nested, x.Txn)}}
	}
	return &api.OpResult{}
}
