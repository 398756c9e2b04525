package sdk

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conch-lock/conch/api"
)

func put(t *testing.T, c *Client, key string) uint64 {
	t.Helper()
	res, err := c.Put(t.Context(), key, []byte("v"))
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	return res.Revision
}

// A watch sees every change once and in order, though its connection breaks
// again and again.
func TestWatchResumes(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		put := func(key string) uint64 { // exactly once, whatever breaks
			res, err := s.Txn(t.Context(), Txn{Then: []Op{PutOp(key, nil)}})
			if err != nil {
				t.Fatalf("Txn: %v", err)
			}
			return res.Revision
		}
		first := put("a/0")
		const n = 60
		done := make(chan error, 1)
		go func() {
			next := 0
			for b, err := range c.Watch(t.Context(), Prefix("a/"), FromRevision(first)) {
				if err != nil {
					done <- err
					return
				}
				for _, e := range b.Events {
					if want := fmt.Sprintf("a/%d", next); e.KV.Key != want {
						done <- fmt.Errorf("got %q, want %q", e.KV.Key, want)
						return
					}
					next++
				}
				if next == n {
					done <- nil
					return
				}
			}
		}()
		for i := 1; i < n; i++ {
			put(fmt.Sprintf("a/%d", i))
			put("b") // not watched
			if i%7 == 0 {
				for e := range f.nodes {
					f.cut(e)
				}
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestWatchFromNowMissesNothingOnceInPlace(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		put(t, c, "a")
		inPlace, events := make(chan struct{}), make(chan Event, 10)
		go func() {
			first := true
			for b, err := range c.Watch(t.Context(), One("a"), WithProgress(), WithPrev()) {
				if err != nil {
					break
				}
				if first {
					close(inPlace)
					first = false
				}
				for _, e := range b.Events {
					events <- e
				}
			}
			close(events)
		}()
		<-inPlace
		for e := range f.nodes { // it changes while nobody is connected
			f.cut(e)
		}
		f.with(func() {
			f.txn(&api.TxnRequest{Success: []*api.Op{{Op: &api.Op_Put{Put: &api.PutOp{Key: []byte("a"), Value: []byte("w")}}}}})
		})
		if e := <-events; string(e.KV.Value) != "w" || e.Prev == nil || string(e.Prev.Value) != "v" {
			t.Errorf("got %+v", e)
		}
		if _, err := c.Delete(t.Context(), One("a")); err != nil {
			t.Fatal(err)
		}
		if e := <-events; !e.Deleted {
			t.Errorf("got %+v, want the deletion", e)
		}
	})
}

func TestWatchTellsOfLaggingAndGoesOn(t *testing.T) {
	world(t, func(c *Config) { c.WatchBuffer = 4 }, func(t *testing.T, f *fakeCell, c *Client) {
		step, seen, lagged := make(chan struct{}), 0, 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			var next uint64 = 2
			for b, err := range c.Watch(t.Context(), Prefix(""), FromRevision(2)) {
				if seen == 0 {
					<-step // slow to begin with
				}
				var e *Error
				switch {
				case errors.Is(err, ErrLagging):
					lagged++
					if !errors.As(err, &e) || e.Revision != next {
						t.Errorf("it is to go on from %+v, want %d", e, next)
					}
					continue
				case err != nil:
					t.Error(err)
					return
				}
				for _, ev := range b.Events {
					if ev.KV.ModRevision != next {
						t.Errorf("revision %d, want %d", ev.KV.ModRevision, next)
					}
					next++
					seen++
				}
				if seen == 20 {
					return
				}
			}
		}()
		for range 20 {
			put(t, c, "a")
		}
		synctest.Wait()
		close(step)
		<-done
		if seen != 20 || lagged == 0 {
			t.Errorf("%d events, lagged %d times", seen, lagged)
		}
	})
}

// A revision too large for one response comes in parts. It is yielded as a
// whole, also when the connection breaks between two parts.
func TestWatchYieldsWholeRevisions(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		f.with(func() { f.partsOf = 2 })
		batches := make(chan Batch, 10)
		go func() {
			for b, err := range c.Watch(t.Context(), Prefix(""), WithProgress()) {
				if err != nil {
					break
				}
				batches <- b
			}
		}()
		<-batches // in place
		f.with(func() { f.breakAfterPart = true })
		s := open(t, c)
		var then []Op
		for i := range 7 {
			then = append(then, PutOp(fmt.Sprint(i), nil))
		}
		if _, err := s.Txn(t.Context(), Txn{Then: then}); err != nil {
			t.Fatal(err)
		}
		b := <-batches
		for len(b.Events) == 0 { // in place again
			b = <-batches
		}
		if len(b.Events) != 7 || b.Revision != b.Events[0].KV.ModRevision {
			t.Errorf("a batch up to revision %d with %d events", b.Revision, len(b.Events))
		}
		synctest.Wait()
		if len(batches) != 0 {
			t.Errorf("and again: %+v", <-batches)
		}
	})
}

func TestLockOf(t *testing.T) {
	value, err := (&api.LockInfo{Name: "job", Token: 7}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := LockOf(KeyValue{Key: "job", Value: value}); err != nil || info.Name != "job" || info.Token != 7 {
		t.Errorf("LockOf = %+v, %v", info, err)
	}
	if _, err := LockOf(KeyValue{Key: "job", Value: []byte("x")}); err == nil {
		t.Error("nonsense is a lock")
	}
}

func TestWatchEndsWithAReason(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		put(t, c, "a")
		f.with(func() { f.compact = 5 })
		var last error
		for _, err := range c.Watch(t.Context(), One("a"), FromRevision(2)) {
			last = err
		}
		want(t, "Watch", last, ErrCompacted)
		for _, err := range c.Watch(within(t, time.Second), One("a")) {
			last = err
		}
		want(t, "Watch", last, context.DeadlineExceeded)
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.watches)+len(c.placed) != 0 {
			t.Error("a watch stays behind")
		}
	})
}

func TestKeys(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		_, err := c.Get(t.Context(), "a")
		want(t, "Get", err, ErrNotFound)
		rev := put(t, c, "a")
		kv, err := c.Get(t.Context(), "a")
		if err != nil || string(kv.Value) != "v" || kv.ModRevision != rev {
			t.Errorf("Get = %+v, %v", kv, err)
		}
		res, err := c.Txn(t.Context(), Txn{
			If:   []Compare{ModRevisionIs("a", Equal, rev+1)},
			Then: []Op{PutOp("a", []byte("no"))},
			Else: []Op{PutOp("b", []byte("yes"))},
		})
		if err != nil || res.Succeeded || len(res.Results) != 1 || res.Results[0].Put == nil {
			t.Errorf("Txn = %+v, %v", res, err)
		}
		all, err := c.Range(t.Context(), Prefix(""))
		if err != nil || len(all.KVs) != 2 || all.Count != 2 {
			t.Errorf("Range = %+v, %v", all, err)
		}
		del, err := c.Delete(t.Context(), Prefix("a"))
		if err != nil || del.Deleted != 1 {
			t.Errorf("Delete = %+v, %v", del, err)
		}
		_, err = c.Put(t.Context(), "big", make([]byte, 5<<20))
		want(t, "Put of 5 MiB", err, ErrInvalid)
	})
}

func TestPrefix(t *testing.T) {
	for prefix, want := range map[string]KeyRange{
		"":         {"\x00", "\x00"},
		"a":        {"a", "b"},
		"a\xff":    {"a\xff", "b"},
		"\xff\xff": {"\xff\xff", "\x00"},
	} {
		if got := Prefix(prefix); got != want {
			t.Errorf("Prefix(%q) = %q, want %q", prefix, got, want)
		}
	}
}
