package coordinator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
)

// TestNumbersAreThoseOfTheWire: what is converted by its number alone.
func TestNumbersAreThoseOfTheWire(t *testing.T) {
	for code, want := range map[machine.Code]api.Code{
		machine.OK: api.Code_OK, machine.InvalidArgument: api.Code_INVALID_ARGUMENT,
		machine.SessionNotFound: api.Code_SESSION_NOT_FOUND, machine.SequenceTooOld: api.Code_SEQUENCE_TOO_OLD,
		machine.Held: api.Code_HELD, machine.WaitTimedOut: api.Code_WAIT_TIMED_OUT, machine.ClaimCancelled: api.Code_CLAIM_CANCELLED,
		machine.NotHolder: api.Code_NOT_HOLDER, machine.TokenMismatch: api.Code_TOKEN_MISMATCH, machine.LimitReached: api.Code_LIMIT_REACHED,
		machine.NoSpace: api.Code_NO_SPACE, machine.Compacted: api.Code_COMPACTED, machine.FutureRevision: api.Code_FUTURE_REVISION,
		machine.NotFound: api.Code_NOT_FOUND, machine.CapacityMismatch: api.Code_CAPACITY_MISMATCH, machine.ClaimBroken: api.Code_CLAIM_BROKEN,
	} {
		if api.Code(code) != want {
			t.Errorf("machine code %d is %v on the wire, want %v", code, api.Code(code), want)
		}
	}
	for why, want := range map[locks.Why]api.EndReason{
		locks.NotEnded: api.EndReason_END_NONE, locks.Released: api.EndReason_END_RELEASED, locks.Expired: api.EndReason_END_EXPIRED,
		locks.Closed: api.EndReason_END_CLOSED, locks.Ended: api.EndReason_END_ENDED, locks.Broken: api.EndReason_END_BROKEN,
		locks.Transferred: api.EndReason_END_TRANSFERRED,
	} {
		if api.EndReason(why) != want {
			t.Errorf("%v is %v on the wire, want %v", why, api.EndReason(why), want)
		}
	}
	for mode, want := range map[locks.Mode]api.Mode{locks.Exclusive: api.Mode_EXCLUSIVE, locks.Shared: api.Mode_SHARED, locks.Permits: api.Mode_PERMITS} {
		if api.Mode(mode) != want {
			t.Errorf("%v is %v on the wire, want %v", mode, api.Mode(mode), want)
		}
	}
	for space, want := range map[store.Space]api.Space{store.Keys: api.Space_KEYS, store.Locks: api.Space_LOCKS, store.Elections: api.Space_ELECTIONS} {
		if api.Space(space) != want {
			t.Errorf("%v is %v on the wire, want %v", space, api.Space(space), want)
		}
	}
	for target, want := range map[store.Target]api.Compare_Target{
		store.TargetValue: api.Compare_VALUE, store.TargetVersion: api.Compare_VERSION, store.TargetCreate: api.Compare_CREATE,
		store.TargetMod: api.Compare_MOD, store.TargetSession: api.Compare_SESSION, store.TargetHeldLock: api.Compare_HELD_LOCK,
	} {
		if api.Compare_Target(target) != want {
			t.Errorf("target %d is %v on the wire, want %v", target, api.Compare_Target(target), want)
		}
	}
	for relation, want := range map[store.Relation]api.Compare_Result{
		store.Equal: api.Compare_EQUAL, store.Greater: api.Compare_GREATER, store.Less: api.Compare_LESS, store.NotEqual: api.Compare_NOT_EQUAL,
	} {
		if api.Compare_Result(relation) != want {
			t.Errorf("relation %d is %v on the wire, want %v", relation, api.Compare_Result(relation), want)
		}
	}
	for order, want := range map[store.Order]api.Order{
		store.ByKey: api.Order_ORDER_KEY, store.ByVersion: api.Order_ORDER_VERSION, store.ByCreate: api.Order_ORDER_CREATE,
		store.ByMod: api.Order_ORDER_MOD, store.ByValue: api.Order_ORDER_VALUE,
	} {
		if api.Order(order) != want {
			t.Errorf("order %d is %v on the wire, want %v", order, api.Order(order), want)
		}
	}
}

// TestBounds: what is refused at the edge, with the field, the value and what is
// allowed in the message.
func TestBounds(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	s := a.open(time.Minute)
	many := map[string]string{}
	for i := range 17 {
		many[fmt.Sprint(i)] = ""
	}
	claim := func(change func(*api.AcquireRequest)) *api.Request {
		q := acquire(s, 1, "x")
		change(q)
		return &api.Request{Op: &api.Request_Acquire{Acquire: q}}
	}
	open := func(change func(*api.OpenSessionRequest)) *api.Request {
		q := &api.OpenSessionRequest{Nonce: newNonce(), TtlMs: 10_000}
		change(q)
		return &api.Request{Op: &api.Request_OpenSession{OpenSession: q}}
	}
	for _, x := range []struct {
		name string
		req  *api.Request
		want string
	}{
		{"empty name", claim(func(q *api.AcquireRequest) { q.Items[0].Name = "" }), "items[0]: the name is empty: 1 to 512"},
		{"long name", claim(func(q *api.AcquireRequest) { q.Items[0].Name = strings.Repeat("n", 513) }), "has 513 bytes: 1 to 512"},
		{"control character", claim(func(q *api.AcquireRequest) { q.Items[0].Name = "a\nb" }), "control character U+000A"},
		{"unknown mode", claim(func(q *api.AcquireRequest) { q.Items[0].Mode = 7 }), "items[0].mode: 7 is not known"},
		{"no items", claim(func(q *api.AcquireRequest) { q.Items = nil }), "items: 0 locks: 1 to 64"},
		{"many items", claim(func(q *api.AcquireRequest) { q.Items = make([]*api.ClaimItem, 65) }), "items: 65 locks: 1 to 64"},
		{"one twice", claim(func(q *api.AcquireRequest) { q.Items = append(q.Items, q.Items[0]) }), `lock "x" stands twice`},
		{"permits without a capacity", claim(func(q *api.AcquireRequest) { q.Items[0].Mode, q.Items[0].Permits = api.Mode_PERMITS, 2 }), "2 permits of a capacity of 0"},
		{"long wait", claim(func(q *api.AcquireRequest) { q.WaitMs = 1 << 40 }), "wait_ms: 1099511627776: at most"},
		{"long delay", claim(func(q *api.AcquireRequest) { q.LockDelayMs = 3_600_001 }), "lock_delay_ms: 3600001: at most 3600000"},
		{"no session", claim(func(q *api.AcquireRequest) { q.Session = 0 }), "session: it is missing"},
		{"no sequence", claim(func(q *api.AcquireRequest) { q.Sequence = 0 }), "sequence: it is missing"},
		{"many labels", claim(func(q *api.AcquireRequest) { q.Labels = many }), "labels: 17 of them: at most 16"},
		{"short TTL", open(func(q *api.OpenSessionRequest) { q.TtlMs = 499 }), "ttl_ms: TTL 499 ms: 500 to 86400000"},
		{"long TTL", open(func(q *api.OpenSessionRequest) { q.TtlMs = 86_400_001 }), "ttl_ms: TTL 86400001 ms"},
		{"short nonce", open(func(q *api.OpenSessionRequest) { q.Nonce = q.Nonce[:15] }), "nonce: it has 15 bytes: 16"},
		{"empty nonce", open(func(q *api.OpenSessionRequest) { q.Nonce = make([]byte, 16) }), "nonce: it is all zeros"},
		{"long label", open(func(q *api.OpenSessionRequest) { q.Labels = map[string]string{"k": strings.Repeat("v", 257)} }), "its value has 257 bytes"},
		{"no token", &api.Request{Op: &api.Request_Release{Release: &api.ReleaseRequest{Session: s, Sequence: 1, Name: "x"}}}, "token: it is missing"},
		{"cancel itself", &api.Request{Op: &api.Request_CancelClaim{CancelClaim: &api.CancelClaimRequest{Session: s, Sequence: 3, ClaimSequence: 3}}}, "claim_sequence: 3"},
		{"long reason", &api.Request{Op: &api.Request_EndSession{EndSession: &api.EndSessionRequest{Session: s, Reason: strings.Repeat("r", 257)}}}, "reason: it has 257 bytes"},
		{"unknown space", &api.Request{Op: &api.Request_Range{Range: &api.RangeRequest{Key: []byte("k"), Space: 3}}}, "space: 3 is not known"},
		{"unknown order", &api.Request{Op: &api.Request_Range{Range: &api.RangeRequest{Key: []byte("k"), Order: 5}}}, "order: 5 is not known"},
		{"no key", &api.Request{Op: &api.Request_Range{Range: &api.RangeRequest{}}}, "key: it has 0 bytes: 1 to 4096"},
		{"long page", &api.Request{Op: &api.Request_ListLocks{ListLocks: &api.ListLocksRequest{Limit: 10_001}}}, "limit: 10001: at most 10000"},
		{"half a sequence", &api.Request{Op: &api.Request_Txn{Txn: &api.TxnRequest{Session: s}}}, "a transaction has both or none"},
		{"empty operation", &api.Request{Op: &api.Request_Txn{Txn: &api.TxnRequest{Success: []*api.Op{{}}}}}, "none of range, put, delete and txn"},
		{"unknown compare", &api.Request{Op: &api.Request_Txn{Txn: &api.TxnRequest{Compares: []*api.Compare{{Target: 6, Key: []byte("k")}}}}}, "compares[0]: target 6"},
		{"nothing", &api.Request{}, "asks for nothing that is known"},
		{"bad node", &api.Request{Op: &api.Request_TransferLeader{TransferLeader: &api.TransferLeaderRequest{Node: "a b"}}}, `node: "a b"`},
	} {
		e := a.call(x.req).GetError()
		if e.GetCode() != api.Code_INVALID_ARGUMENT || !e.GetDefinite() || !strings.Contains(e.GetMessage(), x.want) {
			t.Errorf("%s: %v, want INVALID_ARGUMENT with %q", x.name, e, x.want)
		}
	}
	r := a.call(&api.Request{Op: &api.Request_ShowLock{ShowLock: &api.ShowLockRequest{Cell: "other", Name: "x"}}})
	if r.GetError().GetCode() != api.Code_CELL_NOT_FOUND {
		t.Errorf("another cell: %v", r)
	}
	// Items are sorted here, so a claim in any order is one claim.
	if got := a.granted(s, 1, "c", "a", "b").GetNames(); strings.Join(got, "") != "abc" {
		t.Errorf("names: %v", got)
	}
}

func TestConfig(t *testing.T) {
	good := func() Config {
		return Config{
			Name: "n1", DataDir: t.TempDir(), ListenClient: "127.0.0.1:0", ListenPeer: "127.0.0.1:0",
			InitialCluster: []Member{{"n1", "127.0.0.1:7001"}, {"n2", "127.0.0.1:7002"}},
		}
	}
	for _, x := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no name", func(c *Config) { c.Name = "" }, `Name: ""`},
		{"stranger", func(c *Config) { c.Name = "n3" }, `this node, "n3", is not in it`},
		{"two of one name", func(c *Config) { c.InitialCluster[1].Name = "n1" }, `two nodes have the name "n1"`},
		{"two of one address", func(c *Config) { c.InitialCluster[1].Peer = "127.0.0.1:7001" }, `nodes "n1" and "n2" have the same address 127.0.0.1:7001`},
		{"no cluster", func(c *Config) { c.InitialCluster = nil }, "it has 0 nodes: 1 to 15"},
		{"no folder", func(c *Config) { c.DataDir = "" }, "DataDir is not set"},
		{"bad address", func(c *Config) { c.ListenClient = "localhost" }, `ListenClient: "localhost": host:port`},
		{"bad port", func(c *Config) { c.ListenPeer = "localhost:99999" }, `port "99999": a number up to 65535`},
		{"peer at port 0", func(c *Config) { c.InitialCluster[1].Peer = "h:0" }, "port 0 cannot be reached"},
		{"everywhere", func(c *Config) { c.ListenClient = "0.0.0.0:0" }, "AdvertiseClient is not set"},
		{"join alone", func(c *Config) { c.InitialCluster, c.Join = c.InitialCluster[:1], true }, "list them too"},
		{"small queue", func(c *Config) { c.MaxQueueBytes = 1 }, "MaxQueueBytes is 1: at least 8388608"},
		{"negative time", func(c *Config) { c.Patience = -1 }, "Patience is -1ns: at least 1ms"},
	} {
		cfg := good()
		x.change(&cfg)
		s, err := Start(cfg)
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", x.name, err, x.want)
		}
	}
}

func TestPortInUse(t *testing.T) {
	c := newCluster(t, 1, nil)
	_, err := Start(Config{
		Name: "n9", DataDir: t.TempDir(), ListenClient: c.address(0), ListenPeer: "127.0.0.1:0",
		InitialCluster: []Member{{"n9", "127.0.0.1:7009"}},
	})
	if err == nil || !strings.Contains(err.Error(), "the client port cannot listen on "+c.address(0)) {
		t.Errorf("a port in use: %v", err)
	}
	_, err = Start(Config{
		Name: "n1", DataDir: c.nodes[0].cfg.DataDir, ListenClient: "127.0.0.1:0", ListenPeer: "127.0.0.1:0", InitialCluster: c.members,
	})
	if err == nil || !strings.Contains(err.Error(), "cannot be used") {
		t.Errorf("a data directory in use: %v", err)
	}
}

// TestTxn: compares, both ways, nesting, records of locks, repetition.
func TestTxn(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	session := a.open(time.Minute)
	grant := a.granted(session, 1, "x")
	txn := &api.TxnRequest{
		Session: session, Sequence: 2,
		Compares: []*api.Compare{{Target: api.Compare_HELD_LOCK, Key: []byte("x"), Number: grant.GetToken()}},
		Success: []*api.Op{
			{Op: &api.Op_Put{Put: &api.PutOp{Key: []byte("k"), Value: []byte("1"), Session: session, Prev: true}}},
			{Op: &api.Op_Range{Range: &api.RangeRequest{Space: api.Space_LOCKS, Key: []byte("x")}}},
			{Op: &api.Op_Txn{Txn: &api.TxnRequest{Failure: []*api.Op{{Op: &api.Op_Delete{Delete: &api.DeleteOp{Key: []byte("q")}}}}}}},
		},
	}
	q := &api.Request{Op: &api.Request_Txn{Txn: txn}}
	first := a.must(q).GetTxn()
	if !first.GetSucceeded() || len(first.GetResults()) != 3 {
		t.Fatalf("txn: %v", first)
	}
	var info api.LockInfo
	if err := info.UnmarshalVT(first.GetResults()[1].GetRange().GetKvs()[0].GetValue()); err != nil || info.GetHolders()[0].GetSession() != session {
		t.Errorf("the record of the lock: %v, %v", &info, err)
	}
	again := a.must(q).GetTxn()
	if again.GetRevision() != first.GetRevision() {
		t.Errorf("repeated: revision %d, at first %d", again.GetRevision(), first.GetRevision())
	}
	// A put for a session that is not there is refused, and the own one stays attached.
	bad := a.call(&api.Request{Op: &api.Request_Txn{Txn: &api.TxnRequest{
		Session: session, Sequence: 3, Success: []*api.Op{{Op: &api.Op_Put{Put: &api.PutOp{Key: []byte("k"), Session: 99}}}},
	}}})
	if bad.GetError().GetCode() != api.Code_SESSION_NOT_FOUND {
		t.Errorf("put for nobody: %v", bad)
	}
	a.must(&api.Request{Op: &api.Request_EndSession{EndSession: &api.EndSessionRequest{Session: session}}})
	a.event("the end", func(r *api.Response) bool { return r.GetSessionEnded().GetSession() == session })
	if kvs := a.must(&api.Request{Op: &api.Request_Range{Range: &api.RangeRequest{Key: []byte("k")}}}).GetRange().GetKvs(); len(kvs) != 0 {
		t.Errorf("the key outlived its session: %v", kvs)
	}
}

// TestLargeAnswers: a range is cut, a transaction's answer is refused.
func TestLargeAnswers(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	for i := range 5 {
		a.put(fmt.Sprint("k", i), strings.Repeat("v", 900<<10))
	}
	q := &api.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l")}
	r := a.must(&api.Request{Op: &api.Request_Range{Range: q}}).GetRange()
	if len(r.GetKvs()) != 2 || !r.GetMore() || r.GetCount() != 5 {
		t.Errorf("range: %d records, more %v, count %d", len(r.GetKvs()), r.GetMore(), r.GetCount())
	}
	e := a.call(&api.Request{Op: &api.Request_Txn{Txn: &api.TxnRequest{Success: []*api.Op{{Op: &api.Op_Range{Range: q}}}}}}).GetError()
	if e.GetCode() != api.Code_LIMIT_REACHED || !e.GetDefinite() {
		t.Errorf("txn: %v", e)
	}
	a.put("k", "v")
}

// TestRestored: when the state was replaced, clients have to ask again.
func TestRestored(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	c.nodes[0].onLoop(t.Context(), c.nodes[0].loop.restored)
	a.over()
	a.event("the reason", func(r *api.Response) bool { return r.GetError().GetCode() == api.Code_UNAVAILABLE })
	connect(t, c.address(0)).put("k", "v")
}
