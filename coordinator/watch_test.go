package coordinator

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/store"
)

func watchKeys(key, end string, from uint64) *api.WatchRequest {
	return &api.WatchRequest{Key: []byte(key), RangeEnd: []byte(end), FromRevision: from}
}

func (c *client) watch(q *api.WatchRequest) uint64 {
	c.t.Helper()
	id := c.send(&api.Request{Op: &api.Request_Watch{Watch: q}})
	if r := c.answer(id); !r.GetWatch().GetStarted() {
		c.t.Fatalf("watch: %v", r)
	}
	return id
}

// events gathers n events of a watch.
func (c *client) events(id uint64, n int) (list []*api.WatchEvent) {
	c.t.Helper()
	for len(list) < n {
		r := c.answer(id)
		if r.GetError() != nil {
			c.t.Fatalf("watch ended after %d of %d events: %v", len(list), n, r.GetError())
		}
		list = append(list, r.GetWatch().GetEvents()...)
	}
	return list
}

func checkValues(t *testing.T, list []*api.WatchEvent, first int) {
	t.Helper()
	for i, e := range list {
		if want := fmt.Sprint(first + i); string(e.GetKv().GetValue()) != want {
			t.Fatalf("event %d has the value %q, want %q", i, e.GetKv().GetValue(), want)
		}
	}
}

func TestWatch(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	first := a.put("k", "0")
	for i := 1; i < 10; i++ {
		a.put("k", fmt.Sprint(i))
	}
	past := a.watch(watchKeys("k", "", first))
	live := a.watch(watchKeys("a", "z", 0))
	next := a.watch(watchKeys("k", "", first+10))
	checkValues(t, a.events(past, 10), 0)
	prev := a.watch(&api.WatchRequest{Key: []byte("k"), Prev: true, NoPut: true})
	for i := 10; i < 15; i++ {
		a.put("k", fmt.Sprint(i))
	}
	checkValues(t, a.events(past, 5), 10)
	checkValues(t, a.events(live, 5), 10)
	checkValues(t, a.events(next, 5), 10)
	// Deletes, values before, filters.
	a.must(&api.Request{Op: &api.Request_Txn{Txn: &api.TxnRequest{Success: []*api.Op{{Op: &api.Op_Delete{Delete: &api.DeleteOp{Key: []byte("k")}}}}}}})
	e := a.events(prev, 1)[0]
	if !e.GetDeleted() || string(e.GetPrev().GetValue()) != "14" || e.GetUnixMs() == 0 {
		t.Errorf("delete: %v", e)
	}
	// A watch that was cancelled tells nothing any more.
	a.call(&api.Request{Op: &api.Request_CancelWatch{CancelWatch: &api.CancelWatchRequest{Watch: live}}})
	a.put("k", "15")
	a.events(past, 2)
	a.mu.Lock()
	for _, r := range a.answers[live] {
		for _, e := range r.GetWatch().GetEvents() {
			if string(e.GetKv().GetValue()) == "15" {
				t.Errorf("a cancelled watch told %v", e)
			}
		}
	}
	a.mu.Unlock()
	// History that is gone is said to be gone.
	a.must(&api.Request{Op: &api.Request_Compact{Compact: &api.CompactRequest{Revision: first + 5}}})
	r := a.call(&api.Request{Op: &api.Request_Watch{Watch: watchKeys("k", "", first)}})
	if e := r.GetError(); e.GetCode() != api.Code_COMPACTED || e.GetRevision() != first+5 {
		t.Errorf("watch from compacted history: %v", r)
	}
}

func TestWatchLocks(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	w := a.watch(&api.WatchRequest{Space: api.Space_LOCKS, Key: []byte("x")})
	session := a.open(time.Minute)
	grant := a.granted(session, 1, "x")
	a.release(session, 2, "x", grant.GetToken())
	list := a.events(w, 2)
	var held, free api.LockInfo
	if err := held.UnmarshalVT(list[0].GetKv().GetValue()); err != nil {
		t.Fatal(err)
	}
	if err := free.UnmarshalVT(list[1].GetKv().GetValue()); err != nil {
		t.Fatal(err)
	}
	if held.GetName() != "x" || len(held.GetHolders()) != 1 || held.GetHolders()[0].GetSession() != session {
		t.Errorf("held: %v", &held)
	}
	if len(free.GetHolders()) != 0 || len(free.GetEnded()) != 1 || free.GetEnded()[0].GetEnded() != api.EndReason_END_RELEASED {
		t.Errorf("free: %v", &free)
	}
	// The same as a key of the space, read.
	kvs := a.must(&api.Request{Op: &api.Request_Range{Range: &api.RangeRequest{Space: api.Space_LOCKS, Key: []byte("x")}}}).GetRange().GetKvs()
	if len(kvs) != 1 || !bytes.Equal(kvs[0].GetValue(), list[1].GetKv().GetValue()) {
		t.Errorf("range: %v", kvs)
	}
}

func TestManyWatches(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	const n = 2000
	first := a.put("k0", "0")
	var ids []uint64
	var reqs []*api.Request
	for i := range n {
		a.id++
		ids = append(ids, a.id)
		q := watchKeys(fmt.Sprintf("k%d", i), "", 0)
		if i%2 == 1 {
			q = watchKeys("k0", "", first)
		}
		reqs = append(reqs, &api.Request{Id: a.id, Op: &api.Request_Watch{Watch: q}})
	}
	for len(reqs) > 0 {
		k := min(len(reqs), 1000)
		if err := a.stream.Send(&api.ClientFrames{Requests: reqs[:k]}); err != nil {
			t.Fatal(err)
		}
		reqs = reqs[k:]
	}
	for _, id := range ids {
		if r := a.answer(id); !r.GetWatch().GetStarted() {
			t.Fatalf("watch %d: %v", id, r)
		}
	}
	a.put("k0", "1")
	for i, id := range ids {
		if i%2 == 1 {
			checkValues(t, a.events(id, 2), 0)
		}
	}
	checkValues(t, a.events(ids[0], 1), 1)
}

// TestWatchOverLeaderChange watches at a follower while the leader is killed:
// nothing is missing and nothing comes twice.
func TestWatchOverLeaderChange(t *testing.T) {
	c := newCluster(t, 3, nil)
	leader, follower := c.leader(), c.follower()
	a := connect(t, c.address(follower))
	w := a.watch(watchKeys("k", "", 1))
	const n = 60
	for i := range n {
		if i == n/2 {
			c.kill(leader)
		}
		for {
			r := a.call(putRequest("k", fmt.Sprint(i)))
			if r.GetError() == nil {
				break
			}
			// It may have happened: the same value once more would be seen twice.
			got := a.must(&api.Request{Op: &api.Request_Range{Range: &api.RangeRequest{Key: []byte("k")}}}).GetRange().GetKvs()
			if len(got) == 1 && string(got[0].GetValue()) == fmt.Sprint(i) {
				break
			}
		}
	}
	checkValues(t, a.events(w, n), 0)
}

func TestWatchFromTheFuture(t *testing.T) {
	c := newCluster(t, 3, nil)
	a := connect(t, c.address(0))
	newest := a.put("k", "1")
	for i := range 3 { // a node that is late for that revision does not refuse the next one
		b := connect(t, c.address(i))
		b.watch(watchKeys("k", "", newest+1))
		r := b.answer(b.send(&api.Request{Op: &api.Request_Watch{Watch: watchKeys("k", "", newest+2)}}))
		if e := r.GetError(); e.GetCode() != api.Code_FUTURE_REVISION || !e.GetDefinite() || e.GetRevision() != newest {
			t.Errorf("node %d, a watch from revision %d of %d: %v", i, newest+2, newest, r)
		}
	}
}

// A watch that has gone through the history says so at once, also when it wanted
// nothing of it: whoever reads the history of a key waits for that.
func TestWatchTellsTheEndOfTheHistory(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	first := a.put("k", "0")
	newest := a.put("other", "1")
	began := time.Now()
	for range 4 { // four in less than the interval of progress: none of them waited for it
		id := a.watch(&api.WatchRequest{Key: []byte("nobody"), FromRevision: first, Progress: true})
		if r := a.answer(id); r.GetWatch().GetRevision() != newest {
			t.Fatalf("after the history: %v, want revision %d", r, newest)
		}
	}
	if took := time.Since(began); took >= progressEvery {
		t.Errorf("four watches told the end of their history after %v altogether", took)
	}
}

// A quiet watch is told how far it is before the history from where it was is
// gone: its client has missed nothing, and can go on on another connection.
func TestWatchGoesOnAfterACompaction(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	began := time.Now()
	for try := range 4 { // four in less than the interval of progress: none of them waited for it
		id := a.watch(&api.WatchRequest{Space: api.Space_ELECTIONS, Key: []byte("quiet"), Progress: true})
		newest := uint64(0)
		for i := range 10 {
			newest = a.put("other", fmt.Sprint(try, i))
		}
		a.must(&api.Request{Op: &api.Request_Compact{Compact: &api.CompactRequest{Revision: newest}}})
		r := a.answer(id)
		if r.GetWatch().GetRevision() != newest {
			t.Fatalf("after the compaction: %v, want revision %d", r, newest)
		}
		b := connect(t, c.address(0))
		b.watch(&api.WatchRequest{Space: api.Space_ELECTIONS, Key: []byte("quiet"), FromRevision: r.GetWatch().GetRevision() + 1})
	}
	if took := time.Since(began); took >= progressEvery {
		t.Errorf("four watches were told after %v altogether", took)
	}
}

// TestWatchesOf: the live watches that are looked at for a change are all that want
// it, whether they are of a key, of a prefix or of another range; and those of other
// prefixes, of which there may be thousands, are not looked at.
func TestWatchesOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte("ab\xff")), 0, 4), func(b []byte) string { return string(b) })
		ws := newWatches()
		var live []*watch
		for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
			if len(live) > 0 && rapid.IntRange(0, 3).Draw(t, "end") == 0 {
				n := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				ws.dim(live[n])
				live = slices.Delete(live, n, n+1)
			}
			w := &watch{id: uint64(i), space: store.Space(rapid.IntRange(0, 1).Draw(t, "space")), key: text.Draw(t, "key")}
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				w.end, w.prefix = prefixEnd(w.key), true
			case 1:
				w.end = w.key + text.Draw(t, "end of the range") + "b"
			}
			ws.live(w)
			live = append(live, w)

			e := &store.Event{Space: store.Space(rapid.IntRange(0, 1).Draw(t, "space of the event")), Record: store.Record{Key: text.Draw(t, "changed")}}
			looked := map[*watch]int{}
			ws.of(e, func(w *watch) { looked[w]++ })
			for _, w := range live {
				n, other := looked[w], w.end != "" && !w.prefix
				if n > 1 || n == 0 && w.wants(e) || n == 1 && !w.wants(e) && !other {
					t.Fatalf("%+v and a change of %q: looked at %d times", w, e.Record.Key, n)
				}
				delete(looked, w)
			}
			if len(looked) > 0 {
				t.Fatalf("%d that are not live", len(looked))
			}
		}
		for _, w := range live {
			ws.dim(w)
		}
		if len(ws.byKey)+len(ws.byPrefix)+len(ws.lengths)+len(ws.ranges) > 0 {
			t.Fatalf("left: %+v", ws)
		}
	})
}
