package coordinator

import (
	"context"
	"crypto/rand"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcmigrate"

	"github.com/conch-lock/conch/api"
)

// client is a client of the tests: one stream, whose answers are kept until
// somebody asks for them.
type client struct {
	t      *testing.T
	conn   *drpcconn.Conn
	stream api.DRPCConch_StreamClient
	hello  *api.HelloResponse

	mu      sync.Mutex
	id      uint64
	answers map[uint64][]*api.Response
	pushed  []*api.Response
	err     error
	changed chan struct{} // closed and replaced with every change
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func dialDRPC(t testing.TB, address string) *drpcconn.Conn {
	t.Helper()
	raw, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatalf("dial %s: %v", address, err)
	}
	conn := drpcconn.New(drpcmigrate.NewHeaderConn(raw, drpcmigrate.DRPCHeader))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// connect opens a stream and says hello.
func connect(t *testing.T, address string) *client {
	t.Helper()
	return greet(t, dialDRPC(t, address))
}

func greet(t *testing.T, conn *drpcconn.Conn) *client {
	t.Helper()
	c := &client{t: t, conn: conn, answers: map[uint64][]*api.Response{}, changed: make(chan struct{})}
	var err error
	if c.stream, err = api.NewDRPCConchClient(c.conn).Stream(context.Background()); err != nil {
		t.Fatalf("open a stream: %v", err)
	}
	go c.read() // ends with the connection
	c.hello = c.must(&api.Request{Op: &api.Request_Hello{Hello: &api.Hello{Client: "test"}}}).GetHello()
	return c
}

func (c *client) read() {
	for {
		frames, err := c.stream.Recv()
		c.mu.Lock()
		for _, r := range frames.GetResponses() {
			if r.GetId() == 0 {
				c.pushed = append(c.pushed, r)
			} else {
				c.answers[r.GetId()] = append(c.answers[r.GetId()], r)
			}
		}
		if err != nil {
			c.err = err
		}
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// await waits until f, which is called with the lock held, says true.
func (c *client) await(what string, f func() bool) {
	c.t.Helper()
	timeout := time.After(patience)
	for {
		c.mu.Lock()
		ok, err, changed := f(), c.err, c.changed
		c.mu.Unlock()
		if ok {
			return
		}
		if err != nil {
			c.t.Fatalf("waiting for %s: the stream ended: %v", what, err)
		}
		select {
		case <-changed:
		case <-timeout:
			c.t.Fatalf("waiting for %s: nothing came", what)
		}
	}
}

// send sends a request and returns its id.
func (c *client) send(req *api.Request) uint64 {
	c.t.Helper()
	c.mu.Lock()
	c.id++
	req.Id = c.id
	c.mu.Unlock()
	if err := c.stream.Send(&api.ClientFrames{Requests: []*api.Request{req}}); err != nil {
		c.t.Fatalf("send %T: %v", req.GetOp(), err)
	}
	return req.Id
}

// answer waits for the next answer to a request.
func (c *client) answer(id uint64) (r *api.Response) {
	c.t.Helper()
	c.await("an answer", func() bool {
		if list := c.answers[id]; len(list) > 0 {
			r, c.answers[id] = list[0], list[1:]
		}
		return r != nil
	})
	return r
}

func (c *client) call(req *api.Request) *api.Response {
	c.t.Helper()
	return c.answer(c.send(req))
}

// must is call for a request that must not be refused.
func (c *client) must(req *api.Request) *api.Response {
	c.t.Helper()
	r := c.call(req)
	if r.GetError() != nil {
		c.t.Fatalf("%T refused: %v", req.GetOp(), r.GetError())
	}
	return r
}

// event waits for the first pushed response that f accepts, and takes it.
func (c *client) event(what string, f func(*api.Response) bool) (found *api.Response) {
	c.t.Helper()
	c.await(what, func() bool {
		for i, r := range c.pushed {
			if f(r) {
				found = r
				c.pushed = append(c.pushed[:i:i], c.pushed[i+1:]...)
				return true
			}
		}
		return false
	})
	return found
}

// over waits for the end of the stream.
func (c *client) over() error {
	c.t.Helper()
	timeout := time.After(patience)
	for {
		c.mu.Lock()
		err, changed := c.err, c.changed
		c.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-timeout:
			c.t.Fatal("the stream did not end")
		}
	}
}

func (c *client) open(ttl time.Duration) uint64 {
	c.t.Helper()
	return c.openNonce(newNonce(), ttl)
}

func newNonce() []byte {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	return nonce
}

func (c *client) openNonce(nonce []byte, ttl time.Duration) uint64 {
	c.t.Helper()
	return c.must(&api.Request{Op: &api.Request_OpenSession{OpenSession: &api.OpenSessionRequest{
		Nonce: nonce, TtlMs: uint64(ttl.Milliseconds()), Labels: map[string]string{"who": "test"},
	}}}).GetOpenSession().GetSession()
}

func acquire(session, sequence uint64, names ...string) *api.AcquireRequest {
	q := &api.AcquireRequest{Session: session, Sequence: sequence}
	for _, n := range names {
		q.Items = append(q.Items, &api.ClaimItem{Name: n})
	}
	return q
}

func (c *client) acquire(q *api.AcquireRequest) *api.Response {
	c.t.Helper()
	return c.call(&api.Request{Op: &api.Request_Acquire{Acquire: q}})
}

// granted acquires and insists on a grant at once.
func (c *client) granted(session, sequence uint64, names ...string) *api.AcquireResponse {
	c.t.Helper()
	r := c.acquire(acquire(session, sequence, names...)).GetAcquire()
	if r.GetState() != api.ClaimState_CLAIM_GRANTED {
		c.t.Fatalf("acquire %v: %v, want a grant", names, r)
	}
	return r
}

func (c *client) release(session, sequence uint64, name string, token uint64) *api.Response {
	c.t.Helper()
	return c.call(&api.Request{Op: &api.Request_Release{Release: &api.ReleaseRequest{
		Session: session, Sequence: sequence, Name: name, Token: token,
	}}})
}

func (c *client) beat(session, number uint64) {
	c.t.Helper()
	err := c.stream.Send(&api.ClientFrames{Requests: []*api.Request{{Op: &api.Request_KeepAlive{KeepAlive: &api.KeepAliveRequest{
		Sessions: []*api.KeepAlive{{Session: session, Number: number}},
	}}}}})
	if err != nil {
		c.t.Fatalf("keep-alive: %v", err)
	}
}

func (c *client) claimEvent(session, sequence uint64) *api.ClaimEvent {
	c.t.Helper()
	return c.event("the event of a claim", func(r *api.Response) bool {
		return r.GetClaim().GetSession() == session && r.GetClaim().GetSequence() == sequence
	}).GetClaim()
}

func (c *client) put(key, value string) uint64 {
	c.t.Helper()
	return c.must(putRequest(key, value)).GetTxn().GetRevision()
}

func putRequest(key, value string) *api.Request {
	return &api.Request{Op: &api.Request_Txn{Txn: &api.TxnRequest{Success: []*api.Op{{Op: &api.Op_Put{
		Put: &api.PutOp{Key: []byte(key), Value: []byte(value)},
	}}}}}}
}

// gatedConn is a connection whose reads stop while it is shut.
type gatedConn struct {
	net.Conn
	shut atomic.Bool
	open chan struct{} // closed when it opens again
}

func (g *gatedConn) Read(p []byte) (int, error) {
	if g.shut.Load() {
		<-g.open
	}
	return g.Conn.Read(p)
}
