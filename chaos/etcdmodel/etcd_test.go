package etcdmodel

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
)

// etcd is a server of one node in this process.
type etcd struct {
	t *testing.T
	c *clientv3.Client
}

func startEtcd(t *testing.T) *etcd {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir = t.TempDir()
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	cfg.UnsafeNoFsync = true // it is asked what it does, not whether it keeps it
	anywhere := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.ListenClientUrls, cfg.ListenPeerUrls = anywhere, anywhere
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(time.Minute):
		t.Fatal("etcd is not ready")
	}
	c := v3client.New(server.Server)
	t.Cleanup(func() { _ = c.Close() })
	return &etcd{t, c}
}

func (e *etcd) do(o op) result {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 30*time.Second)
	defer cancel()
	if o.kind == compact {
		r, err := e.c.Compact(ctx, int64(o.rev))
		if err != nil {
			return e.refusal(err)
		}
		return result{revision: uint64(r.Header.Revision)}
	}
	if o.kind == nested {
		r, err := e.c.Txn(ctx).If(etcdCompares(o.txn)...).Then(etcdOps(o.txn.then)...).Else(etcdOps(o.txn.orElse)...).Commit()
		if err != nil {
			return e.refusal(err)
		}
		out := e.txn((*etcdserverpb.TxnResponse)(r))
		out.revision = uint64(r.Header.Revision)
		return out
	}
	r, err := e.c.Do(ctx, etcdOp(o))
	if err != nil {
		return e.refusal(err)
	}
	switch o.kind {
	case put:
		return etcdPut((*etcdserverpb.PutResponse)(r.Put()), uint64(r.Put().Header.Revision))
	case del:
		return etcdDelete((*etcdserverpb.DeleteRangeResponse)(r.Del()), uint64(r.Del().Header.Revision))
	}
	return etcdRange((*etcdserverpb.RangeResponse)(r.Get()), uint64(r.Get().Header.Revision))
}

func etcdOps(all []op) []clientv3.Op {
	var out []clientv3.Op
	for _, o := range all {
		out = append(out, etcdOp(o))
	}
	return out
}

func etcdOp(o op) clientv3.Op {
	var opts []clientv3.OpOption
	add := func(when bool, opt clientv3.OpOption) {
		if when {
			opts = append(opts, opt)
		}
	}
	switch o.kind {
	case put:
		add(o.prev, clientv3.WithPrevKV())
		add(o.keepValue, clientv3.WithIgnoreValue())
		return clientv3.OpPut(o.key, o.value, opts...)
	case del:
		add(o.end != "", clientv3.WithRange(o.end))
		add(o.prev, clientv3.WithPrevKV())
		return clientv3.OpDelete(o.key, opts...)
	case nested:
		return clientv3.OpTxn(etcdCompares(o.txn), etcdOps(o.txn.then), etcdOps(o.txn.orElse))
	}
	add(o.end != "", clientv3.WithRange(o.end))
	add(o.rev != 0, clientv3.WithRev(int64(o.rev)))
	add(o.limit != 0, clientv3.WithLimit(int64(o.limit)))
	add(o.keysOnly, clientv3.WithKeysOnly())
	add(o.countOnly, clientv3.WithCountOnly())
	add(o.minMod != 0, clientv3.WithMinModRev(int64(o.minMod)))
	add(o.maxMod != 0, clientv3.WithMaxModRev(int64(o.maxMod)))
	add(o.minCreate != 0, clientv3.WithMinCreateRev(int64(o.minCreate)))
	add(o.maxCreate != 0, clientv3.WithMaxCreateRev(int64(o.maxCreate)))
	target := []clientv3.SortTarget{clientv3.SortByKey, clientv3.SortByVersion, clientv3.SortByCreateRevision, clientv3.SortByModRevision, clientv3.SortByValue}[o.order]
	direction := clientv3.SortAscend
	if o.descending {
		direction = clientv3.SortDescend
	}
	add(o.order != 0 || o.descending, clientv3.WithSort(target, direction))
	return clientv3.OpGet(o.key, opts...)
}

func etcdCompares(t *txn) []clientv3.Cmp {
	var out []clientv3.Cmp
	for _, c := range t.compares {
		relation := []string{"=", ">", "<", "!="}[c.relation]
		var made clientv3.Cmp
		switch c.target {
		case targetValue:
			made = clientv3.Compare(clientv3.Value(c.key), relation, c.value)
		case targetVersion:
			made = clientv3.Compare(clientv3.Version(c.key), relation, int64(c.number))
		case targetCreate:
			made = clientv3.Compare(clientv3.CreateRevision(c.key), relation, int64(c.number))
		default:
			made = clientv3.Compare(clientv3.ModRevision(c.key), relation, int64(c.number))
		}
		if c.end != "" {
			made = made.WithRange(c.end)
		}
		out = append(out, made)
	}
	return out
}

func (e *etcd) txn(r *etcdserverpb.TxnResponse) result {
	out := result{succeeded: r.Succeeded}
	for _, one := range r.Responses {
		switch {
		case one.GetResponsePut() != nil:
			out.results = append(out.results, etcdPut(one.GetResponsePut(), 0))
		case one.GetResponseDeleteRange() != nil:
			out.results = append(out.results, etcdDelete(one.GetResponseDeleteRange(), 0))
		case one.GetResponseRange() != nil:
			out.results = append(out.results, etcdRange(one.GetResponseRange(), 0))
		case one.GetResponseTxn() != nil:
			out.results = append(out.results, e.txn(one.GetResponseTxn()))
		default:
			e.t.Fatalf("etcd answered %v", one)
		}
	}
	return out
}

func etcdPut(r *etcdserverpb.PutResponse, revision uint64) result {
	out := result{revision: revision}
	if r.PrevKv != nil {
		out.kvs = etcdKVs([]*mvccpb.KeyValue{r.PrevKv})
	}
	return out
}

func etcdDelete(r *etcdserverpb.DeleteRangeResponse, revision uint64) result {
	return result{revision: revision, count: uint64(r.Deleted), kvs: etcdKVs(r.PrevKvs)}
}

func etcdRange(r *etcdserverpb.RangeResponse, revision uint64) result {
	return result{revision: revision, count: uint64(r.Count), more: r.More, kvs: etcdKVs(r.Kvs)}
}

func etcdKVs(all []*mvccpb.KeyValue) []kv {
	var out []kv
	for _, k := range all {
		out = append(out, kv{string(k.Key), string(k.Value), uint64(k.CreateRevision), uint64(k.ModRevision), uint64(k.Version)})
	}
	return out
}

// refusal is the word for an error of etcd. What is not foreseen ends the test.
func (e *etcd) refusal(err error) result {
	e.t.Helper()
	for word, known := range map[string][]error{
		compacted: {rpctypes.ErrCompacted, rpctypes.ErrGRPCCompacted},
		future:    {rpctypes.ErrFutureRev, rpctypes.ErrGRPCFutureRev},
		duplicate: {rpctypes.ErrDuplicateKey, rpctypes.ErrGRPCDuplicateKey},
		absent:    {rpctypes.ErrKeyNotFound, rpctypes.ErrGRPCKeyNotFound},
		emptyKey:  {rpctypes.ErrEmptyKey, rpctypes.ErrGRPCEmptyKey},
		tooMany:   {rpctypes.ErrTooManyOps, rpctypes.ErrGRPCTooManyOps},
		invalid:   {rpctypes.ErrValueProvided, rpctypes.ErrGRPCValueProvided},
	} {
		for _, k := range known {
			if errors.Is(err, k) || err.Error() == k.Error() {
				return result{refused: word}
			}
		}
	}
	e.t.Fatalf("etcd answered %v (%T)", err, err)
	return result{}
}
