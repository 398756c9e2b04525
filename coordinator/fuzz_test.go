package coordinator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/planetscale/vtprotobuf/codec/drpc"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	sdrpc "storj.io/drpc"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/cell"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/record"
	"github.com/conch-lock/conch/sessions"
)

// bench is a server of a cell without network, disk and goroutines: whatever is
// proposed is applied at once.
type bench struct {
	tb      testing.TB
	loop    *loop
	member  *member
	index   uint64
	queue   []func()
	running bool
}

// vtEncoding is the encoding of the contract's messages.
type vtEncoding struct{}

func (vtEncoding) Marshal(m sdrpc.Message) ([]byte, error)           { return drpc.Marshal(m) }
func (vtEncoding) Unmarshal(b []byte, m sdrpc.Message) error         { return drpc.Unmarshal(b, m) }
func (vtEncoding) JSONUnmarshal(b []byte, m sdrpc.Message) error     { return drpc.JSONUnmarshal(b, m) }
func (vtEncoding) JSONMarshal(msg sdrpc.Message) (b []byte, e error) { return drpc.JSONMarshal(msg) }

// complaint fails the test for what the server calls a defect of its own.
type complaint struct{ tb testing.TB }

func (c complaint) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(`"panic"`)) {
		c.tb.Errorf("%s", p)
	}
	return len(p), nil
}

var benchMetrics = newRequestMetrics() // many counters, that no test looks at

func newBench(tb testing.TB) *bench { return newBenchOf(tb, 1<<20, 0) }

// newBenchOf is a bench that has room for so many bytes of keys, and for so many
// that wait for a client; 0: as many as by default.
func newBenchOf(tb testing.TB, quota int64, queue int) *bench {
	b := &bench{tb: tb}
	cfg := Config{MaxQueueBytes: queue}.withDefaults()
	cfg.Limits.Store.QuotaBytes = quota
	over, cancel := context.WithCancel(context.Background())
	cancel()
	l := &loop{
		name: DefaultCell, node: "n1", self: 1, version: "test", cfg: cfg, log: zerolog.New(complaint{tb}), group: b,
		server: &Server{ctx: over}, begin: time.Now(), load: &load{metrics: benchMetrics},
		streams: map[*stream]struct{}{}, attached: map[sessions.ID]*stream{},
		waits:   waits{claims: map[sessions.ID]map[sessions.Sequence][]*claimWait{}, beats: map[sessions.ID][]*beatWait{}},
		watches: newWatches(),
		nodes:   nodes{news: map[raftnode.NodeID]news{}},
		hashes:  hashes{others: map[uint64]map[raftnode.NodeID]machine.Hashed{}},
	}
	l.wall = &wallClock{read: time.Now, run: func() time.Duration { return time.Since(l.begin) }, log: l.log}
	l.cell = cell.New(cell.Config{
		Self: 1, Boot: 1, Limits: cfg.Limits, Wall: l.wall.millis,
		Send:   func(raftnode.NodeID, []byte) bool { return true },
		Output: l.output, Leadership: l.leadership, Restored: l.restored,
	})
	tb.Cleanup(l.cell.Machine().Close)
	b.loop, b.member = l, &member{l.cell, l}
	b.apply(nil)
	l.cell.Lead(1)
	return b
}

func (b *bench) apply(p []byte) {
	b.index++
	b.loop.cell.Apply([]raftnode.Entry{{Index: b.index, Term: 1, Data: p}})
}

// Do implements group.
func (b *bench) Do(f func()) error {
	b.queue = append(b.queue, f)
	if b.running {
		return nil
	}
	b.running = true
	defer func() { b.running = false }()
	for len(b.queue) > 0 {
		f := b.queue[0]
		b.queue = b.queue[1:]
		f()
		for _, p := range b.loop.cell.Propose(b.loop.now(), 1<<20) {
			b.apply(p)
		}
	}
	return nil
}

// ReadIndex implements group.
func (b *bench) ReadIndex(done func(error)) error { return b.Do(func() { done(nil) }) }

// Send implements group.
func (b *bench) Send(raftnode.NodeID, []byte) bool { return true }

// Status implements group.
func (b *bench) Status() raftnode.Status {
	return raftnode.Status{Role: raftnode.Leader, Leader: 1, Members: []raftnode.Member{{ID: 1, Name: "n1"}, {ID: 2, Name: "n2"}}}
}

// newStream is a stream on which nothing is written.
func (b *bench) newStream() *stream {
	l := b.loop
	return &stream{
		loop: l, number: l.opened.Add(1), in: &bounded{decoding: newDecoding()}, out: newOutbox(l.cfg.MaxQueueBytes, &l.load.queued),
		attached: map[sessions.ID]struct{}{}, watches: map[uint64]*watch{},
	}
}

// end ends the server and checks that everything was answered, with no defect.
func (b *bench) end(streams ...*stream) {
	b.tb.Helper()
	_ = b.Do(b.loop.sweep)
	for _, st := range streams {
		_ = b.Do(func() { b.loop.leave(st) })
	}
	b.loop.ended()
	for _, st := range streams {
		for _, r := range st.out.queue {
			if r.GetError().GetCode() == api.Code_INTERNAL {
				b.tb.Errorf("an answer: %v", r)
			}
		}
		st.out.close()
	}
	if err := b.loop.machine().Check(); err != nil {
		b.tb.Error(err)
	}
	if l := b.loop.load; l.calls.Load() != 0 || l.bytes.Load() != 0 || l.queued.Load() != 0 {
		b.tb.Errorf("still reckoned: %d calls, %d bytes, %d waiting", l.calls.Load(), l.bytes.Load(), l.queued.Load())
	}
}

// frames is a client's stream of given messages.
type frames struct {
	api.DRPCConch_StreamStream
	call *bounded
	list [][]byte
}

// Recv implements api.DRPCConch_StreamStream.
func (f *frames) Recv() (*api.ClientFrames, error) {
	if len(f.list) == 0 {
		return nil, io.EOF
	}
	b := f.list[0]
	f.list = f.list[1:]
	m := new(api.ClientFrames)
	return m, measured{vtEncoding{}, f.call}.Unmarshal(b, m)
}

// seedRequests are requests of every kind that are in order.
func seedRequests() []*api.Request {
	put := &api.Op{Op: &api.Op_Put{Put: &api.PutOp{Key: []byte("k"), Value: []byte("v"), Prev: true}}}
	all := &api.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z")}
	return []*api.Request{
		{Op: &api.Request_OpenSession{OpenSession: &api.OpenSessionRequest{Nonce: bytes.Repeat([]byte{1}, 16), TtlMs: 10_000, Labels: map[string]string{"a": "b"}}}},
		{Op: &api.Request_KeepAlive{KeepAlive: &api.KeepAliveRequest{Sessions: []*api.KeepAlive{{Session: 1, Number: 1}}}}},
		{Op: &api.Request_Acquire{Acquire: &api.AcquireRequest{Session: 1, Sequence: 1, Items: []*api.ClaimItem{{Name: "x"}, {Name: "p", Mode: api.Mode_PERMITS, Permits: 1, Capacity: 2}}}}},
		{Op: &api.Request_Acquire{Acquire: &api.AcquireRequest{Session: 1, Sequence: 2, Items: []*api.ClaimItem{{Name: "x", Mode: api.Mode_SHARED}}, WaitMs: 5}}},
		{Op: &api.Request_Campaign{Campaign: &api.CampaignRequest{Session: 1, Sequence: 3, Name: "e", Value: []byte("v")}}},
		{Op: &api.Request_Txn{Txn: &api.TxnRequest{Session: 1, Sequence: 4, Compares: []*api.Compare{{Key: []byte("k")}}, Success: []*api.Op{put, {Op: &api.Op_Range{Range: all}}}, Failure: []*api.Op{{Op: &api.Op_Txn{Txn: &api.TxnRequest{Success: []*api.Op{put}}}}}}}},
		{Op: &api.Request_Watch{Watch: &api.WatchRequest{Key: []byte("a"), RangeEnd: []byte("z"), Prev: true, FromRevision: 1}}},
		{Op: &api.Request_Release{Release: &api.ReleaseRequest{Session: 1, Sequence: 5, Name: "x", Token: 1}}},
		{Op: &api.Request_CancelClaim{CancelClaim: &api.CancelClaimRequest{Session: 1, Sequence: 6, ClaimSequence: 2}}},
		{Op: &api.Request_Proclaim{Proclaim: &api.ProclaimRequest{Session: 1, Sequence: 7, Name: "e", Token: 2, Value: []byte("w")}}},
		{Op: &api.Request_Transfer{Transfer: &api.TransferRequest{Session: 1, Sequence: 8, Name: "e", Token: 2, To: 1}}},
		{Op: &api.Request_Resign{Resign: &api.ResignRequest{Session: 1, Sequence: 9, Name: "e", Token: 2}}},
		{Op: &api.Request_BreakLock{BreakLock: &api.BreakLockRequest{Name: "p", Token: 1, Reason: "r"}}},
		{Op: &api.Request_ShowLock{ShowLock: &api.ShowLockRequest{Name: "x"}}}, {Op: &api.Request_ListLocks{ListLocks: &api.ListLocksRequest{}}},
		{Op: &api.Request_LockHistory{LockHistory: &api.LockHistoryRequest{Name: "x"}}}, {Op: &api.Request_CheckToken{CheckToken: &api.CheckTokenRequest{Name: "x", Token: 1}}},
		{Op: &api.Request_ShowElection{ShowElection: &api.ShowElectionRequest{Name: "e"}}}, {Op: &api.Request_ListElections{ListElections: &api.ListElectionsRequest{}}},
		{Op: &api.Request_ElectionHistory{ElectionHistory: &api.ElectionHistoryRequest{Name: "e"}}}, {Op: &api.Request_ListSessions{ListSessions: &api.ListSessionsRequest{}}},
		{Op: &api.Request_ShowSession{ShowSession: &api.ShowSessionRequest{Session: 1}}}, {Op: &api.Request_AttachSession{AttachSession: &api.AttachSessionRequest{Session: 1}}},
		{Op: &api.Request_Range{Range: all}}, {Op: &api.Request_Compact{Compact: &api.CompactRequest{Revision: 2}}}, {Op: &api.Request_Status{Status: &api.StatusRequest{}}},
		{Op: &api.Request_Hash{Hash: &api.HashRequest{}}}, {Op: &api.Request_TransferLeader{TransferLeader: &api.TransferLeaderRequest{Node: "n2"}}},
		{Op: &api.Request_CancelWatch{CancelWatch: &api.CancelWatchRequest{Watch: 7}}},
		{Op: &api.Request_EndSession{EndSession: &api.EndSessionRequest{Session: 1, Reason: "r"}}}, {Op: &api.Request_CloseSession{CloseSession: &api.CloseSessionRequest{Session: 1}}},
	}
}

var frameEnd = []byte("\xff\xffframe\xff\xff")

// FuzzStream: whatever a client says on its stream is answered or refused, by
// the real state machine, without a panic; everything is booked out at the end,
// and the state keeps its invariants.
func FuzzStream(f *testing.F) {
	hello := &api.Request{Id: 1, Op: &api.Request_Hello{Hello: &api.Hello{Client: "c"}}}
	all := &api.ClientFrames{Requests: []*api.Request{hello}}
	for i, q := range seedRequests() {
		q.Id = uint64(i + 2)
		all.Requests = append(all.Requests, q)
		one, _ := (&api.ClientFrames{Requests: []*api.Request{hello}}).MarshalVT()
		two, _ := (&api.ClientFrames{Requests: []*api.Request{q, q}}).MarshalVT()
		f.Add(bytes.Join([][]byte{one, two}, frameEnd))
	}
	b, err := all.MarshalVT()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(deepTxn(2000))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		s := newBench(t)
		st := s.newStream()
		in := &frames{call: st.in, list: bytes.Split(data, frameEnd)}
		for _, b := range in.list {
			heap, _ := taken(func() {
				_ = measured{vtEncoding{}, &bounded{decoding: st.in.decoding}}.Unmarshal(b, new(api.ClientFrames))
			})
			if heap > uint64(200*len(b)+256<<10) {
				t.Fatalf("a frame of %d bytes took %d to decode", len(b), heap)
			}
		}
		_ = st.read(context.Background(), in)
		s.end(st)
	})
}

// TestSeedRequests: what the targets begin with is in order, so that they get
// behind the checks.
func TestSeedRequests(t *testing.T) {
	s := newBench(t)
	st := s.newStream()
	list := []*api.Request{{Id: 1, Op: &api.Request_Hello{Hello: &api.Hello{}}}}
	for i, q := range seedRequests() {
		q.Id = uint64(i + 2)
		list = append(list, q)
	}
	first, _ := (&api.ClientFrames{Requests: list[:len(list)-2]}).MarshalVT()
	last, _ := (&api.ClientFrames{Requests: list[len(list)-2:]}).MarshalVT() // the end of the session
	if err := st.read(context.Background(), &frames{call: st.in, list: [][]byte{first, last}}); err != io.EOF {
		t.Fatal(err)
	}
	fine := 0
	for _, r := range st.out.queue {
		if r.GetError() == nil {
			fine++
		} else {
			t.Logf("request %d: %v", r.GetId(), r.GetError())
		}
	}
	if fine < len(list)*3/4 {
		t.Errorf("%d of %d requests were answered with success", fine, len(list))
	}
	s.end(st)
}

// FuzzJSON: the body of an HTTP call, of every method: decoded within bounds or
// refused, and then handled as a request of a stream is.
func FuzzJSON(f *testing.F) {
	ops := (&api.Request{}).ProtoReflect().Descriptor().Oneofs().ByName("op").Fields()
	for _, q := range seedRequests() {
		fd := q.ProtoReflect().WhichOneof(ops.Get(0).ContainingOneof())
		text, err := protojson.Marshal(q.ProtoReflect().Get(fd).Message().Interface())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(fd.Index()), string(text))
	}
	f.Add(byte(0), "")
	f.Add(byte(24), `{"success":[`+strings.Repeat(`{"txn":{"success":[`, 40))
	f.Fuzz(func(t *testing.T, which byte, body string) {
		if len(body) > 1<<16 {
			return
		}
		req := &api.Request{Id: 1}
		fd := ops.Get(int(which) % ops.Len())
		msg := req.ProtoReflect().NewField(fd).Message()
		req.ProtoReflect().Set(fd, protoreflect.ValueOfMessage(msg))
		in := &jsonStream{decoding: newDecoding(), body: strings.NewReader(body)}
		var err error
		heap, _ := taken(func() { err = in.MsgRecv(msg.Interface(), vtEncoding{}) })
		if heap > uint64(500*len(body)+256<<10) {
			t.Fatalf("a body of %d bytes took %d to decode", len(body), heap)
		}
		if err != nil {
			return
		}
		s := newBench(t)
		m, op := methodOf(req)
		answers := 0
		c := &call{method: m, size: req.SizeVT() + weight(op), began: time.Now(), load: s.loop.load, answer: func(r *api.Response) {
			if answers++; r.GetError().GetCode() == api.Code_INTERNAL {
				t.Errorf("%v", r)
			}
			if _, err := json.Marshal(fmt.Sprint(r)); err != nil {
				t.Error(err)
			}
		}}
		if e := s.loop.admit(c); e != nil {
			t.Fatal(e)
		}
		if m == methodHello || m == methodWatch || m == methodCancelWatch || m == methodAttachSession {
			c.finish(api.Code_OK) // these are of streams alone
		} else if it, e := s.loop.prepare(c, op); e != nil {
			c.refuse(e)
		} else {
			s.loop.submit(it)
		}
		s.end()
		if answers > 1 {
			t.Fatalf("%d answers", answers)
		}
	})
}

// FuzzPeerPayload: what the servers of a cell say to each other, the commands
// that they forward among it: from any node, any bytes.
func FuzzPeerPayload(f *testing.F) {
	news := news{endpoint: "h:1", version: "v", role: raftnode.Follower, term: 1, applied: 2}
	f.Add(byte(2), news.append([]byte{messageNews}))
	f.Add(byte(2), appendHash(machine.Hashed{Index: 4, Revision: 3}))
	f.Add(byte(3), record.AppendUint([]byte{messageWantHash}, uint64(4)))
	f.Add(byte(2), record.AppendUint([]byte{messageTransfer}, uint64(2)))
	f.Add(byte(2), record.AppendString(record.AppendUint([]byte{messageRefusal}, uint64(2)), "no"))
	command := machine.Command{Origin: 2, Request: 5, Op: &machine.OpenSession{Nonce: sessions.Nonce{3}, TTL: 1000}}
	f.Add(byte(2), command.Append([]byte{1}))
	f.Add(byte(2), []byte{2, 2, 1, 9, 2, 9})
	f.Add(byte(2), []byte{3, 1, 9})
	f.Fuzz(func(t *testing.T, from byte, payload []byte) {
		if len(payload) > 1<<16 {
			return
		}
		s := newBench(t)
		st := s.newStream()
		var requests []*api.Request
		for _, q := range seedRequests() {
			switch q.GetOp().(type) {
			case *api.Request_Hash, *api.Request_TransferLeader, *api.Request_OpenSession, *api.Request_Acquire:
				q.Id = uint64(len(requests) + 2)
				requests = append(requests, q)
			}
		}
		b, _ := (&api.ClientFrames{Requests: append([]*api.Request{{Id: 1, Op: &api.Request_Hello{Hello: &api.Hello{}}}}, requests...)}).MarshalVT()
		_ = st.read(context.Background(), &frames{call: st.in, list: [][]byte{b}})
		heap, _ := taken(func() {
			for range 3 { // it may come more than once
				_ = s.Do(func() { s.member.Receive(raftnode.NodeID(from), payload) })
			}
		})
		if heap > uint64(2000*len(payload)+4<<20) {
			t.Fatalf("%d bytes took %d", len(payload), heap)
		}
		s.end(st)
	})
}
