//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
)

// keyNames is how many keys are in use at a time.
const keyNames = 6

// keep reads and writes keys: alone and several in one transaction, with and
// without conditions, of a session and of nobody.
func (w *worker) keep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	s := w.ensure(ctx)
	if s == nil {
		return
	}
	var by recorder.Transactor = s // exactly once
	if w.rng.IntN(4) == 0 {
		by = w.client // and with an unknown outcome when a connection breaks
	}
	kind := fmt.Sprintf("key%d", w.Group)
	key := named(kind, w.rng.IntN(keyNames))
	put := func(key string) check.KeyOp { return check.KeyOp{Action: check.Put, Key: key, Value: w.value()} }
	get := func(key string) check.KeyOp { return check.KeyOp{Action: check.Get, Key: key} }
	var t check.Txn
	switch w.rng.IntN(16) {
	case 0, 1, 2, 3, 4:
		w.read(ctx, key, "", w.rng.IntN(6) == 0)
		return
	case 5:
		w.read(ctx, named(kind, 0), named(kind, keyNames), false)
		return
	case 6, 7, 8:
		t.Then = []check.KeyOp{put(key)}
	case 9, 10, 11: // swap what was seen last
		t.If = []check.Compare{{Target: check.ValueOf, Is: "=", Key: key, Value: w.seen[key]}}
		if w.seen[key] == "" {
			t.If = []check.Compare{{Target: check.VersionOf, Is: "=", Key: key}}
		}
		t.Then, t.Else = []check.KeyOp{put(key)}, []check.KeyOp{get(key)}
	case 12: // several as a whole
		other := named(kind, w.rng.IntN(keyNames))
		t.Then = []check.KeyOp{get(key), put(key)}
		if other != key {
			t.Then = append(t.Then, put(other), get(other))
		}
	case 13:
		t.Then = []check.KeyOp{{Action: check.Delete, Key: key}}
		by = s
	case 14: // goes with its session
		x := put(named("owned", w.rng.IntN(3)))
		x.Owner = uint64(s.ID())
		t.Then = []check.KeyOp{x}
		by = s
	default: // on several conditions
		other := named(kind, w.rng.IntN(keyNames))
		t.If = []check.Compare{{Target: check.VersionOf, Is: ">", Key: key, Number: 1}, {Target: check.ModOf, Is: "<", Key: other, Number: 1 << 40}}
		t.Then, t.Else = []check.KeyOp{put(key)}, []check.KeyOp{get(key), get(other)}
	}
	result, err := w.calls.Txn(ctx, by, t)
	if err != nil {
		return
	}
	w.grants.Add(1)
	ops := t.Then
	if !result.Succeeded {
		ops = t.Else
	}
	for i, x := range ops {
		switch {
		case x.Action == check.Put:
			w.seen[x.Key] = x.Value
		case x.Action == check.Delete:
			delete(w.seen, x.Key)
		case i < len(result.Results):
			w.saw(x.Key, result.Results[i].Records)
		}
	}
}

func (w *worker) read(ctx context.Context, key, end string, stale bool) {
	records, err := w.calls.Get(ctx, w.client, key, end, stale)
	if err == nil {
		w.grants.Add(1)
		w.saw(key, records)
	}
	if len(w.seen) > 100 { // of epochs that are over
		w.seen = map[string]string{}
	}
}

func (w *worker) saw(key string, records []check.Record) {
	delete(w.seen, key)
	for _, r := range records {
		w.seen[r.Key] = r.Value
	}
}
