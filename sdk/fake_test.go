package sdk

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storj.io/drpc/drpcerr"
	"storj.io/drpc/drpcmux"
	"storj.io/drpc/drpcserver"

	"github.com/conch-lock/conch/api"
)

// fakeCell is a correct cell in memory, of any number of nodes, with faults.
// All nodes share its state; each has its own way of failing.
type fakeCell struct {
	t  testing.TB
	wg sync.WaitGroup

	mu        sync.Mutex
	nodes     map[string]*fakeNode
	revision  uint64
	lastID    uint64 // of sessions
	token     uint64
	nonces    map[string]uint64
	sessions  map[uint64]*fakeSession
	claims    []*fakeClaim // in the order of the queue, granted ones too
	kvs       map[string]*api.KeyValue
	log       []fakeEvent
	elections map[string]*fakeElection
	compact   uint64
	opened    int // sessions ever
	applied   map[string]int

	partsOf        int  // a revision is delivered so many events at a time; 0: as a whole
	breakAfterPart bool // once: the connection breaks after a first part
}

type fakeSession struct {
	id      uint64
	ttl     time.Duration
	timer   *time.Timer
	stream  *fakeStream
	acked   uint64
	replies map[uint64]*api.Response
	number  uint64 // highest keep-alive heard
	ended   []*api.ClaimEvent
}

// fakeEvent is a change in one of the spaces.
type fakeEvent struct {
	space api.Space
	*api.WatchEvent
}

type fakeClaim struct {
	session, seq uint64
	items        []*api.ClaimItem
	stands       *api.CampaignRequest // a candidacy
	leads        *api.CampaignResponse
	granted      bool
	token        uint64
	revision     uint64
	timer        *time.Timer
}

type fakeNode struct {
	cell     *fakeCell
	endpoint string

	// Guarded by cell.mu.
	down     bool          // refuses connections
	mute     bool          // swallows everything
	full     bool          // ends streams with an error
	deaf     bool          // hears keep-alives and acknowledges none
	slow     time.Duration // all of its answers come so late
	hook     func(*api.Request) fault
	hint     *api.LeaderHint
	streams  map[*fakeStream]bool
	accepted int
	frames   []int // requests of each frame received
	beats    []int // sessions of each KeepAlive received
}

// fault is what a hook does to a request. The zero value lets it pass.
type fault struct {
	refuse    *api.Error    // answer this and do nothing
	lose      bool          // do nothing and do not answer
	loseReply bool          // do it and do not answer
	kill      bool          // then break the connection
	delay     time.Duration // of the answer
}

type fakeStream struct {
	node    *fakeNode
	conn    *faultConn // the client's end
	out     chan *api.Response
	closed  chan struct{}
	once    sync.Once
	watches map[uint64]*api.WatchRequest
}

func newFakeCell(t testing.TB, endpoints ...string) *fakeCell {
	f := &fakeCell{
		t: t, nodes: map[string]*fakeNode{}, revision: 1, nonces: map[string]uint64{},
		sessions: map[uint64]*fakeSession{}, kvs: map[string]*api.KeyValue{}, applied: map[string]int{}, elections: map[string]*fakeElection{},
	}
	for _, e := range endpoints {
		f.nodes[e] = &fakeNode{cell: f, endpoint: e, streams: map[*fakeStream]bool{}}
	}
	return f
}

// faultConn is the client's end of a connection.
type faultConn struct {
	net.Conn
	node *fakeNode
}

func (c *faultConn) muted() bool {
	c.node.cell.mu.Lock()
	defer c.node.cell.mu.Unlock()
	return c.node.mute
}

func (c *faultConn) Write(p []byte) (int, error) {
	if c.muted() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *faultConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.muted() {
			return n, err
		}
	}
}

func (f *fakeCell) dial(ctx context.Context, endpoint string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.nodes[endpoint]
	if n == nil || n.down {
		return nil, errors.New("connection refused")
	}
	n.accepted++
	near, far := net.Pipe()
	fc := &faultConn{Conn: near, node: n}
	f.wg.Go(func() { n.serve(far, fc) })
	return fc, nil
}

// unplug has nobody reach any node, and returns when everybody has noticed.
func (f *fakeCell) unplug() {
	f.with(func() {
		for _, n := range f.nodes {
			n.down = true
		}
	})
	for e := range f.nodes {
		f.cut(e)
	}
	synctest.Wait()
}

// plug ends that, and whatever else kept nodes from being reached.
func (f *fakeCell) plug() {
	f.with(func() {
		for _, n := range f.nodes {
			n.down = false
		}
	})
}

// serve serves one connection, of which near is the client's end.
func (n *fakeNode) serve(far net.Conn, near *faultConn) {
	defer far.Close()
	head := make([]byte, 8)
	if _, err := io.ReadFull(far, head); err != nil || string(head) != "DRPC!!!1" {
		return
	}
	mux := drpcmux.New()
	if err := api.DRPCRegisterConch(mux, &fakeServer{node: n, conn: near}); err != nil {
		n.cell.t.Error(err)
	}
	_ = drpcserver.New(mux).ServeOne(context.Background(), far)
}

type fakeServer struct {
	api.DRPCConchUnimplementedServer
	node *fakeNode
	conn *faultConn
}

func (s *fakeServer) Stream(stream api.DRPCConch_StreamStream) error {
	f := s.node.cell
	if s.node.full {
		return drpcerr.WithCode(errors.New("this node is stopping"), uint64(api.Code_UNAVAILABLE))
	}
	st := &fakeStream{node: s.node, conn: s.conn, out: make(chan *api.Response, 1<<16), closed: make(chan struct{}), watches: map[uint64]*api.WatchRequest{}}
	f.mu.Lock()
	s.node.streams[st] = true
	f.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case r := <-st.out:
				if stream.Send(&api.ServerFrames{Responses: []*api.Response{r}}) != nil {
					return
				}
			case <-st.closed:
				return
			}
		}
	}()
	for {
		frames, err := stream.Recv()
		if err != nil {
			break
		}
		f.mu.Lock()
		s.node.frames = append(s.node.frames, len(frames.GetRequests()))
		for _, r := range frames.GetRequests() {
			st.handle(r)
		}
		f.mu.Unlock()
	}
	st.break_()
	<-done
	f.mu.Lock()
	delete(s.node.streams, st)
	f.mu.Unlock()
	return nil
}

func (st *fakeStream) break_() {
	st.once.Do(func() {
		close(st.closed)
		_ = st.conn.Conn.Close()
	})
}

// send answers. Needs mu.
func (st *fakeStream) send(r *api.Response) {
	if late := st.node.slow; late > 0 {
		time.AfterFunc(late, func() { st.put(r) })
		return
	}
	st.put(r)
}

func (st *fakeStream) put(r *api.Response) {
	select {
	case st.out <- r:
	default:
		st.node.cell.t.Error("the fake server's queue is full")
	}
}

// handle runs one request. Needs mu.
func (st *fakeStream) handle(r *api.Request) {
	var ft fault
	if st.node.hook != nil && r.GetHello() == nil {
		ft = st.node.hook(r)
	}
	defer func() {
		if ft.kill {
			st.break_()
		}
	}()
	if ft.refuse != nil {
		st.send(&api.Response{Id: r.GetId(), Error: ft.refuse})
		return
	}
	if ft.lose {
		return
	}
	resp := st.node.cell.do(st, r)
	if resp != nil && !ft.loseReply {
		resp.Id = r.GetId()
		if ft.delay > 0 {
			time.AfterFunc(ft.delay, func() { st.put(resp) })
			return
		}
		st.send(resp)
	}
}

func refusal(code api.Code, format string) *api.Response {
	return &api.Response{Error: &api.Error{Code: code, Message: format, Definite: true}}
}

// do applies one request. Needs mu.
func (f *fakeCell) do(st *fakeStream, r *api.Request) *api.Response {
	switch op := r.GetOp().(type) {
	case *api.Request_Hello:
		if op.Hello.GetCell() != "default" {
			return refusal(api.Code_CELL_NOT_FOUND, "no cell "+op.Hello.GetCell())
		}
		return &api.Response{Result: &api.Response_Hello{Hello: &api.HelloResponse{Cell: "default", Node: st.node.endpoint, Leader: st.node.hint}}}
	case *api.Request_OpenSession:
		o := op.OpenSession
		id, known := f.nonces[string(o.GetNonce())]
		if !known {
			f.lastID++
			f.opened++
			id = f.lastID
			f.nonces[string(o.GetNonce())] = id
			s := &fakeSession{id: id, ttl: millis(o.GetTtlMs()), replies: map[uint64]*api.Response{}}
			s.timer = time.AfterFunc(s.ttl, func() {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.end(id, api.EndReason_END_EXPIRED, "")
			})
			f.sessions[id] = s
		}
		if s := f.sessions[id]; s != nil {
			s.stream = st
		}
		return &api.Response{Result: &api.Response_OpenSession{OpenSession: &api.OpenSessionResponse{Session: id, TtlMs: o.GetTtlMs(), Revision: f.revision}}}
	case *api.Request_KeepAlive:
		st.node.beats = append(st.node.beats, len(op.KeepAlive.GetSessions()))
		if st.node.deaf {
			return nil
		}
		alive := &api.Alive{}
		for _, k := range op.KeepAlive.GetSessions() {
			s := f.sessions[k.GetSession()]
			if s == nil {
				st.send(&api.Response{Result: &api.Response_SessionEnded{SessionEnded: &api.SessionEnded{Session: k.GetSession(), Reason: api.EndReason_END_EXPIRED}}})
				continue
			}
			if k.GetNumber() <= s.number {
				f.t.Errorf("session %d: keep-alive %d after %d", s.id, k.GetNumber(), s.number)
			}
			s.number, s.stream = k.GetNumber(), st
			s.timer.Reset(s.ttl)
			alive.Sessions = append(alive.Sessions, k)
		}
		return &api.Response{Result: &api.Response_Alive{Alive: alive}}
	case *api.Request_AttachSession:
		s := f.sessions[op.AttachSession.GetSession()]
		if s == nil {
			return refusal(api.Code_SESSION_NOT_FOUND, "no such session")
		}
		s.stream = st
		out := &api.AttachSessionResponse{Session: s.id, Revision: f.revision, Ended: s.ended}
		for _, c := range f.claims {
			switch {
			case c.session != s.id:
			case c.stands != nil:
				out.Candidacies = append(out.Candidacies, f.candidacy(c))
			default:
				out.Claims = append(out.Claims, f.state(c))
			}
		}
		return &api.Response{Result: &api.Response_AttachSession{AttachSession: out}}
	case *api.Request_CloseSession:
		if f.sessions[op.CloseSession.GetSession()] == nil {
			return refusal(api.Code_SESSION_NOT_FOUND, "no such session")
		}
		f.end(op.CloseSession.GetSession(), api.EndReason_END_CLOSED, "")
		return &api.Response{Result: &api.Response_CloseSession{CloseSession: &api.CloseSessionResponse{Revision: f.revision}}}
	case *api.Request_EndSession:
		if f.sessions[op.EndSession.GetSession()] == nil {
			return refusal(api.Code_SESSION_NOT_FOUND, "no such session")
		}
		f.end(op.EndSession.GetSession(), api.EndReason_END_ENDED, op.EndSession.GetReason())
		return &api.Response{Result: &api.Response_EndSession{EndSession: &api.EndSessionResponse{Revision: f.revision}}}
	case *api.Request_Acquire:
		a := op.Acquire
		if s := f.sessions[a.GetSession()]; s != nil {
			s.stream = st
		}
		if c := f.find(a.GetSession(), a.GetSequence()); c != nil {
			return &api.Response{Result: &api.Response_Acquire{Acquire: f.state(c)}}
		}
		return f.once(a.GetSession(), a.GetSequence(), a.GetAcked(), func() *api.Response { return f.acquire(a) })
	case *api.Request_Release:
		q := op.Release
		return f.once(q.GetSession(), q.GetSequence(), q.GetAcked(), func() *api.Response {
			for _, c := range f.claims {
				if c.session == q.GetSession() && c.granted && c.token == q.GetToken() {
					f.drop(c)
					return &api.Response{Result: &api.Response_Release{Release: &api.ReleaseResponse{Revision: f.revision}}}
				}
			}
			return refusal(api.Code_NOT_HOLDER, "not the holder")
		})
	case *api.Request_CancelClaim:
		q := op.CancelClaim
		return f.once(q.GetSession(), q.GetSequence(), q.GetAcked(), func() *api.Response {
			c := f.find(q.GetSession(), q.GetClaimSequence())
			if c != nil {
				f.drop(c)
			}
			f.sessions[q.GetSession()].replies[q.GetClaimSequence()] = refusal(api.Code_CLAIM_CANCELLED, "cancelled")
			return &api.Response{Result: &api.Response_CancelClaim{CancelClaim: &api.CancelClaimResponse{WasGranted: c != nil && c.granted, Revision: f.revision}}}
		})
	case *api.Request_BreakLock:
		for _, c := range f.claims {
			if c.granted && c.token == op.BreakLock.GetToken() {
				f.applied["break"]++
				f.drop(c)
				f.tell(c.session, &api.ClaimEvent{Session: c.session, Sequence: c.seq, Error: &api.Error{Code: api.Code_CLAIM_BROKEN, Message: "broken: " + op.BreakLock.GetReason(), Definite: true}})
				return &api.Response{Result: &api.Response_BreakLock{BreakLock: &api.BreakLockResponse{Revision: f.revision}}}
			}
		}
		return refusal(api.Code_TOKEN_MISMATCH, "not the current token")
	case *api.Request_ShowLock:
		info := &api.LockInfo{Name: op.ShowLock.GetName()}
		for _, c := range f.claims {
			for _, i := range c.items {
				if i.GetName() != info.Name {
					continue
				}
				if c.granted {
					info.Token = c.token
					info.Holders = append(info.Holders, &api.LockHolder{Session: c.session, Token: c.token})
				} else {
					info.Waiters = append(info.Waiters, &api.LockWaiter{Session: c.session, Position: uint32(len(info.Waiters) + 1)})
				}
			}
		}
		if len(info.Holders)+len(info.Waiters) == 0 {
			return refusal(api.Code_LOCK_NOT_FOUND, "nobody holds or awaits it")
		}
		return &api.Response{Result: &api.Response_ShowLock{ShowLock: &api.ShowLockResponse{Lock: info, Revision: f.revision}}}
	case *api.Request_Campaign, *api.Request_Proclaim, *api.Request_Resign, *api.Request_Transfer,
		*api.Request_ListElections, *api.Request_ShowElection, *api.Request_ElectionHistory:
		return f.election(st, r)
	case *api.Request_Range:
		if op.Range.GetSpace() == api.Space_ELECTIONS {
			return f.rangeElections(op.Range)
		}
		out := &api.RangeResponse{Revision: f.revision}
		for _, k := range f.keys(op.Range.GetKey(), op.Range.GetRangeEnd()) {
			out.Count++
			out.Kvs = append(out.Kvs, f.kvs[k])
		}
		return &api.Response{Result: &api.Response_Range{Range: out}}
	case *api.Request_Txn:
		q := op.Txn
		if q.GetSession() == 0 {
			return f.txn(q)
		}
		return f.once(q.GetSession(), q.GetSequence(), q.GetAcked(), func() *api.Response { return f.txn(q) })
	case *api.Request_Watch:
		return f.watch(st, r.GetId(), op.Watch)
	case *api.Request_CancelWatch:
		delete(st.watches, op.CancelWatch.GetWatch())
		return nil
	case *api.Request_Status:
		return &api.Response{Result: &api.Response_Status{Status: &api.StatusResponse{Cell: "default", Node: st.node.endpoint, Sessions: uint64(len(f.sessions))}}}
	}
	return refusal(api.Code_INVALID_ARGUMENT, "the fake server does not know that request")
}

func (f *fakeCell) once(session, seq, acked uint64, do func() *api.Response) *api.Response {
	s := f.sessions[session]
	if s == nil {
		return refusal(api.Code_SESSION_NOT_FOUND, "no such session")
	}
	if acked >= seq {
		f.t.Errorf("session %d: request %d acknowledges %d", session, seq, acked)
	}
	s.acked = max(s.acked, acked)
	for q := range s.replies {
		if q <= s.acked {
			delete(s.replies, q)
		}
	}
	if r := s.replies[seq]; r != nil {
		return &api.Response{Error: r.Error, Result: r.Result}
	}
	for _, e := range s.ended { // late outcomes are remembered
		if e.GetSequence() == seq {
			return &api.Response{Error: e.GetError()}
		}
	}
	if seq <= s.acked {
		return refusal(api.Code_SEQUENCE_TOO_OLD, "acknowledged and forgotten")
	}
	r := do()
	if s.replies[seq] == nil {
		s.replies[seq] = r
	}
	return &api.Response{Error: r.Error, Result: r.Result}
}

func (f *fakeCell) find(session, seq uint64) *fakeClaim {
	for _, c := range f.claims {
		if c.session == session && c.seq == seq {
			return c
		}
	}
	return nil
}

func (f *fakeCell) acquire(a *api.AcquireRequest) *api.Response {
	f.applied["acquire"]++
	c := &fakeClaim{session: a.GetSession(), seq: a.GetSequence(), items: a.GetItems()}
	if e := f.claim(c, a.GetTry(), a.GetWaitMs()); e != nil {
		return &api.Response{Error: e}
	}
	return &api.Response{Result: &api.Response_Acquire{Acquire: f.state(c)}}
}

// claim queues a claim or candidacy and grants it if that is possible.
func (f *fakeCell) claim(c *fakeClaim, try bool, waitMs uint64) *api.Error {
	f.claims = append(f.claims, c)
	f.grant(false)
	if !c.granted && try {
		e := &api.Error{Code: api.Code_HELD, Definite: true}
		for _, o := range f.claims {
			if o.granted && conflict(o, c) {
				e.Holder, e.Token, e.SinceUnixMs, e.Position = o.session, o.token, time.Now().UnixMilli(), 1
			}
		}
		f.drop(c)
		return e
	}
	if !c.granted && waitMs > 0 {
		c.timer = time.AfterFunc(millis(waitMs), func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if c.granted || f.find(c.session, c.seq) == nil {
				return
			}
			f.drop(c)
			e := &api.Error{Code: api.Code_WAIT_TIMED_OUT, Message: "the wait ran out", Definite: true}
			f.tell(c.session, &api.ClaimEvent{Session: c.session, Sequence: c.seq, Error: e})
		})
	}
	return nil
}

func conflict(a, b *fakeClaim) bool {
	for _, x := range a.items {
		for _, y := range b.items {
			if x.GetName() == y.GetName() && (x.GetMode() != api.Mode_SHARED || y.GetMode() != api.Mode_SHARED) {
				return true
			}
		}
	}
	return false
}

// grant grants what can be granted, in order, and tells of it.
func (f *fakeCell) grant(tell bool) {
	for i, c := range f.claims {
		if c.granted || slices.ContainsFunc(f.claims[:i], func(o *fakeClaim) bool { return conflict(o, c) }) {
			continue
		}
		f.revision++
		f.token++
		c.granted, c.token, c.revision = true, f.token, f.revision
		if c.timer != nil {
			c.timer.Stop()
		}
		if c.stands != nil {
			f.lead(c)
		}
		switch {
		case tell && c.stands != nil:
			f.tell(c.session, &api.ClaimEvent{Session: c.session, Sequence: c.seq, Leads: f.candidacy(c), Revision: f.revision})
		case tell:
			f.tell(c.session, &api.ClaimEvent{Session: c.session, Sequence: c.seq, Granted: f.state(c), Revision: f.revision})
		}
	}
}

func (f *fakeCell) state(c *fakeClaim) *api.AcquireResponse {
	out := &api.AcquireResponse{Session: c.session, Sequence: c.seq, State: api.ClaimState_CLAIM_QUEUED, Revision: f.revision, Position: 1}
	if c.granted {
		out.State, out.Token, out.Revision, out.Position, out.SinceUnixMs = api.ClaimState_CLAIM_GRANTED, c.token, c.revision, 0, time.Now().UnixMilli()
	}
	return out
}

func (f *fakeCell) tell(session uint64, e *api.ClaimEvent) {
	s := f.sessions[session]
	if s != nil && e.GetError() != nil {
		s.ended = append(s.ended, e)
		s.replies[e.GetSequence()] = &api.Response{Error: e.GetError()} // to a repetition from now on
	}
	if s != nil && s.stream != nil {
		s.stream.send(&api.Response{Result: &api.Response_Claim{Claim: e}})
	}
}

func (f *fakeCell) drop(c *fakeClaim) { f.dropFor(c, api.EndReason_END_RELEASED) }

func (f *fakeCell) dropFor(c *fakeClaim, why api.EndReason) {
	if i := slices.Index(f.claims, c); i >= 0 {
		f.claims = slices.Delete(f.claims, i, i+1)
		if c.granted {
			f.revision++
		}
		if c.granted && c.stands != nil {
			defer f.unlead(c, why)()
		}
		if c.timer != nil {
			c.timer.Stop()
		}
		f.grant(true)
	}
}

func (f *fakeCell) end(id uint64, why api.EndReason, message string) {
	s := f.sessions[id]
	if s == nil {
		return
	}
	s.timer.Stop()
	delete(f.sessions, id)
	for _, c := range slices.Clone(f.claims) {
		if c.session == id && !c.granted {
			f.drop(c)
		}
	}
	for _, c := range slices.Clone(f.claims) {
		if c.session == id {
			f.dropFor(c, why)
		}
	}
	if s.stream != nil {
		s.stream.send(&api.Response{Result: &api.Response_SessionEnded{SessionEnded: &api.SessionEnded{Session: id, Reason: why, Message: message, Revision: f.revision}}})
	}
}

func (f *fakeCell) keys(key, end []byte) []string {
	var out []string
	for k := range f.kvs {
		if inRange(k, key, end) {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

func inRange(k string, key, end []byte) bool {
	switch {
	case len(end) == 0:
		return k == string(key)
	case len(end) == 1 && end[0] == 0:
		return k >= string(key)
	default:
		return k >= string(key) && k < string(end)
	}
}

func (f *fakeCell) txn(q *api.TxnRequest) *api.Response {
	f.applied["txn"]++
	out := &api.TxnResponse{Succeeded: true}
	for _, c := range q.GetCompares() {
		if c.GetTarget() != api.Compare_MOD || f.kvs[string(c.GetKey())].GetModRevision() != c.GetNumber() {
			out.Succeeded = false
		}
	}
	ops := q.GetSuccess()
	if !out.Succeeded {
		ops = q.GetFailure()
	}
	f.revision++
	for _, o := range ops {
		switch x := o.GetOp().(type) {
		case *api.Op_Put:
			k := string(x.Put.GetKey())
			kv := &api.KeyValue{Key: x.Put.GetKey(), Value: x.Put.GetValue(), ModRevision: f.revision, CreateRevision: f.revision, Version: 1}
			prev := f.kvs[k]
			if prev != nil {
				kv.CreateRevision, kv.Version = prev.GetCreateRevision(), prev.GetVersion()+1
			}
			f.kvs[k] = kv
			f.log = append(f.log, fakeEvent{api.Space_KEYS, &api.WatchEvent{Kv: kv, Prev: prev}})
			out.Results = append(out.Results, &api.OpResult{Result: &api.OpResult_Put{Put: &api.PutResult{Prev: prev}}})
		case *api.Op_Delete:
			d := &api.DeleteResult{}
			for _, k := range f.keys(x.Delete.GetKey(), x.Delete.GetRangeEnd()) {
				d.Deleted++
				f.log = append(f.log, fakeEvent{api.Space_KEYS, &api.WatchEvent{Deleted: true, Kv: &api.KeyValue{Key: []byte(k), ModRevision: f.revision}, Prev: f.kvs[k]}})
				delete(f.kvs, k)
			}
			out.Results = append(out.Results, &api.OpResult{Result: &api.OpResult_Delete{Delete: d}})
		}
	}
	out.Revision = f.revision
	f.spread()
	return &api.Response{Result: &api.Response_Txn{Txn: out}}
}

// spread tells all watches of the newest revision.
func (f *fakeCell) spread() {
	for _, n := range f.nodes {
		for st := range n.streams {
			for id, w := range st.watches {
				f.deliver(st, id, w, f.revision)
			}
		}
	}
}

func (f *fakeCell) watch(st *fakeStream, id uint64, w *api.WatchRequest) *api.Response {
	from := w.GetFromRevision()
	if from != 0 && from <= f.compact {
		return &api.Response{Error: &api.Error{Code: api.Code_COMPACTED, Definite: true, Revision: f.compact + 1}}
	}
	st.watches[id] = w
	st.send(&api.Response{Id: id, Result: &api.Response_Watch{Watch: &api.WatchResponse{Started: true, Revision: f.revision}}})
	if from != 0 {
		for rev := from; rev <= f.revision; rev++ {
			f.deliver(st, id, w, rev)
		}
	}
	return nil
}

func (f *fakeCell) deliver(st *fakeStream, id uint64, w *api.WatchRequest, rev uint64) {
	out := &api.WatchResponse{Revision: rev}
	for _, e := range f.log {
		if e.space == w.GetSpace() && e.GetKv().GetModRevision() == rev && inRange(string(e.GetKv().GetKey()), w.GetKey(), w.GetRangeEnd()) {
			out.Events = append(out.Events, e.WatchEvent)
		}
	}
	for f.partsOf > 0 && len(out.Events) > f.partsOf {
		st.send(&api.Response{Id: id, Result: &api.Response_Watch{Watch: &api.WatchResponse{Revision: rev - 1, Events: out.Events[:f.partsOf]}}})
		out.Events = out.Events[f.partsOf:]
		if f.breakAfterPart {
			f.breakAfterPart = false
			time.AfterFunc(time.Millisecond, st.break_)
			return
		}
	}
	if len(out.Events) > 0 {
		st.send(&api.Response{Id: id, Result: &api.Response_Watch{Watch: out}})
	}
}

// with runs f with the cell's lock.
func (f *fakeCell) with(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// cut breaks every connection to a node.
func (f *fakeCell) cut(endpoint string) {
	f.with(func() {
		for st := range f.nodes[endpoint].streams {
			st.break_()
		}
	})
}

// hook sets what a node does to requests; nil: nothing.
func (f *fakeCell) hook(endpoint string, h func(*api.Request) fault) {
	f.with(func() { f.nodes[endpoint].hook = h })
}

// queue tells who holds and who awaits a lock.
func (f *fakeCell) queue(name string) (holders, waiters int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.claims {
		for _, i := range c.items {
			if i.GetName() == name && c.granted {
				holders++
			} else if i.GetName() == name {
				waiters++
			}
		}
	}
	return holders, waiters
}
