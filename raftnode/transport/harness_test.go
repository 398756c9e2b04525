package transport

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conch-lock/conch/raftnode"
	"github.com/rs/zerolog"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// patience is how long a test waits for what must happen. It is long: only a
// test that fails waits for it.
const patience = 20 * time.Second

const testCluster = 0xc0c4

// received is one call of a recorder.
type received struct {
	group   raftnode.GroupID
	from    raftnode.NodeID
	msg     *raftpb.Message
	payload []byte
}

type snapshotEnd struct {
	group raftnode.GroupID
	to    raftnode.NodeID
	index uint64
	err   error
}

// recorder is a Receiver that hands all calls to the test.
type recorder struct {
	got         chan received
	lost        chan raftnode.NodeID
	unreachable chan notice
	ended       chan snapshotEnd
	expelled    chan error

	mu       sync.Mutex
	message  func(*raftpb.Message) // called first when set
	admit    func(raftnode.NodeID, uint64) error
	snapshot func(raftnode.GroupID, raftnode.NodeID, *raftpb.Message, io.Reader) error
}

func newRecorder() *recorder {
	return &recorder{
		got:         make(chan received, 1<<17),
		lost:        make(chan raftnode.NodeID, 1<<10),
		unreachable: make(chan notice, 1<<10),
		ended:       make(chan snapshotEnd, 16),
		expelled:    make(chan error, 16),
	}
}

func (r *recorder) onMessage(f func(*raftpb.Message)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.message = f
}

func (r *recorder) onSnapshot(f func(raftnode.GroupID, raftnode.NodeID, *raftpb.Message, io.Reader) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.snapshot = f
}

func (r *recorder) ReceiveMessage(group raftnode.GroupID, from raftnode.NodeID, m *raftpb.Message) {
	r.mu.Lock()
	f := r.message
	r.mu.Unlock()
	if f != nil {
		f(m)
	}
	r.got <- received{group: group, from: from, msg: m}
}

func (r *recorder) ReceivePayload(group raftnode.GroupID, from raftnode.NodeID, payload []byte) {
	r.got <- received{group: group, from: from, payload: payload}
}

func (r *recorder) ReceiveSnapshot(group raftnode.GroupID, from raftnode.NodeID, m *raftpb.Message, c io.Reader) error {
	r.mu.Lock()
	f := r.snapshot
	r.mu.Unlock()
	return f(group, from, m, c)
}

func (r *recorder) SnapshotSent(group raftnode.GroupID, to raftnode.NodeID, index uint64, err error) {
	r.ended <- snapshotEnd{group, to, index, err}
}

func (r *recorder) Unreachable(group raftnode.GroupID, to raftnode.NodeID) {
	select {
	case r.unreachable <- notice{group, to}:
	default:
	}
}

func (r *recorder) PeerLost(node raftnode.NodeID) { r.lost <- node }

func (r *recorder) Admit(from raftnode.NodeID, directory uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.admit == nil {
		return nil
	}
	return r.admit(from, directory)
}

func (r *recorder) Expelled(by raftnode.NodeID, reason error) { r.expelled <- reason }

// node is a transport under test.
type node struct {
	*Transport
	*recorder
	id   raftnode.NodeID
	addr string
	log  *syncBuffer
}

// Send is the transport's, with a turn's end behind it.
func (n *node) Send(group raftnode.GroupID, m *raftpb.Message) {
	n.Transport.Send(group, m)
	n.Flush()
}

// SendPayload is the transport's, with a turn's end behind it.
func (n *node) SendPayload(group raftnode.GroupID, to raftnode.NodeID, payload []byte) bool {
	defer n.Flush()
	return n.Transport.SendPayload(group, to, payload)
}

// syncBuffer is a log to look at while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// startOn starts a node; change, when not nil, sees its config first.
func startOn(t testing.TB, l net.Listener, id raftnode.NodeID, change func(*Config)) *node {
	t.Helper()
	n := &node{recorder: newRecorder(), id: id, addr: l.Addr().String(), log: &syncBuffer{}}
	cfg := Config{Listener: l, Logger: zerolog.New(n.log)}
	if change != nil {
		change(&cfg)
	}
	var err error
	n.Transport, err = New(cfg, raftnode.Identity{Cluster: testCluster, Node: id, Name: fmt.Sprintf("n%d", uint64(id))}, n.recorder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func start(t testing.TB, id raftnode.NodeID, change func(*Config)) *node {
	t.Helper()
	return startOn(t, listen(t, "127.0.0.1:0"), id, change)
}

// connect makes all nodes peers of each other and waits until they are connected.
func connect(t testing.TB, nodes ...*node) {
	t.Helper()
	addresses := map[raftnode.NodeID]string{}
	for _, n := range nodes {
		addresses[n.id] = n.addr
	}
	for _, n := range nodes {
		n.SetPeers(addresses)
	}
	for _, n := range nodes {
		for _, to := range nodes {
			if n != to {
				n.waitFor(t, to.id, "connected both ways", func(s PeerStats) bool { return s.Connected && s.Receiving })
			}
		}
	}
}

func pair(t testing.TB, change func(*Config)) (a, b *node) {
	t.Helper()
	a, b = start(t, 1, change), start(t, 2, change)
	connect(t, a, b)
	return a, b
}

func (n *node) statsOf(id raftnode.NodeID) (PeerStats, bool) {
	for _, s := range n.Stats().Peers {
		if s.ID == id {
			return s, true
		}
	}
	return PeerStats{}, false
}

// waitFor waits for a condition of a peer's stats.
func (n *node) waitFor(t testing.TB, id raftnode.NodeID, what string, ok func(PeerStats) bool) PeerStats {
	t.Helper()
	var last PeerStats
	wait(t, func() bool {
		s, known := n.statsOf(id)
		last = s
		return known && ok(s)
	}, func() string {
		return fmt.Sprintf("node %v never saw peer %v %s: %+v\n%s", n.id, id, what, last, n.log)
	})
	return last
}

// wait polls for a condition that has no channel.
func wait(t testing.TB, ok func() bool, failure func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal(failure())
		}
		time.Sleep(time.Millisecond)
	}
}

func receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("not reached")
	}
}

func heartbeat(from, to raftnode.NodeID, commit uint64) *raftpb.Message {
	return &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), From: proto.Uint64(uint64(from)), To: proto.Uint64(uint64(to)),
		Term: proto.Uint64(3), Commit: proto.Uint64(commit)}
}

func appendOf(from, to raftnode.NodeID, index uint64, data []byte) *raftpb.Message {
	return &raftpb.Message{Type: raftpb.MsgApp.Enum(), From: proto.Uint64(uint64(from)), To: proto.Uint64(uint64(to)),
		Term: proto.Uint64(3), LogTerm: proto.Uint64(3), Index: proto.Uint64(index), Commit: proto.Uint64(index),
		Entries: []*raftpb.Entry{{Term: proto.Uint64(3), Index: proto.Uint64(index + 1), Data: data}}}
}

func snapshotOf(from, to raftnode.NodeID, index uint64) *raftpb.Message {
	return &raftpb.Message{Type: raftpb.MsgSnap.Enum(), From: proto.Uint64(uint64(from)), To: proto.Uint64(uint64(to)), Term: proto.Uint64(3),
		Snapshot: &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: proto.Uint64(index), Term: proto.Uint64(3)}}}
}

// checkLeaks fails the test when goroutines of the transport or of DRPC outlive
// it. Call it before anything is started.
func checkLeaks(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		var left string
		wait(t, func() bool {
			left = ours()
			return left == ""
		}, func() string { return "goroutines left behind:\n" + left })
	})
}

func ours() string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var left []string
	for _, g := range strings.Split(string(buf), "\n\n") {
		if strings.Contains(g, "testing.(*T)") || strings.Contains(g, "testing.tRunner") {
			continue
		}
		if strings.Contains(g, "raftnode/transport.") || strings.Contains(g, "storj.io/drpc") {
			left = append(left, g)
		}
	}
	return strings.Join(left, "\n\n")
}
