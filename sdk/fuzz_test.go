package sdk

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conch-lock/conch/api"
)

// seedAnswers are answers of every kind, and what a server tells by itself.
func seedAnswers() []*api.Response {
	kv := &api.KeyValue{Key: []byte("k"), Value: []byte("v"), CreateRevision: 1, ModRevision: 2, Version: 1}
	results := []*api.OpResult{{Result: &api.OpResult_Range{Range: &api.RangeResponse{Kvs: []*api.KeyValue{kv}}}},
		{Result: &api.OpResult_Put{Put: &api.PutResult{Prev: kv}}}, {Result: &api.OpResult_Txn{Txn: &api.TxnResponse{Results: []*api.OpResult{{}}}}}, {}}
	return []*api.Response{
		{Result: &api.Response_Alive{Alive: &api.Alive{Sessions: []*api.KeepAlive{{Session: 1, Number: 1 << 40}}}}},
		{Result: &api.Response_Claim{Claim: &api.ClaimEvent{Session: 1, Sequence: 2, Granted: &api.AcquireResponse{State: api.ClaimState_CLAIM_GRANTED, Token: 9}}}},
		{Result: &api.Response_Claim{Claim: &api.ClaimEvent{Session: 1, Sequence: 1}}},
		{Result: &api.Response_Claim{Claim: &api.ClaimEvent{Session: 1, Sequence: 3, Leads: &api.CampaignResponse{Token: 8}}}},
		{Result: &api.Response_Claim{Claim: &api.ClaimEvent{Session: 1, Sequence: 2, Error: &api.Error{Code: api.Code_WAIT_TIMED_OUT}}}},
		{Result: &api.Response_SessionEnded{SessionEnded: &api.SessionEnded{Session: 1, Reason: api.EndReason_END_EXPIRED}}},
		{Result: &api.Response_Leader{Leader: &api.LeaderHint{Node: "n9", Endpoint: "nowhere:1"}}},
		{Error: &api.Error{Code: api.Code_UNAVAILABLE, Message: "no"}},
		{Id: 1, Error: &api.Error{Code: api.Code_OVERLOADED, RetryAfterMs: 1 << 60, LeaderEndpoint: "x"}},
		{Id: 1, Error: &api.Error{Code: 99, Definite: true}}, {Id: 1},
		{Id: 1, Result: &api.Response_Acquire{Acquire: &api.AcquireResponse{State: api.ClaimState_CLAIM_GRANTED, Token: 5, Names: []string{"b"}}}},
		{Id: 1, Result: &api.Response_Acquire{Acquire: &api.AcquireResponse{State: 77, Position: 3}}},
		{Id: 1, Result: &api.Response_OpenSession{OpenSession: &api.OpenSessionResponse{Session: 1, TtlMs: 1 << 62}}},
		{Id: 1, Result: &api.Response_Range{Range: &api.RangeResponse{Kvs: []*api.KeyValue{kv, {}}, More: true, Count: 1 << 63}}},
		{Id: 1, Result: &api.Response_Txn{Txn: &api.TxnResponse{Succeeded: true, Results: results}}},
		{Id: 1, Result: &api.Response_Watch{Watch: &api.WatchResponse{Started: true, Revision: 1}}},
		{Id: 1, Result: &api.Response_Watch{Watch: &api.WatchResponse{Revision: 5, Events: []*api.WatchEvent{{Kv: kv}, {}}}}},
		{Id: 1, Result: &api.Response_ListLocks{ListLocks: &api.ListLocksResponse{Locks: []*api.LockInfo{{Name: "x"}, {}}}}},
		{Id: 1, Result: &api.Response_LockHistory{LockHistory: &api.LockHistoryResponse{Tenures: []*api.LockTenure{{}}}}},
		{Id: 1, Result: &api.Response_Status{Status: &api.StatusResponse{Nodes: []*api.NodeStatus{{}}}}},
		{Id: 1, Result: &api.Response_Hash{Hash: &api.HashResponse{Nodes: []*api.NodeHash{{}}}}},
		{Id: 1, Result: &api.Response_Campaign{Campaign: &api.CampaignResponse{State: api.ClaimState_CLAIM_GRANTED, Token: 4}}},
		{Id: 1, Result: &api.Response_AttachSession{AttachSession: &api.AttachSessionResponse{Session: 1, Claims: []*api.AcquireResponse{{Session: 1, Sequence: 1}, {}}}}},
		{Id: 1, Result: &api.Response_CloseSession{CloseSession: &api.CloseSessionResponse{}}},
	}
}

var messageEnd = []byte("\xff\xffmessage\xff\xff")

// FuzzServer: a server may say anything at any time, to a client with calls of
// all kinds under way. The client does not panic, every call ends, and so does
// everything of it once it is closed: the bubble would notice what hangs.
func FuzzServer(f *testing.F) {
	var every [][]byte
	for _, r := range seedAnswers() {
		b, err := (&api.ServerFrames{Responses: []*api.Response{r}}).MarshalVT()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(0), b)
		f.Add(byte(len(every)), b)
		every = append(every, b)
	}
	f.Add(byte(3), bytes.Join(every, messageEnd))
	f.Fuzz(func(t *testing.T, shift byte, data []byte) {
		if len(data) > 1<<14 {
			return
		}
		world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
			s := open(t, c)
			take(t, s, "a")
			f.with(func() { // from here on the real one says nothing
				for _, n := range f.nodes {
					n.mute = true
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var calls sync.WaitGroup
			for _, call := range []func(){
				func() { _, _ = s.Lock(ctx, "b") },
				func() { _, _ = s.TryLock(ctx, "c") },
				func() { _, _ = s.Campaign(ctx, "e", []byte("v")) },
				func() { _, _ = c.NewSession(ctx) },
				func() { _, _ = c.Range(ctx, Prefix("k")) },
				func() { _, _ = c.Put(ctx, "k", []byte("v")) },
				func() {
					_, _ = c.Txn(ctx, Txn{Then: []Op{PutOp("k", nil), RangeOp(Prefix("k")), DeleteOp(One("k"), true)}})
				},
				func() { _, _ = c.Locks(ctx, "") },
				func() { _, _ = c.LockHistory(ctx, "a", 10) },
				func() { _, _ = c.ElectionHistory(ctx, "e", 10) },
				func() { _, _ = c.Elections(ctx, "") },
				func() { _, _ = c.Sessions(ctx) },
				func() { _, _ = c.Status(ctx) },
				func() { _, _ = c.Hash(ctx) },
				func() { _, _ = c.CheckToken(ctx, "a", 1) },
				func() { _, _ = c.TransferLeader(ctx, "") },
				func() {
					for range c.Watch(ctx, Prefix("k")) {
					}
				},
				func() {
					for range c.Observe(ctx, "e") {
					}
				},
			} {
				calls.Go(call)
			}
			for part := range bytes.SplitSeq(data, messageEnd) {
				synctest.Wait()
				frames := new(api.ServerFrames)
				if decode(c.shapes, part, frames) != nil {
					break // the link would end
				}
				c.mu.Lock()
				l := c.link
				ids := slices.Sorted(maps.Keys(c.calls))
				ids = append(ids, slices.Sorted(maps.Keys(c.placed))...)
				c.mu.Unlock()
				if l == nil {
					break
				}
				for i, r := range frames.GetResponses() {
					if r.Id != 0 && len(ids) > 0 { // answers are to something
						r.Id = ids[(int(shift)+i)%len(ids)]
					}
				}
				c.receive(l, frames)
				time.Sleep(10 * time.Millisecond)
			}
			cancel()
			calls.Wait()
		})
	})
}

// TestHostileFrames: messages that take much more memory or stack than they have
// bytes are refused before they are decoded.
func TestHostileFrames(t *testing.T) {
	result := &api.OpResult{}
	for range api.MaxNesting {
		result = &api.OpResult{Result: &api.OpResult_Txn{Txn: &api.TxnResponse{Results: []*api.OpResult{result, {
			Result: &api.OpResult_Range{Range: &api.RangeResponse{Kvs: []*api.KeyValue{{Value: make([]byte, 1024)}}}},
		}}}}}
	}
	deep, err := (&api.ServerFrames{Responses: []*api.Response{{Result: &api.Response_Txn{Txn: result.GetTxn()}}}}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	shapes := api.NewShapes()
	for name, b := range map[string][]byte{"flat": bytes.Repeat([]byte{0x0a, 0}, 2<<20-1), "deep": deep, "none": bytes.Repeat([]byte{0xff}, 1000)} {
		if err := decode(shapes, b, new(api.ServerFrames)); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
}

// TestSessionOfNothing: a session that no cell gives is refused. With a time to
// live of 0 the client was busy with nothing but keep-alives.
func TestSessionOfNothing(t *testing.T) {
	for _, r := range []*api.OpenSessionResponse{nil, {Session: 5}, {Session: 5, TtlMs: 1 << 63}, {TtlMs: 10_000}, {Session: 1, TtlMs: 10_000}} {
		world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
			first := open(t, c) // session 1
			f.with(func() {
				for _, n := range f.nodes {
					n.mute = true
				}
			})
			answer := make(chan error)
			go func() {
				_, err := c.NewSession(t.Context())
				answer <- err
			}()
			synctest.Wait()
			c.mu.Lock()
			l, ids := c.link, slices.Sorted(maps.Keys(c.calls))
			c.mu.Unlock()
			c.receive(l, &api.ServerFrames{Responses: []*api.Response{{Id: ids[len(ids)-1], Result: &api.Response_OpenSession{OpenSession: r}}}})
			var refused *Error
			if err := <-answer; !errors.As(err, &refused) || refused.Code != CodeInternal {
				t.Errorf("%v: %v", r, err)
			}
			if first.Err() != nil {
				t.Errorf("the session that there was: %v", first.Err())
			}
		})
	}
}
