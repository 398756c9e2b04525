package recorder

import (
	"context"
	"fmt"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/sdk"
)

// Transactor runs transactions: a client, or a session, which does so exactly once.
type Transactor interface {
	Txn(ctx context.Context, t sdk.Txn) (sdk.TxnResult, error)
}

// Txn runs a transaction.
func (c *Client) Txn(ctx context.Context, by Transactor, t check.Txn) (*check.Result, error) {
	o := check.Operation{Kind: check.Keys, Txn: &t}
	if s, ok := by.(*sdk.Session); ok {
		o.Session = uint64(s.ID())
	}
	_, o, err := c.call(o, func(o *check.Operation) error {
		got, err := by.Txn(ctx, txnOf(&t))
		if err != nil {
			return err
		}
		o.Revision, o.Result = got.Revision, resultOf(&got)
		return nil
	})
	return o.Result, err
}

// Get reads a range alone, which is no entry of the log; stale says that it may
// be answered from an old revision.
func (c *Client) Get(ctx context.Context, client *sdk.Client, key, end string, stale bool) ([]check.Record, error) {
	t := check.Txn{Then: []check.KeyOp{{Action: check.Get, Key: key, End: end}}}
	var out []check.Record
	_, _, err := c.call(check.Operation{Kind: check.Keys, Txn: &t, Stale: stale}, func(o *check.Operation) error {
		var opts []sdk.RangeOption
		if stale {
			opts = append(opts, sdk.Serializable())
		}
		got, err := client.Range(ctx, sdk.KeyRange{Key: key, End: end}, opts...)
		if err != nil {
			return err
		}
		out = recordsOf(got.KVs)
		o.Revision, o.Result = got.Revision, &check.Result{Succeeded: true, Results: []check.KeyResult{{Records: out}}}
		return nil
	})
	return out, err
}

func txnOf(t *check.Txn) sdk.Txn {
	var out sdk.Txn
	for _, c := range t.If {
		out.If = append(out.If, compareOf(c))
	}
	out.Then, out.Else = opsOf(t.Then), opsOf(t.Else)
	return out
}

func compareOf(c check.Compare) sdk.Compare {
	is := map[string]sdk.Is{"=": sdk.Equal, "!=": sdk.NotEqual, "<": sdk.Less, ">": sdk.Greater}[c.Is]
	switch c.Target {
	case check.ValueOf:
		return sdk.ValueIs(c.Key, is, []byte(c.Value))
	case check.VersionOf:
		return sdk.VersionIs(c.Key, is, c.Number)
	case check.CreateOf:
		return sdk.CreateRevisionIs(c.Key, is, c.Number)
	case check.ModOf:
		return sdk.ModRevisionIs(c.Key, is, c.Number)
	case check.OwnerOf:
		return sdk.SessionIs(c.Key, is, sdk.SessionID(c.Number))
	case check.HeldLock:
		return sdk.LockHeld(c.Key, sdk.Token(c.Number))
	}
	panic(fmt.Sprintf("recorder: a compare of %q is not known", c.Target))
}

func opsOf(list []check.KeyOp) []sdk.Op {
	var out []sdk.Op
	for _, x := range list {
		keys := sdk.KeyRange{Key: x.Key, End: x.End}
		switch x.Action {
		case check.Get:
			var opts []sdk.RangeOption
			if x.At != 0 {
				opts = append(opts, sdk.AtRevision(x.At))
			}
			out = append(out, sdk.RangeOp(keys, opts...))
		case check.Put:
			var opts []sdk.PutOption
			if x.Owner != 0 {
				opts = append(opts, sdk.OwnedBy(sdk.SessionID(x.Owner)))
			}
			out = append(out, sdk.PutOp(x.Key, []byte(x.Value), opts...))
		case check.Delete:
			out = append(out, sdk.DeleteOp(keys, false))
		}
	}
	return out
}

func resultOf(t *sdk.TxnResult) *check.Result {
	out := &check.Result{Succeeded: t.Succeeded}
	for _, x := range t.Results {
		var r check.KeyResult
		switch {
		case x.Range != nil:
			r.Records = recordsOf(x.Range.KVs)
		case x.Delete != nil:
			r.Deleted = int(x.Delete.Deleted)
		}
		out.Results = append(out.Results, r)
	}
	return out
}

func recordsOf(list []sdk.KeyValue) []check.Record {
	var out []check.Record
	for _, kv := range list {
		out = append(out, recordOf(kv))
	}
	return out
}

func recordOf(kv sdk.KeyValue) check.Record {
	return check.Record{
		Key: kv.Key, Value: string(kv.Value), Create: kv.CreateRevision, Mod: kv.ModRevision, Version: kv.Version, Session: uint64(kv.Session),
	}
}
