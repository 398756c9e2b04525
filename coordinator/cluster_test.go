package coordinator

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// cluster is nodes in this process, over loopback.
type cluster struct {
	t       *testing.T
	dir     string
	members []Member
	nodes   []*Server
	change  func(*Config)
}

// newCluster starts n nodes and waits until all are ready. change adjusts their
// configuration.
func newCluster(t *testing.T, n int, change func(*Config)) *cluster {
	t.Helper()
	checkGoroutines(t)
	c := &cluster{t: t, dir: t.TempDir(), change: change}
	var listeners []net.Listener
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		c.members = append(c.members, Member{Name: fmt.Sprintf("n%d", i+1), Peer: l.Addr().String()})
	}
	c.nodes = make([]*Server, n)
	t.Cleanup(func() {
		for _, s := range c.nodes {
			if s != nil {
				_ = s.Close()
			}
		}
	})
	for i, l := range listeners {
		c.start(i, l)
	}
	for _, s := range c.nodes {
		waitReady(t, s)
	}
	return c
}

// start starts a node; without a listener it takes the peer address that it had.
func (c *cluster) start(i int, peer net.Listener) *Server {
	c.t.Helper()
	cfg := Config{
		Name: c.members[i].Name, DataDir: filepath.Join(c.dir, c.members[i].Name), InitialCluster: c.members,
		ListenClient: "127.0.0.1:0", ListenPeer: c.members[i].Peer, PeerListener: peer,
		Version: "test", Log: testLog{c.t},
	}
	cfg.Tuning.SegmentBytes = 1 << 20
	if c.change != nil {
		c.change(&cfg)
	}
	s, err := Start(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes[i] = s
	return s
}

// testLog shows the log of a test that fails.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

func waitReady(t *testing.T, s *Server) {
	t.Helper()
	select {
	case <-s.Ready():
	case <-s.Done():
		t.Fatalf("node %s ended: %v", s.Name(), s.Err())
	case <-time.After(patience):
		t.Fatalf("node %s is not ready", s.Name())
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s: it did not happen", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// leader waits until all running nodes agree on a leader, and returns its index.
func (c *cluster) leader() (index int) {
	c.t.Helper()
	eventually(c.t, "a leader", func() bool {
		name := ""
		for _, s := range c.nodes {
			if s == nil {
				continue
			}
			if l := s.Leader(); l == "" || name != "" && l != name {
				return false
			} else {
				name = l
			}
		}
		for i, s := range c.nodes {
			if s != nil && s.Name() == name {
				index = i
				return true
			}
		}
		return false
	})
	return index
}

// follower is a running node that does not lead.
func (c *cluster) follower() int {
	leader := c.leader()
	for i, s := range c.nodes {
		if s != nil && i != leader {
			return i
		}
	}
	c.t.Fatal("no follower runs")
	return 0
}

// kill ends a node without handing over.
func (c *cluster) kill(i int) {
	c.t.Helper()
	if err := c.nodes[i].Close(); err != nil {
		c.t.Fatal(err)
	}
	c.nodes[i] = nil
}

func (c *cluster) address(i int) string { return c.nodes[i].ClientAddress() }

// checkGoroutines fails a test that leaves goroutines of the nodes behind.
func checkGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		deadline := time.Now().Add(5 * time.Second)
		for runtime.NumGoroutine() > before {
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<20)
				t.Errorf("%d goroutines before the test, %d after it:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatalf("stop %s: %v", s.Name(), err)
	}
}
