package sdk

import (
	"context"

	"github.com/conch-lock/conch/api"
)

// Txn runs Then when every compare holds and Else otherwise, in one revision:
// at most 128 compares and operations in all, nested at most 4 deep. Together
// they look at 1,048,576 records at most, return 2 MiB of them (a record has 32
// bytes more than its key and value), and delete 65,536 records of 64 MiB; past
// that ErrLimitReached, and nothing has happened.
type Txn struct {
	If   []Compare
	Then []Op
	Else []Op
}

// Compare is a condition on keys or on a lock. Make it with the functions of
// this file.
type Compare struct{ wire *api.Compare }

// Is is how a Compare compares what is stored with what is given.
type Is int

// The comparisons.
const (
	Equal Is = iota
	Greater
	Less
	NotEqual
)

// ValueIs compares the value of a key.
func ValueIs(key string, is Is, value []byte) Compare {
	return Compare{&api.Compare{Target: api.Compare_VALUE, Result: api.Compare_Result(is), Key: []byte(key), Value: value}}
}

// VersionIs compares the version of a key; 0: there is none.
func VersionIs(key string, is Is, n uint64) Compare {
	return number(api.Compare_VERSION, key, is, n)
}

// CreateRevisionIs compares the revision that created a key; 0: there is none.
func CreateRevisionIs(key string, is Is, n uint64) Compare {
	return number(api.Compare_CREATE, key, is, n)
}

// ModRevisionIs compares the revision that changed a key last; 0: there is none.
func ModRevisionIs(key string, is Is, n uint64) Compare {
	return number(api.Compare_MOD, key, is, n)
}

// SessionIs compares the owner of a key; 0: nobody.
func SessionIs(key string, is Is, id SessionID) Compare {
	return number(api.Compare_SESSION, key, is, uint64(id))
}

// LockHeld holds while token is a current grant of the lock, so that a write
// to the cell can be fenced in the cell itself.
func LockHeld(lock string, token Token) Compare {
	return number(api.Compare_HELD_LOCK, lock, Equal, uint64(token))
}

func number(target api.Compare_Target, key string, is Is, n uint64) Compare {
	return Compare{&api.Compare{Target: target, Result: api.Compare_Result(is), Key: []byte(key), Number: n}}
}

// Op is one operation of a transaction. Make it with the functions of this file.
type Op struct{ wire *api.Op }

// RangeOp reads.
func RangeOp(keys KeyRange, opts ...RangeOption) Op {
	return Op{&api.Op{Op: &api.Op_Range{Range: rangeRequest(keys, opts)}}}
}

// PutOp writes a key.
func PutOp(key string, value []byte, opts ...PutOption) Op {
	put := &api.PutOp{Key: []byte(key), Value: value}
	for _, o := range opts {
		o(put)
	}
	return Op{&api.Op{Op: &api.Op_Put{Put: put}}}
}

// DeleteOp deletes a range; with prev the result has what was deleted.
func DeleteOp(keys KeyRange, prev bool) Op {
	return Op{&api.Op{Op: &api.Op_Delete{Delete: &api.DeleteOp{Key: []byte(keys.Key), RangeEnd: []byte(keys.End), Prev: prev}}}}
}

// TxnOp nests a transaction.
func TxnOp(t Txn) Op { return Op{&api.Op{Op: &api.Op_Txn{Txn: t.request()}}} }

// TxnResult tells which branch ran and the result of each of its operations.
type TxnResult struct {
	Succeeded bool // the compares held
	Results   []OpResult
	Revision  uint64
}

// OpResult is the result of one operation: exactly one field is set.
type OpResult struct {
	Range  *RangeResult
	Put    *PutResult
	Delete *DeleteResult
	Txn    *TxnResult
}

// Txn runs a transaction. ErrUnknownOutcome: the connection broke before the
// answer, and it was not repeated; Session.Txn is exactly-once.
func (c *Client) Txn(ctx context.Context, t Txn) (TxnResult, error) { return c.txn(ctx, "txn", "", t) }

func (c *Client) txn(ctx context.Context, op, name string, t Txn) (TxnResult, error) {
	req := t.request()
	req.Cell = c.cfg.Cell
	resp, err := c.call(ctx, op, name, &api.Request{Op: &api.Request_Txn{Txn: req}}, once)
	if err != nil {
		return TxnResult{}, err
	}
	return txnResultOf(resp.GetTxn()), nil
}

func (t Txn) request() *api.TxnRequest {
	req := &api.TxnRequest{}
	for _, c := range t.If {
		req.Compares = append(req.Compares, c.wire)
	}
	for _, o := range t.Then {
		req.Success = append(req.Success, o.wire)
	}
	for _, o := range t.Else {
		req.Failure = append(req.Failure, o.wire)
	}
	return req
}

func txnResultOf(r *api.TxnResponse) TxnResult {
	out := TxnResult{Succeeded: r.GetSucceeded(), Revision: r.GetRevision(), Results: make([]OpResult, 0, len(r.GetResults()))}
	for _, x := range r.GetResults() {
		var res OpResult
		switch {
		case x.GetRange() != nil:
			v := rangeResultOf(x.GetRange())
			res.Range = &v
		case x.GetPut() != nil:
			res.Put = &PutResult{Revision: out.Revision, Prev: keyValuePtr(x.GetPut().GetPrev())}
		case x.GetDelete() != nil:
			v := DeleteResult{Revision: out.Revision, Deleted: x.GetDelete().GetDeleted()}
			for _, kv := range x.GetDelete().GetPrevs() {
				v.Prevs = append(v.Prevs, keyValueOf(kv))
			}
			res.Delete = &v
		case x.GetTxn() != nil:
			v := txnResultOf(x.GetTxn())
			res.Txn = &v
		}
		out.Results = append(out.Results, res)
	}
	return out
}

// Txn runs a transaction exactly once: when its answer is lost it is repeated
// by its number. When the context ends first the outcome is unknown to the
// caller, and the transaction is not withdrawn.
func (s *Session) Txn(ctx context.Context, t Txn) (TxnResult, error) { return s.txn(ctx, "txn", "", t) }

func (s *Session) txn(ctx context.Context, op, name string, t Txn) (TxnResult, error) {
	resp, err := s.command(ctx, op, shorten(name), s.check, func(seq, acked uint64) *api.Request {
		req := t.request()
		req.Cell, req.Session, req.Sequence, req.Acked = s.c.cfg.Cell, uint64(s.id), seq, acked
		return &api.Request{Op: &api.Request_Txn{Txn: req}}
	}, nil)
	return txnResultOf(resp.GetTxn()), err
}
