package etcdmodel

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
	"github.com/conch-lock/conch/sdk"
)

// cell is a cell of real processes, asked over the client library.
type cell struct {
	t *testing.T
	c *sdk.Client
}

// binary is built once.
var binary = sync.OnceValues(func() (string, error) {
	return cluster.Build(context.Background(), binaryDir)
})

func newCell(t *testing.T) *cell {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := cluster.New(cluster.Config{Binary: path, Dir: t.TempDir(), Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nodes.Close)
	if err := nodes.Start(ctx); err != nil {
		t.Fatal(err)
	}
	c, err := sdk.Dial(ctx, sdk.Config{Endpoints: nodes.Endpoints(), Name: "etcdmodel"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &cell{t, c}
}

func (s *cell) do(o op) result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	keys := sdk.KeyRange{Key: o.key, End: o.end}
	switch o.kind {
	case get:
		r, err := s.c.Range(ctx, keys, rangeOptions(o)...)
		if err != nil {
			return s.refusal(err)
		}
		return cellRange(&r, r.Revision)
	case put:
		r, err := s.c.Put(ctx, o.key, []byte(o.value), putOptions(o)...)
		if err != nil {
			return s.refusal(err)
		}
		return cellPut(&r, r.Revision)
	case compact:
		if err := s.c.Compact(ctx, o.rev); err != nil {
			return s.refusal(err)
		}
		status, err := s.c.Status(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		return result{revision: status.Revision}
	}
	t := sdk.Txn{Then: []sdk.Op{cellOp(o)}} // a delete with what was there, which Delete does not tell
	if o.kind == nested {
		t = cellTxn(o.txn)
	}
	r, err := s.c.Txn(ctx, t)
	if err != nil {
		return s.refusal(err)
	}
	out := cellResult(&r)
	if o.kind == del {
		out = out.results[0]
	}
	out.revision = r.Revision
	return out
}

func cellTxn(t *txn) sdk.Txn {
	var out sdk.Txn
	for _, c := range t.compares {
		is := []sdk.Is{sdk.Equal, sdk.Greater, sdk.Less, sdk.NotEqual}[c.relation]
		var made sdk.Compare
		switch c.target {
		case targetValue:
			made = sdk.ValueIs(c.key, is, []byte(c.value))
		case targetVersion:
			made = sdk.VersionIs(c.key, is, c.number)
		case targetCreate:
			made = sdk.CreateRevisionIs(c.key, is, c.number)
		default:
			made = sdk.ModRevisionIs(c.key, is, c.number)
		}
		out.If = append(out.If, made)
	}
	for _, o := range t.then {
		out.Then = append(out.Then, cellOp(o))
	}
	for _, o := range t.orElse {
		out.Else = append(out.Else, cellOp(o))
	}
	return out
}

func cellOp(o op) sdk.Op {
	keys := sdk.KeyRange{Key: o.key, End: o.end}
	switch o.kind {
	case put:
		return sdk.PutOp(o.key, []byte(o.value), putOptions(o)...)
	case del:
		return sdk.DeleteOp(keys, o.prev)
	case nested:
		return sdk.TxnOp(cellTxn(o.txn))
	}
	return sdk.RangeOp(keys, rangeOptions(o)...)
}

func putOptions(o op) []sdk.PutOption {
	var out []sdk.PutOption
	if o.prev {
		out = append(out, sdk.PutPrev())
	}
	if o.keepValue {
		out = append(out, sdk.KeepValue())
	}
	return out
}

func rangeOptions(o op) []sdk.RangeOption {
	out := []sdk.RangeOption{
		sdk.AtRevision(o.rev), sdk.Limit(int(o.limit)), sdk.ModRevisions(o.minMod, o.maxMod), sdk.CreateRevisions(o.minCreate, o.maxCreate),
		sdk.SortBy([]sdk.Order{sdk.ByKey, sdk.ByVersion, sdk.ByCreateRevision, sdk.ByModRevision, sdk.ByValue}[o.order], o.descending),
	}
	if o.keysOnly {
		out = append(out, sdk.KeysOnly())
	}
	if o.countOnly {
		out = append(out, sdk.CountOnly())
	}
	return out
}

func cellResult(r *sdk.TxnResult) result {
	out := result{succeeded: r.Succeeded}
	for _, one := range r.Results {
		switch {
		case one.Range != nil:
			out.results = append(out.results, cellRange(one.Range, 0))
		case one.Put != nil:
			out.results = append(out.results, cellPut(one.Put, 0))
		case one.Delete != nil:
			out.results = append(out.results, result{count: one.Delete.Deleted, kvs: cellKVs(one.Delete.Prevs)})
		default:
			out.results = append(out.results, cellResult(one.Txn))
		}
	}
	return out
}

func cellPut(r *sdk.PutResult, revision uint64) result {
	out := result{revision: revision}
	if r.Prev != nil {
		out.kvs = cellKVs([]sdk.KeyValue{*r.Prev})
	}
	return out
}

func cellRange(r *sdk.RangeResult, revision uint64) result {
	return result{revision: revision, count: r.Count, more: r.More, kvs: cellKVs(r.KVs)}
}

func cellKVs(all []sdk.KeyValue) []kv {
	var out []kv
	for _, k := range all {
		out = append(out, kv{k.Key, string(k.Value), k.CreateRevision, k.ModRevision, k.Version})
	}
	return out
}

// refusal is the word for an error. Over the wire some kinds of refusal share a
// code, and the message alone tells them apart.
func (s *cell) refusal(err error) result {
	s.t.Helper()
	for word, known := range map[string]error{
		compacted: sdk.ErrCompacted, future: sdk.ErrFutureRevision, absent: sdk.ErrNotFound, invalid: sdk.ErrInvalid,
	} {
		if errors.Is(err, known) {
			return result{refused: word}
		}
	}
	s.t.Fatalf("the cell answered %v", err)
	return result{}
}
