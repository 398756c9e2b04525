package sdk

import (
	"context"
)

// Condition is what CompareAndSwap and CompareAndDelete ask of a key first. Make
// it with the functions of this file.
type Condition struct{ compare func(key string) Compare }

// IfAbsent holds while there is no such key.
func IfAbsent() Condition { return IfVersion(0) }

// IfVersion holds while the key has that version; 0: there is none.
func IfVersion(n uint64) Condition {
	return Condition{func(key string) Compare { return VersionIs(key, Equal, n) }}
}

// IfModRevision holds while that revision changed the key last; 0: there is none.
func IfModRevision(rev uint64) Condition {
	return Condition{func(key string) Compare { return ModRevisionIs(key, Equal, rev) }}
}

// IfValue holds while the key has that value; it does not when there is no such
// key, whatever the value.
func IfValue(value []byte) Condition {
	return Condition{func(key string) Compare { return ValueIs(key, Equal, value) }}
}

// Swap is the outcome of a CompareAndSwap or CompareAndDelete.
type Swap struct {
	Done     bool      // the condition held, and it was written or deleted
	Revision uint64    // of the cell after it
	Now      *KeyValue // not Done: the key as it is; nil: there is none
}

// CompareAndSwap writes a key if the condition holds, in one step of the cell.
// That it does not hold is no error: Swap says so, and how the key is.
// ErrUnknownOutcome as for Put.
func (c *Client) CompareAndSwap(ctx context.Context, key string, is Condition, value []byte, opts ...PutOption) (Swap, error) {
	return swapOf(c.txn(ctx, "compare and swap", key, is.then(key, PutOp(key, value, opts...))))
}

// CompareAndDelete deletes a key if the condition holds, likewise.
func (c *Client) CompareAndDelete(ctx context.Context, key string, is Condition) (Swap, error) {
	return swapOf(c.txn(ctx, "compare and delete", key, is.then(key, DeleteOp(One(key), false))))
}

// CompareAndSwap is that of Client, exactly once; see [Session.Txn].
func (s *Session) CompareAndSwap(ctx context.Context, key string, is Condition, value []byte, opts ...PutOption) (Swap, error) {
	return swapOf(s.txn(ctx, "compare and swap", key, is.then(key, PutOp(key, value, opts...))))
}

// CompareAndDelete is that of Client, exactly once; see [Session.Txn].
func (s *Session) CompareAndDelete(ctx context.Context, key string, is Condition) (Swap, error) {
	return swapOf(s.txn(ctx, "compare and delete", key, is.then(key, DeleteOp(One(key), false))))
}

// then is the transaction that does op, and otherwise reads the key.
func (is Condition) then(key string, op Op) Txn {
	return Txn{If: []Compare{is.compare(key)}, Then: []Op{op}, Else: []Op{RangeOp(One(key))}}
}

func swapOf(r TxnResult, err error) (Swap, error) {
	if err != nil {
		return Swap{}, err
	}
	out := Swap{Done: r.Succeeded, Revision: r.Revision}
	if !out.Done && len(r.Results) == 1 && r.Results[0].Range != nil && len(r.Results[0].Range.KVs) == 1 {
		out.Now = &r.Results[0].Range.KVs[0]
	}
	return out, nil
}
