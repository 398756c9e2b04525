package transport

import (
	"io"
	"runtime"
	"testing"

	"github.com/conch-lock/conch/raftnode"
	"go.etcd.io/raft/v3/raftpb"
)

// counting is a Receiver that only counts.
type counting struct {
	*recorder
	n, until int
	done     chan struct{}
}

func (c *counting) ReceiveMessage(raftnode.GroupID, raftnode.NodeID, *raftpb.Message) { c.count() }
func (c *counting) ReceivePayload(raftnode.GroupID, raftnode.NodeID, []byte)          { c.count() }
func (c *counting) count() {
	if c.n++; c.n == c.until {
		close(c.done)
	}
}

// benchmark measures from the first Send to the last arrival. A send that is
// refused because the queue is full is repeated.
func benchmark(b *testing.B, send func(n *node) bool) {
	sender := start(b, 1, nil)
	c := &counting{recorder: newRecorder(), until: b.N, done: make(chan struct{})}
	l := listen(b, "127.0.0.1:0")
	receiver, err := New(Config{Listener: l}, raftnode.Identity{Cluster: testCluster, Node: 2}, c)
	if err != nil {
		b.Fatal(err)
	}
	defer receiver.Close()
	sender.SetPeers(map[raftnode.NodeID]string{2: l.Addr().String()})
	sender.waitFor(b, 2, "connected", func(s PeerStats) bool { return s.Connected })
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		for !send(sender) {
			runtime.Gosched()
		}
	}
	<-c.done
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	if s, _ := sender.statsOf(2); s.Flushes > 0 {
		b.ReportMetric(float64(s.SentMessages)/float64(s.Flushes), "msgs/flush")
	}
}

func BenchmarkPayload64(b *testing.B) {
	payload := make([]byte, 64)
	benchmark(b, func(t *node) bool { return t.SendPayload(1, 2, payload) })
}

func BenchmarkHeartbeat(b *testing.B) {
	m := heartbeat(1, 2, 1)
	benchmark(b, func(t *node) bool {
		return t.peer(2).put(LaneUrgent, frame{kind: kindRaft, group: 1, msg: m, cost: costOf(m)})
	})
}

// An append of 16 entries of 200 bytes.
func BenchmarkAppend(b *testing.B) {
	m := appendOf(1, 2, 1, make([]byte, 200))
	for len(m.Entries) < 16 {
		m.Entries = append(m.Entries, m.Entries[0])
	}
	benchmark(b, func(t *node) bool {
		return t.peer(2).put(LaneBulk, frame{kind: kindRaft, group: 1, msg: m, cost: costOf(m)})
	})
}

func BenchmarkSnapshot(b *testing.B) {
	x, y := pair(b, nil)
	y.onSnapshot(func(_ raftnode.GroupID, _ raftnode.NodeID, _ *raftpb.Message, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
	b.SetBytes(64 << 20)
	for b.Loop() {
		x.SendSnapshot(1, snapshotOf(1, 2, 1), func() (io.ReadCloser, error) {
			return io.NopCloser(io.LimitReader(zeros{}, 64<<20)), nil
		})
		if end := receive(b, x.ended, "the end"); end.err != nil {
			b.Fatal(end.err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
