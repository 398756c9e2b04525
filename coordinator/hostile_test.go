package coordinator

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcmanager"
	"storj.io/drpc/drpcmigrate"
	"storj.io/drpc/drpcwire"

	"github.com/conch-lock/conch/api"
)

// TestSlowReader: a client that asks for much and reads nothing is cut off, and
// another one does not notice.
func TestSlowReader(t *testing.T) {
	t.Run("too much waits", func(t *testing.T) {
		slowReader(t, 64, func(cfg *Config) {
			cfg.MaxQueueBytes = 8 << 20
			cfg.WriteTimeout = 30 * time.Second // it is the queue that has to be full
		})
	})
	t.Run("it waits too long", func(t *testing.T) {
		slowReader(t, 16, func(cfg *Config) {
			cfg.MaxQueueBytes = 256 << 20
			cfg.WriteTimeout = 300 * time.Millisecond
		})
	})
}

func slowReader(t *testing.T, ranges uint64, configure func(*Config)) {
	c := newCluster(t, 1, configure)
	good := connect(t, c.address(0))
	big := strings.Repeat("v", 1<<20)
	for i := range 3 {
		good.put(fmt.Sprintf("big%d", i), big)
	}
	raw, err := net.Dial("tcp", c.address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.(*net.TCPConn).SetReadBuffer(4096) // smaller buffers only make it quicker
	w := drpcwire.NewWriter(drpcmigrate.NewHeaderConn(raw, drpcmigrate.DRPCHeader), 0)
	send := func(message uint64, kind drpcwire.Kind, data []byte) error {
		err := w.WriteFrame(drpcwire.Frame{ID: drpcwire.ID{Stream: 1, Message: message}, Kind: kind, Data: data, Done: true})
		if err == nil {
			err = w.Flush()
		}
		return err
	}
	if err := send(1, drpcwire.KindInvoke, []byte("/conch.v1.Conch/Stream")); err != nil {
		t.Fatal(err)
	}
	hello, _ := (&api.ClientFrames{Requests: []*api.Request{{Id: 1, Op: &api.Request_Hello{Hello: &api.Hello{}}}}}).MarshalVT()
	if err := send(2, drpcwire.KindMessage, hello); err != nil {
		t.Fatal(err)
	}
	for i := range ranges {
		b, _ := (&api.ClientFrames{Requests: []*api.Request{{Id: 2 + i, Op: &api.Request_Range{Range: &api.RangeRequest{
			Key: []byte("big0"), RangeEnd: []byte("big9"),
		}}}}}).MarshalVT()
		if send(3+i, drpcwire.KindMessage, b) != nil {
			break // cut off already
		}
	}
	eventually(t, "the slow client to be cut off", func() bool {
		_, body := get(t, "http://"+c.address(0)+"/metrics")
		return strings.Contains(body, "conch_streams_cut_off_total 1") && strings.Contains(body, "conch_streams 1")
	})
	good.put("k", "v")
}

// TestSlowWatcher: a watcher that does not read is told LAGGING and where to go
// on, once it reads again; its other requests go on.
func TestSlowWatcher(t *testing.T) {
	c := newCluster(t, 1, func(cfg *Config) {
		cfg.MaxQueueBytes = 8 << 20
		cfg.WatchStall = 300 * time.Millisecond
		cfg.WriteTimeout = 30 * time.Second
	})
	good := connect(t, c.address(0))
	gate := &gatedConn{open: make(chan struct{})}
	slow := connectThrough(t, c.address(0), gate)
	w := slow.watch(watchKeys("k", "", 0))
	gate.shut.Store(true)
	value := strings.Repeat("v", 512<<10)
	first := good.put("k", value)
	last := first
	for range 40 {
		last = good.put("k", value)
	}
	lagging := func() bool {
		_, body := get(t, "http://"+c.address(0)+"/metrics")
		return strings.Contains(body, "conch_watches_lagging_total 1")
	}
	eventually(t, "the watch to be ended", lagging)
	gate.shut.Store(false)
	close(gate.open)
	next := untilLagging(slow, w, first)
	if next > last {
		t.Fatal("the watch missed nothing: it was not slow")
	}
	// It goes on where it was told to, more than once where the machine is slow.
	for again := slow.watch(watchKeys("k", "", next)); next <= last; {
		r := slow.answer(again)
		if e := r.GetError(); e.GetCode() == api.Code_LAGGING && e.GetRevision() == next {
			again = slow.watch(watchKeys("k", "", next))
			continue
		}
		for _, e := range r.GetWatch().GetEvents() {
			if e.GetKv().GetModRevision() != next {
				t.Fatalf("resumed: event of revision %d, want %d", e.GetKv().GetModRevision(), next)
			}
			next++
		}
		if r.GetError() != nil {
			t.Fatalf("resumed: %v", r.GetError())
		}
	}
}

// untilLagging reads a watch: what was delivered comes first, from revision next
// on and without a gap, then the word LAGGING with the revision that follows.
func untilLagging(c *client, watch, next uint64) uint64 {
	c.t.Helper()
	for {
		r := c.answer(watch)
		if e := r.GetError(); e != nil {
			if e.GetCode() != api.Code_LAGGING || e.GetRevision() != next {
				c.t.Fatalf("ended with %v, want LAGGING at revision %d", e, next)
			}
			return next
		}
		for _, e := range r.GetWatch().GetEvents() {
			if e.GetKv().GetModRevision() != next {
				c.t.Fatalf("event of revision %d, want %d", e.GetKv().GetModRevision(), next)
			}
			next++
		}
	}
}

// TestWatcherBehindCompaction: a watcher that reads too late for the history is
// told so, and is not led on past what is gone.
func TestWatcherBehindCompaction(t *testing.T) {
	c := newCluster(t, 1, func(cfg *Config) {
		cfg.MaxQueueBytes = 8 << 20
		cfg.WatchStall = time.Minute
		cfg.WriteTimeout = 30 * time.Second
	})
	good := connect(t, c.address(0))
	gate := &gatedConn{open: make(chan struct{})}
	slow := connectThrough(t, c.address(0), gate)
	w := slow.watch(watchKeys("k", "", 0))
	gate.shut.Store(true)
	value := strings.Repeat("v", 512<<10)
	first := good.put("k", value)
	last := first
	for range 40 {
		last = good.put("k", value)
	}
	good.must(&api.Request{Op: &api.Request_Compact{Compact: &api.CompactRequest{Revision: last}}})
	gate.shut.Store(false)
	close(gate.open)
	if next := untilLagging(slow, w, first); next >= last {
		t.Fatal("the watch missed nothing: it was not slow")
	}
}

func TestOversizedFrame(t *testing.T) {
	c := newCluster(t, 1, nil)
	good, bad := connect(t, c.address(0)), connect(t, c.address(0))
	err := bad.stream.Send(&api.ClientFrames{Requests: []*api.Request{putRequest("k", strings.Repeat("v", 5<<20))}})
	if err == nil {
		err = bad.over()
	}
	if err == nil {
		t.Error("a frame of 5 MiB was taken")
	}
	// Within the frame's bound and over the value's: refused, and the stream lives.
	r := good.call(putRequest("k", strings.Repeat("v", 2<<20)))
	if r.GetError().GetCode() != api.Code_INVALID_ARGUMENT {
		t.Errorf("a value of 2 MiB: %v", r)
	}
	// Too many requests at once: the stream is told, and ends.
	many := connect(t, c.address(0))
	frame := &api.ClientFrames{}
	for range maxRequests + 1 {
		frame.Requests = append(frame.Requests, &api.Request{Id: 9, Op: &api.Request_Status{Status: &api.StatusRequest{}}})
	}
	if err := many.stream.Send(frame); err != nil {
		t.Fatal(err)
	}
	many.over()
	many.event("the reason", func(r *api.Response) bool { return r.GetError().GetCode() == api.Code_INVALID_ARGUMENT })
	good.put("k", "v")
}

// TestRandomBytes throws bytes at the client port in all the ways there are.
func TestRandomBytes(t *testing.T) {
	c := newCluster(t, 1, func(cfg *Config) { cfg.idleTimeout = 500 * time.Millisecond })
	good := connect(t, c.address(0))
	rng := rand.New(rand.NewPCG(1, 2))
	junk := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	hello, _ := (&api.ClientFrames{Requests: []*api.Request{{Id: 1, Op: &api.Request_Hello{Hello: &api.Hello{}}}}}).MarshalVT()
	for i := range 200 {
		raw, err := net.Dial("tcp", c.address(0))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		switch i % 4 {
		case 0: // neither protocol
			b.Write(junk(1 + rng.IntN(300)))
		case 1: // DRPC, and then no frame
			b.WriteString(drpcmigrate.DRPCHeader)
			b.Write(junk(1 + rng.IntN(300)))
		case 2: // a message of the stream that is none
			b.WriteString(drpcmigrate.DRPCHeader)
			frame := func(message uint64, kind drpcwire.Kind, data []byte) {
				b.Write(drpcwire.AppendFrame(nil, drpcwire.Frame{ID: drpcwire.ID{Stream: 1, Message: message}, Kind: kind, Data: data, Done: true}))
			}
			frame(1, drpcwire.KindInvoke, []byte("/conch.v1.Conch/Stream"))
			if rng.IntN(2) == 0 {
				frame(2, drpcwire.KindMessage, hello)
			}
			frame(3, drpcwire.KindMessage, junk(1+rng.IntN(300)))
		case 3: // half a header
			b.WriteString(drpcmigrate.DRPCHeader[:1+rng.IntN(7)])
		}
		_, _ = raw.Write(b.Bytes()) // it may be closed already
		_ = raw.Close()
	}
	good.put("k", "v")
	eventually(t, "the connections to be closed", func() bool { return c.nodes[0].listener.connections() == 1 })
}

func TestOverload(t *testing.T) {
	c := newCluster(t, 3, func(cfg *Config) { cfg.MaxInFlight = 4 })
	follower := c.follower()
	a := connect(t, c.address(follower))
	session := a.open(time.Minute)
	grant := a.granted(session, 1, "held")
	for i := range c.nodes {
		if i != follower {
			c.kill(i)
		}
	}
	eventually(t, "the loss of the leader", func() bool { return c.nodes[follower].Leader() == "" })
	// Nothing is answered now, so requests pile up.
	var ids []uint64
	for i := range 5 {
		ids = append(ids, a.send(&api.Request{Op: &api.Request_Acquire{Acquire: acquire(session, uint64(2+i), "x")}}))
	}
	e := a.answer(ids[4]).GetError()
	if e.GetCode() != api.Code_OVERLOADED || e.GetRetryAfterMs() == 0 || !e.GetDefinite() {
		t.Errorf("the fifth of four: %v", e)
	}
	// A release is not refused for it.
	r := a.release(session, 20, "held", grant.GetToken())
	if r.GetError().GetCode() != api.Code_NO_LEADER && r.GetError().GetCode() != api.Code_UNKNOWN_OUTCOME {
		t.Errorf("release: %v", r)
	}
}

func TestFirstRequestIsHello(t *testing.T) {
	c := newCluster(t, 1, nil)
	conn := dialDRPC(t, c.address(0))
	stream, err := api.NewDRPCConchClient(conn).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&api.ClientFrames{Requests: []*api.Request{{Id: 1, Op: &api.Request_Status{Status: &api.StatusRequest{}}}}}); err != nil {
		t.Fatal(err)
	}
	frames, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if e := frames.GetResponses()[0].GetError(); e.GetCode() != api.Code_INVALID_ARGUMENT || !strings.Contains(e.GetMessage(), "hello") {
		t.Errorf("answer: %v", frames)
	}
}

// TestAcceptSurvives: a port whose Accept fails for a while works again.
func TestAcceptSurvives(t *testing.T) {
	base, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, 1, func(cfg *Config) { cfg.ClientListener = &failingListener{Listener: base, failures: 5} })
	connect(t, c.address(0)).put("k", "v")
	if n := c.nodes[0].listener.failed.Load(); n != 5 {
		t.Errorf("%d failures, want 5", n)
	}
}

type failingListener struct {
	net.Listener
	failures int
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}

func TestConnectionCap(t *testing.T) {
	c := newCluster(t, 1, func(cfg *Config) { cfg.MaxConnections = 2 })
	a := connect(t, c.address(0))
	b := connect(t, c.address(0))
	raw, err := net.Dial("tcp", c.address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.SetReadDeadline(time.Now().Add(patience))
	if n, err := raw.Read(make([]byte, 1)); err == nil || n != 0 || errors.Is(err, net.ErrClosed) {
		t.Errorf("the third connection of two: %d bytes, %v", n, err)
	} else if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		t.Error("the third connection of two was not closed")
	}
	_ = b.conn.Close()
	eventually(t, "room for another", func() bool { return c.nodes[0].listener.connections() == 1 })
	connect(t, c.address(0)).put("k", "v")
	a.put("k", "w")
}

// TestStrangersMakeRoom: connections that ask for nothing do not keep clients out.
func TestStrangersMakeRoom(t *testing.T) {
	c := newCluster(t, 1, func(cfg *Config) { cfg.MaxConnections, cfg.idleTimeout = 4, time.Hour })
	good := connect(t, c.address(0))
	for i := range 12 {
		raw, err := net.Dial("tcp", c.address(0))
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		if i%3 > 0 { // some say what they talk, and no more
			_, _ = raw.Write([]byte(drpcmigrate.DRPCHeader[:i%3*4]))
		}
	}
	another := connect(t, c.address(0))
	another.put("k", "v")
	good.put("k", "w")
	if n := c.nodes[0].listener.limited.Load(); n < 9 {
		t.Errorf("%d strangers were closed, want at least 9", n)
	}
}

// TestFilesAreSpared: clients cannot take the files that the log needs.
func TestFilesAreSpared(t *testing.T) {
	for limit, want := range map[uint64]int{0: 10_000, 256: 64, 400: 100, 1024: 640, 4096: 3712, 1 << 20: 10_000, 1 << 63: 10_000} {
		s := &Server{cfg: Config{}.withDefaults()}
		if s.spareFiles(limit); s.cfg.MaxConnections != want {
			t.Errorf("with %d files: %d connections, want %d", limit, s.cfg.MaxConnections, want)
		}
	}
}

// connectThrough is connect over a connection that the test holds.
func connectThrough(t *testing.T, address string, gate *gatedConn) *client {
	t.Helper()
	raw, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.(*net.TCPConn).SetReadBuffer(64 << 10)
	gate.Conn = raw
	conn := drpcconn.NewWithOptions(drpcmigrate.NewHeaderConn(gate, drpcmigrate.DRPCHeader), drpcconn.Options{
		Manager: drpcmanager.Options{Reader: drpcwire.ReaderOptions{MaximumBufferSize: 8 << 20}},
	})
	t.Cleanup(func() { _ = conn.Close() })
	return greet(t, conn)
}
