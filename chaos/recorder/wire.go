package recorder

import (
	"fmt"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/chaos/check"
)

// wireTxn is the transaction of an operation as the wire has it. It knows what a
// Repeater asks for: single keys, and whether they are there.
func wireTxn(o *check.Operation) *api.TxnRequest {
	q := &api.TxnRequest{Session: o.Session, Sequence: o.Sequence, Acked: o.Sequence - 1, Success: wireOps(o.Txn.Then), Failure: wireOps(o.Txn.Else)}
	for _, c := range o.Txn.If {
		if c.Target != check.VersionOf || c.Is != ">" {
			panic(fmt.Sprintf("recorder: a repeater does not compare the %s by %q", c.Target, c.Is))
		}
		q.Compares = append(q.Compares, &api.Compare{Target: api.Compare_VERSION, Result: api.Compare_GREATER, Key: []byte(c.Key), Number: c.Number})
	}
	return q
}

func wireOps(list []check.KeyOp) []*api.Op {
	var out []*api.Op
	for _, x := range list {
		switch x.Action {
		case check.Get:
			out = append(out, &api.Op{Op: &api.Op_Range{Range: &api.RangeRequest{Key: []byte(x.Key)}}})
		case check.Put:
			out = append(out, &api.Op{Op: &api.Op_Put{Put: &api.PutOp{Key: []byte(x.Key), Value: []byte(x.Value)}}})
		case check.Delete:
			out = append(out, &api.Op{Op: &api.Op_Delete{Delete: &api.DeleteOp{Key: []byte(x.Key)}}})
		}
	}
	return out
}

func wireResult(r *api.TxnResponse) *check.Result {
	out := &check.Result{Succeeded: r.GetSucceeded()}
	for _, x := range r.GetResults() {
		y := check.KeyResult{Deleted: int(x.GetDelete().GetDeleted())}
		for _, kv := range x.GetRange().GetKvs() {
			y.Records = append(y.Records, check.Record{
				Key: string(kv.GetKey()), Value: string(kv.GetValue()), Create: kv.GetCreateRevision(), Mod: kv.GetModRevision(),
				Version: kv.GetVersion(), Session: kv.GetSession(),
			})
		}
		out.Results = append(out.Results, y)
	}
	return out
}
