package transport

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/conch-lock/conch/raftnode"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

func TestMessagesArriveInOrderAndUnchanged(t *testing.T) {
	checkLeaks(t)
	a, b := pair(t, nil)
	const n = 2000
	sent := make([]*raftpb.Message, n)
	for i := range n {
		sent[i] = appendOf(1, 2, uint64(i), fmt.Appendf(nil, "entry %d", i))
		a.Send(7, sent[i])
		if !a.SendPayload(9, 2, fmt.Appendf(nil, "payload %d", i)) {
			t.Fatalf("payload %d not taken", i)
		}
	}
	raft, app := 0, 0
	for raft+app < 2*n {
		got := receive(t, b.got, "a message")
		if got.from != 1 {
			t.Fatalf("from node %v", got.from)
		}
		if got.msg != nil {
			if got.group != 7 || !proto.Equal(got.msg, sent[raft]) {
				t.Fatalf("group %v, message %d: got %v, want %v", got.group, raft, got.msg, sent[raft])
			}
			raft++
			continue
		}
		if want := fmt.Sprintf("payload %d", app); got.group != 9 || string(got.payload) != want {
			t.Fatalf("group %v, payload %q, want %q", got.group, got.payload, want)
		}
		app++
	}
	b.Send(7, heartbeat(2, 1, 5))
	if got := receive(t, a.got, "an answer"); got.msg.GetCommit() != 5 || got.from != 2 {
		t.Fatalf("got %v", got)
	}
	s := a.waitFor(t, 2, "measured", func(s PeerStats) bool { return s.RoundTrip > 0 })
	if s.SentMessages != 2*n || s.SentBytes == 0 || s.QueuedMessages != 0 || s.QueuedBytes != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// Raft shares entries between messages, its own log and what the disk writes.
// Run with -race, this shows that the writers only read them.
func TestEntriesAreSharedBetweenPeers(t *testing.T) {
	a, b, c := start(t, 1, nil), start(t, 2, nil), start(t, 3, nil)
	connect(t, a, b, c)
	entries := appendOf(1, 2, 1, bytes.Repeat([]byte("x"), 300)).Entries
	for i := range uint64(200) {
		for _, to := range []raftnode.NodeID{2, 3} {
			m := heartbeat(1, to, i)
			m.Type, m.Entries = raftpb.MsgApp.Enum(), entries
			a.Send(1, m)
		}
		if _, err := proto.Marshal(entries[0]); err != nil {
			t.Fatal(err)
		}
	}
	for range 200 {
		receive(t, b.got, "an append")
		receive(t, c.got, "an append")
	}
}

func TestWhatIsQueuedTogetherIsFlushedTogether(t *testing.T) {
	// The connection waits in the backlog of a listener that nobody serves yet,
	// so all messages are queued before the first can be written.
	later := listen(t, "127.0.0.1:0")
	a := start(t, 1, nil)
	a.SetPeers(map[raftnode.NodeID]string{2: later.Addr().String()})
	const n = 1000
	for i := range uint64(n) {
		a.Send(1, heartbeat(1, 2, i))
	}
	b := startOn(t, later, 2, nil)
	for i := range uint64(n) {
		if got := receive(t, b.got, "a message"); got.msg.GetCommit() != i {
			t.Fatalf("message %d arrived as number %d", got.msg.GetCommit(), i)
		}
	}
	if s, _ := a.statsOf(2); s.Flushes != 1 || s.SentMessages != n {
		t.Errorf("%d messages in %d flushes, want 1: %+v", s.SentMessages, s.Flushes, s)
	}
}

func TestTooLargeIsRefused(t *testing.T) {
	a, b := pair(t, nil)
	const max = maxMessageBytes
	if a.SendPayload(1, 2, make([]byte, max)) {
		t.Error("a payload that is too large with its head was taken")
	}
	a.Send(4, appendOf(1, 2, 1, make([]byte, max+1)))
	if n := receive(t, a.unreachable, "notice"); n != (notice{4, 2}) {
		t.Errorf("notice %v", n)
	}
	// Too large only once it is marshaled: found by the writer.
	a.Send(5, appendOf(1, 2, 1, make([]byte, max-10)))
	if n := receive(t, a.unreachable, "notice"); n != (notice{5, 2}) {
		t.Errorf("notice %v", n)
	}
	if s, _ := a.statsOf(2); s.DroppedTooLarge != 3 || !s.Connected || s.Connects != 1 {
		t.Errorf("stats: %+v", s)
	}
	// The largest that is allowed arrives, on the same connection.
	payload := bytes.Repeat([]byte("conch"), max)[:max-2]
	if !a.SendPayload(1, 2, payload) {
		t.Fatal("the largest payload was not taken")
	}
	if got := receive(t, b.got, "the payload"); !bytes.Equal(got.payload, payload) {
		t.Error("the largest payload arrived changed")
	}
	if s, _ := a.statsOf(2); s.Connects != 1 {
		t.Errorf("connected %d times", s.Connects)
	}
}

func TestFullQueueDropsAndSaysSo(t *testing.T) {
	dead := listen(t, "127.0.0.1:0") // connections stay in its backlog
	defer dead.Close()
	a := start(t, 1, func(c *Config) {
		c.HandshakeTimeout = patience
		c.App = LaneLimits{Messages: 10, Bytes: 1 << 20}
		c.Bulk = LaneLimits{Messages: 1000, Bytes: 10_000}
	})
	a.SetPeers(map[raftnode.NodeID]string{2: dead.Addr().String()})
	for i := range 10 {
		if !a.SendPayload(1, 2, []byte("x")) {
			t.Fatalf("payload %d was not taken", i)
		}
	}
	if a.SendPayload(1, 2, []byte("x")) {
		t.Error("one payload more than the limit was taken")
	}
	for range 20 {
		a.Send(6, appendOf(1, 2, 1, make([]byte, 1000)))
	}
	if n := receive(t, a.unreachable, "notice"); n != (notice{6, 2}) {
		t.Errorf("notice %v", n)
	}
	before, _ := a.statsOf(2)
	if before.QueuedBytes > 10_000+2000 || before.DroppedFull < 10 {
		t.Errorf("stats: %+v", before)
	}
	// Bulk that is full leaves room for heartbeats.
	a.Send(6, heartbeat(1, 2, 1))
	if after, _ := a.statsOf(2); after.QueuedMessages != before.QueuedMessages+1 || after.DroppedFull != before.DroppedFull {
		t.Errorf("heartbeat not queued: before %+v, after %+v", before, after)
	}
	// Unknown peers are answered alike.
	a.Send(6, heartbeat(1, 99, 1))
	wait(t, func() bool { return receive(t, a.unreachable, "notice") == notice{6, 99} }, nil)
	if a.SendPayload(1, 99, []byte("x")) {
		t.Error("payload for an unknown node was taken")
	}
}

func TestSlowReceiverBoundsTheSender(t *testing.T) {
	for _, size := range []int{64 << 10, 4 << 10} { // by the writer, and by whoever flushes
		t.Run(fmt.Sprint(size), func(t *testing.T) { slowReceiver(t, size) })
	}
}

func slowReceiver(t *testing.T, size int) {
	checkLeaks(t)
	a, b := pair(t, func(c *Config) {
		c.WriteTimeout = patience
		c.Bulk = LaneLimits{Messages: 1 << 20, Bytes: 4 << 20}
	})
	release := make(chan struct{})
	b.onMessage(func(*raftpb.Message) { <-release })
	data := make([]byte, size)
	sent := uint64(0)
	for {
		if s, _ := a.statsOf(2); s.QueuedBytes > 4<<20 {
			t.Fatalf("queue of %d bytes", s.QueuedBytes)
		} else if s.DroppedFull > 0 {
			break
		}
		a.Send(1, appendOf(1, 2, sent, data))
		sent++
	}
	close(release)
	dropped, _ := a.statsOf(2)
	for i := range sent - dropped.DroppedFull {
		if got := receive(t, b.got, "what was queued"); got.msg.GetIndex() != i {
			t.Fatalf("message %d arrived as number %d", got.msg.GetIndex(), i)
		}
	}
}

func TestPanicOfReceiverCostsTheConnectionOnly(t *testing.T) {
	a, b := pair(t, nil)
	b.onMessage(func(m *raftpb.Message) {
		if m.GetCommit() == 13 {
			panic("thirteen")
		}
	})
	a.Send(1, heartbeat(1, 2, 13))
	a.waitFor(t, 2, "connected again", func(s PeerStats) bool { return s.Connects == 2 && s.Connected })
	a.Send(1, heartbeat(1, 2, 14))
	if got := receive(t, b.got, "the next message"); got.msg.GetCommit() != 14 {
		t.Errorf("got %v", got.msg)
	}
	if n := b.Stats().Panics; n != 1 {
		t.Errorf("%d panics counted", n)
	}
	if len(a.lost) != 0 {
		t.Error("a connection ended on purpose was reported as a lost peer")
	}
}

func TestMessageOfSomebodyElseEndsTheConnection(t *testing.T) {
	a, b := pair(t, nil)
	a.Send(1, heartbeat(3, 2, 1))
	a.waitFor(t, 2, "connected again", func(s PeerStats) bool { return s.Connects == 2 && s.Connected })
	if len(b.got) != 0 {
		t.Error("the message was handed on")
	}
}
