package transport

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conch-lock/conch/internal/onestream"
	"github.com/conch-lock/conch/raftnode"
	"github.com/rs/zerolog"
	"storj.io/drpc/drpcmanager"
	"storj.io/drpc/drpcwire"
)

func TestReconnectsAfterRestart(t *testing.T) {
	checkLeaks(t)
	a, b := pair(t, nil)
	for restart := range uint64(3) {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if id := receive(t, a.lost, "the loss"); id != 2 {
			t.Fatalf("lost node %v", id)
		}
		a.waitFor(t, 2, "gone", func(s PeerStats) bool { return !s.Connected })
		b = startOn(t, listen(t, b.addr), 2, nil)
		b.SetPeers(map[raftnode.NodeID]string{1: a.addr})
		a.waitFor(t, 2, "back", func(s PeerStats) bool { return s.Connected && s.Receiving })
		a.Send(1, heartbeat(1, 2, restart))
		if got := receive(t, b.got, "a message after the restart"); got.msg.GetCommit() != restart {
			t.Errorf("got %v", got.msg)
		}
	}
	if s, _ := a.statsOf(2); s.Broken != 3 || s.Silent != 0 || s.LastError != "" {
		t.Errorf("stats: %+v", s)
	}
}

// TestMain lets the test binary be the process that a test kills.
func TestMain(m *testing.M) {
	if address := os.Getenv("TRANSPORT_TEST_VICTIM_OF"); address != "" {
		victim(address)
		return
	}
	os.Exit(m.Run())
}

// victim is node 2 of a cluster with node 1 at the address, until it is killed.
func victim(address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	r := newRecorder()
	tr, err := New(Config{Listener: l, Logger: zerolog.Nop()}, raftnode.Identity{Cluster: testCluster, Node: 2}, r)
	if err != nil {
		panic(err)
	}
	tr.SetPeers(map[raftnode.NodeID]string{1: address})
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the test, should it forget to kill
}

func TestKilledProcessIsReportedAtOnce(t *testing.T) {
	a := start(t, 1, nil)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TRANSPORT_TEST_VICTIM_OF="+a.addr)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	a.SetPeers(map[raftnode.NodeID]string{2: strings.TrimSpace(address)})
	a.waitFor(t, 2, "connected both ways", func(s PeerStats) bool { return s.Connected && s.Receiving })

	// Nothing is being sent.
	killed := time.Now()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	receive(t, a.lost, "the loss")
	took := time.Since(killed)
	_ = cmd.Wait()
	t.Logf("reported after %v", took)
	if took > 500*time.Millisecond {
		t.Errorf("reported %v after the kill", took)
	}
	if s := a.waitFor(t, 2, "gone", func(s PeerStats) bool { return !s.Connected }); s.Broken != 1 || s.Silent != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// proxy passes bytes on to an address until it is muted or cut.
type proxy struct {
	net.Listener
	to string

	mu    sync.Mutex
	cond  *sync.Cond
	mute  bool
	conns []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	p := &proxy{Listener: listen(t, "127.0.0.1:0"), to: to}
	p.cond = sync.NewCond(&p.mu)
	go func() {
		for {
			in, err := p.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", p.to)
			if err != nil {
				_ = in.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, in, out)
			p.mu.Unlock()
			go p.pass(in, out)
			go p.pass(out, in)
		}
	}()
	t.Cleanup(func() { _ = p.Close(); p.set(false); p.cut() })
	return p
}

func (p *proxy) pass(from, to net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		for p.mute {
			p.cond.Wait()
		}
		p.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}

func (p *proxy) set(mute bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = mute
	p.cond.Broadcast()
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func TestEitherDirectionReportsTheBreak(t *testing.T) {
	for _, which := range []string{"to the peer", "from the peer"} {
		t.Run(which, func(t *testing.T) {
			a, b := start(t, 1, nil), start(t, 2, nil)
			toA, toB := newProxy(t, a.addr), newProxy(t, b.addr)
			a.SetPeers(map[raftnode.NodeID]string{2: toB.Addr().String()})
			b.SetPeers(map[raftnode.NodeID]string{1: toA.Addr().String()})
			for _, n := range []*node{a, b} {
				n.waitFor(t, 3-n.id, "connected both ways", func(s PeerStats) bool { return s.Connected && s.Receiving })
			}
			if which == "to the peer" {
				toB.cut()
			} else {
				toA.cut()
			}
			receive(t, a.lost, "the loss at one end")
			receive(t, b.lost, "the loss at the other")
			for _, n := range []*node{a, b} {
				n.waitFor(t, 3-n.id, "connected again", func(s PeerStats) bool { return s.Connected && s.Receiving })
			}
		})
	}
}

func TestSilenceIsNotALoss(t *testing.T) {
	a, b := start(t, 1, func(c *Config) {
		c.WriteTimeout = 100 * time.Millisecond
		c.HandshakeTimeout = 100 * time.Millisecond
	}), start(t, 2, nil)
	toB := newProxy(t, b.addr)
	a.SetPeers(map[raftnode.NodeID]string{2: toB.Addr().String()})
	b.SetPeers(map[raftnode.NodeID]string{1: a.addr})
	a.waitFor(t, 2, "connected", func(s PeerStats) bool { return s.Connected })

	toB.set(true)
	data := make([]byte, 256<<10)
	a.waitFor(t, 2, "silent", func(s PeerStats) bool {
		a.Send(1, appendOf(1, 2, 1, data)) // until the buffers between are full
		return s.Silent == 1
	})
	a.waitFor(t, 2, "failing to reconnect", func(s PeerStats) bool { return s.DialFailures > 0 })
	if len(a.lost) != 0 {
		t.Error("silence was reported as a loss")
	}
	receive(t, a.unreachable, "notice of what was dropped")

	// Its process has ended meanwhile, as the first refused attempt shows.
	_ = toB.Close()
	toB.set(false)
	toB.cut()
	receive(t, a.lost, "the loss")
}

func TestStrangersAreRefused(t *testing.T) {
	cluster := func(id uint64) func(*testing.T, *node) {
		return func(t *testing.T, b *node) {
			a := newRecorder()
			tr, err := New(Config{Listener: listen(t, "127.0.0.1:0"), Logger: zerolog.Nop()}, raftnode.Identity{Cluster: id, Node: 1}, a)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = tr.Close() })
			b.SetPeers(map[raftnode.NodeID]string{1: "127.0.0.1:1"})
			tr.SetPeers(map[raftnode.NodeID]string{2: b.addr})
			n := &node{Transport: tr, recorder: a, id: 1, log: &syncBuffer{}}
			expectRefusal(t, n, 2, "this node belongs to cluster c0c4, the dialing one to cluster 5")
		}
	}
	for name, try := range map[string]func(*testing.T, *node){
		"another cluster": cluster(5),
		"wrong node": func(t *testing.T, b *node) {
			a := start(t, 1, nil)
			a.SetPeers(map[raftnode.NodeID]string{3: b.addr})
			expectRefusal(t, a, 3, "this is node 2 (n2), the dialing one looks for node 3")
		},
		"unknown node": func(t *testing.T, b *node) {
			a := start(t, 1, nil)
			b.SetPeers(map[raftnode.NodeID]string{7: "127.0.0.1:1"})
			a.SetPeers(map[raftnode.NodeID]string{2: b.addr})
			expectRefusal(t, a, 2, "node 1 is not a member known to node 2")
		},
		"same id": func(t *testing.T, b *node) {
			a := start(t, 2, nil)
			a.SetPeers(map[raftnode.NodeID]string{3: b.addr})
			expectRefusal(t, a, 3, "this is node 2")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, 2, nil)
			try(t, b)
			if len(b.got) != 0 || b.Stats().Refused == 0 {
				t.Errorf("stats: %+v", b.Stats())
			}
		})
	}
}

func expectRefusal(t *testing.T, n *node, to raftnode.NodeID, text string) {
	t.Helper()
	n.waitFor(t, to, "refused", func(s PeerStats) bool { return strings.Contains(s.LastError, text) })
	if s, _ := n.statsOf(to); s.Connects != 0 {
		t.Errorf("connected: %+v", s)
	}
	if len(n.lost) != 0 {
		t.Error("a refusal was reported as a loss")
	}
}

// handshakeWith sends a hello as it is given and returns the answer's error.
func handshakeWith(t *testing.T, to *node, rpc string, data []byte) error {
	t.Helper()
	raw, err := net.Dial("tcp", to.addr)
	if err != nil {
		t.Fatal(err)
	}
	man := drpcmanager.New(raw)
	defer man.Close()
	s, err := man.NewClientStream(t.Context(), rpc)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RawWrite(drpcwire.KindInvoke, []byte(rpc)); err != nil {
		t.Fatal(err)
	}
	if err := newFrameWriter(s, &codec{max: 1 << 20}).send(&frame{kind: kindHello, data: data}); err != nil {
		return err
	}
	var f frame
	return s.MsgRecv(&f, &codec{max: 1 << 20})
}

func TestHelloIsChecked(t *testing.T) {
	b := start(t, 2, nil)
	good := hello{version: protocolVersion, cluster: testCluster, from: 1, to: 2}
	if err := handshakeWith(t, b, rpcMessages, good.encode()); err != nil {
		t.Fatalf("a good hello was refused: %v", err)
	}
	old, odd := good, good
	old.version = 77
	for name, c := range map[string]struct {
		rpc  string
		data []byte
		why  Refusal
	}{
		"version":       {rpcMessages, old.encode(), RefusedVersion},
		"longer":        {rpcMessages, append(odd.encode(), 1), RefusedMessage},
		"no magic":      {rpcMessages, []byte("GET / HTTP/1.1"), RefusedMessage},
		"empty":         {rpcMessages, nil, RefusedMessage},
		"unknown":       {"/conch.v1.Conch/Stream", good.encode(), RefusedMessage},
		"snapshot, old": {rpcSnapshot, old.encode(), RefusedVersion},
	} {
		t.Run(name, func(t *testing.T) {
			refused := refusal(2, handshakeWith(t, b, c.rpc, c.data))
			if refused == nil || refused.Refusal != c.why {
				t.Errorf("answer %v, want refusal %d", refused, c.why)
			}
		})
	}
}

// TestMoreThanAHello: whoever does not wait for the welcome is refused, and holds
// nothing up.
func TestMoreThanAHello(t *testing.T) {
	checkLeaks(t)
	b := start(t, 2, func(c *Config) { c.HandshakeTimeout = 200 * time.Millisecond })
	raw, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	out := drpcwire.AppendFrame(nil, drpcwire.Frame{ID: drpcwire.ID{Stream: 1, Message: 1}, Kind: drpcwire.KindInvoke, Data: []byte(rpcMessages), Done: true})
	data := append([]byte{byte(kindHello)}, hello{version: protocolVersion, cluster: testCluster, from: 1, to: 2}.encode()...)
	for i := range uint64(3) {
		out = drpcwire.AppendFrame(out, drpcwire.Frame{ID: drpcwire.ID{Stream: 1, Message: 2 + i}, Kind: drpcwire.KindMessage, Data: data, Done: true})
	}
	if _, err := raw.Write(out); err != nil {
		t.Fatal(err)
	}
	if _, err = onestream.NewReader(raw, 1<<20).Next(); refusal(2, err) == nil || refusal(2, err).Refusal != RefusedMessage {
		t.Errorf("answer %v, want refusal %d", err, RefusedMessage)
	}
	if err := handshakeWith(t, b, rpcMessages, data[1:]); err != nil {
		t.Errorf("a good hello was refused then: %v", err)
	}
}

func TestNodeWithoutPeersListensToItsCluster(t *testing.T) {
	joining, leader := start(t, 2, nil), start(t, 1, nil)
	leader.SetPeers(map[raftnode.NodeID]string{2: joining.addr})
	leader.waitFor(t, 2, "connected", func(s PeerStats) bool { return s.Connected })
	leader.Send(1, heartbeat(1, 2, 1))
	receive(t, joining.got, "a message")
	if joining.SendPayload(1, 1, []byte("x")) {
		t.Error("took a payload for a node whose address it does not know")
	}
	// Being told where the others are does not disturb the connection.
	joining.SetPeers(map[raftnode.NodeID]string{1: leader.addr, 2: joining.addr})
	joining.waitFor(t, 1, "connected", func(s PeerStats) bool { return s.Connected && s.Receiving })
	leader.Send(1, heartbeat(1, 2, 2))
	receive(t, joining.got, "a message")
	if s, _ := leader.statsOf(2); s.Connects != 1 {
		t.Errorf("the leader connected %d times", s.Connects)
	}
	if _, known := joining.statsOf(2); known {
		t.Error("a node is its own peer")
	}
}

func TestRemovedPeerIsCutOff(t *testing.T) {
	a, b := pair(t, nil)
	a.SetPeers(map[raftnode.NodeID]string{3: "127.0.0.1:1"})
	expect := "node 2 is not a member known to node 1"
	b.waitFor(t, 1, "refused", func(s PeerStats) bool { return !s.Connected && !s.Receiving && strings.Contains(s.LastError, expect) })
	if len(a.lost) != 0 {
		t.Error("the removal was reported as a loss")
	}
	a.Send(1, heartbeat(1, 2, 1))
	if n := receive(t, a.unreachable, "notice"); n != (notice{1, 2}) {
		t.Errorf("notice %v", n)
	}
}

func TestPeerThatMovedIsFound(t *testing.T) {
	a, b := pair(t, nil)
	moved := newProxy(t, b.addr)
	a.SetPeers(map[raftnode.NodeID]string{2: moved.Addr().String()})
	a.waitFor(t, 2, "connected at the new address", func(s PeerStats) bool {
		return s.Connects == 2 && s.Connected && s.Address == moved.Addr().String()
	})
	a.Send(1, heartbeat(1, 2, 1))
	receive(t, b.got, "a message")
	if len(a.lost) != 0 {
		t.Error("the move was reported as a loss")
	}
}

func TestRandomBytesDoNoHarm(t *testing.T) {
	checkLeaks(t)
	a, b := pair(t, func(c *Config) { c.HandshakeTimeout = time.Second })
	rng := rand.New(rand.NewPCG(1, 2))
	var open []net.Conn
	for range 60 {
		c, err := net.Dial("tcp", b.addr)
		if err != nil {
			t.Fatal(err)
		}
		junk := make([]byte, 1+rng.IntN(64<<10))
		for i := range junk {
			junk[i] = byte(rng.Uint32())
		}
		if rng.IntN(2) == 0 { // a frame that promises to be long
			copy(junk, []byte{byte(drpcwire.KindInvoke) << 1, 1, 1, 0xff, 0xff, 0xff, 0x7f})
		}
		_, _ = c.Write(junk)
		if rng.IntN(2) == 0 {
			_ = c.Close()
			continue
		}
		open = append(open, c)
	}
	for _, c := range open { // the node ends them
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a connection of random bytes was kept open")
		}
		_ = c.Close()
	}
	a.Send(1, heartbeat(1, 2, 1))
	receive(t, b.got, "a message")
	wait(t, func() bool { return b.Stats().Connections == 1 }, func() string {
		return fmt.Sprintf("connections left: %+v", b.Stats())
	})
	if s, _ := a.statsOf(2); s.Connects != 1 {
		t.Errorf("the peer's connection was disturbed: %+v", s)
	}
}

func TestSilentConnectionsAreBoundedAndEnded(t *testing.T) {
	b := start(t, 2, func(c *Config) {
		c.HandshakeTimeout = time.Second
		c.MaxHandshakes = 4
	})
	conns := make([]net.Conn, 12)
	for i := range conns {
		c, err := net.Dial("tcp", b.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	wait(t, func() bool { return b.Stats().Limited == 8 }, func() string {
		return fmt.Sprintf("8 of 12 connections should be turned away: %+v", b.Stats())
	})
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a silent connection was kept open: %v", err)
		}
	}
	// There is room again.
	if err := handshakeWith(t, b, rpcMessages, hello{version: protocolVersion, cluster: testCluster, from: 1, to: 2}.encode()); err != nil {
		t.Errorf("a good hello was refused: %v", err)
	}
}

// TestStrangersDoNotKeepNodesOut: while silent connections take all places of the
// handshake, a node gets in.
func TestStrangersDoNotKeepNodesOut(t *testing.T) {
	b := start(t, 2, func(c *Config) {
		c.HandshakeTimeout = time.Hour
		c.MaxHandshakes, c.MaxConnections = 4, 6
	})
	var conns []net.Conn
	for range 20 {
		c, err := net.Dial("tcp", b.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	wait(t, func() bool { return b.Stats().Accepted == 20 }, func() string { return fmt.Sprintf("%+v", b.Stats()) })
	if err := handshakeWith(t, b, rpcMessages, hello{version: protocolVersion, cluster: testCluster, from: 1, to: 2}.encode()); err != nil {
		t.Errorf("a node among strangers: %v", err)
	}
	// Those that came first were closed for it.
	_ = conns[0].SetReadDeadline(time.Now().Add(patience))
	if _, err := conns[0].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the oldest stranger is still there: %v", err)
	}
	if s := b.Stats(); s.Limited < 16 || s.Connections > 6 {
		t.Errorf("%+v", s)
	}
}

func TestCloseEndsEverythingUnderLoad(t *testing.T) {
	checkLeaks(t)
	a, b := pair(t, nil)
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for _, n := range []*node{a, b} {
		senders.Go(func() {
			for i := uint64(0); ; i++ {
				select {
				case <-stop:
					return
				default:
					n.Send(1, heartbeat(n.id, 3-n.id, i))
					n.SendPayload(1, 3-n.id, []byte("x"))
				}
			}
		})
		go func() {
			for range n.got { // until the end of the test
			}
		}()
	}
	a.waitFor(t, 2, "sending", func(s PeerStats) bool { return s.SentMessages > 1000 })
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := a.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	close(stop)
	senders.Wait()
	close(a.got) // a call of the receiver from here on would panic
	close(b.got)
}

func TestConfigIsChecked(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	_, err := New(Config{Listener: l, MaxMessageBytes: 9 << 20, SilenceTimeout: 1, RetryMin: time.Second, MaxSnapshots: -1},
		raftnode.Identity{}, nil)
	for _, want := range []string{"MaxMessageBytes is 9437184", "SilenceTimeout is 1ns", "RetryMax", "MaxSnapshots is -1", "identity", "receiver"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not mention %q", err, want)
		}
	}
	if _, err := l.Accept(); !isClosed(err) {
		t.Errorf("the listener was left open: %v", err)
	}
}

// TestOtherDirectoryIsRefused: each node tells the number of its data directory; one that the other side will not admit
// with it hears that it is expelled, and no message of it is taken.
func TestOtherDirectoryIsRefused(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	var asked atomic.Uint64
	b.recorder.mu.Lock()
	b.recorder.admit = func(from raftnode.NodeID, directory uint64) error {
		asked.Store(uint64(from)<<32 | directory)
		return raftnode.ErrOtherDirectory
	}
	b.recorder.mu.Unlock()
	a.self.Directory = 77 // before it connects to anybody
	a.SetPeers(map[raftnode.NodeID]string{2: b.addr})
	b.SetPeers(map[raftnode.NodeID]string{1: a.addr})
	err := receive(t, a.expelled, "being expelled")
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Refusal != RefusedDirectory || refused.Peer != 2 {
		t.Errorf("expelled with: %v", err)
	}
	if got := asked.Load(); got != 1<<32|77 {
		t.Errorf("asked for node %d with directory %d, want node 1 with 77", got>>32, uint32(got))
	}
	a.Send(1, heartbeat(1, 2, 1))
	if s, _ := b.statsOf(1); s.ReceivedMessages != 0 || s.Receiving {
		t.Errorf("taken from an expelled node: %+v", s)
	}
}
