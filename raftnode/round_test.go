package raftnode

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// leading makes the diarist of three the leader of term 2 with nothing under way.
func leading(t *testing.T) (*Replica, *diary, *tally, func(now time.Duration, messages ...*raftpb.Message) Outputs) {
	r, d, m := diarist(t)
	turn := func(now time.Duration, messages ...*raftpb.Message) Outputs {
		t.Helper()
		var in Inputs
		for _, msg := range messages {
			msg.From, msg.To = new(uint64(2)), new(uint64(1))
			in.Messages = append(in.Messages, PeerMessage{From: 2, Message: msg})
		}
		out, err := r.Turn(now, in)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	turn(0, &raftpb.Message{Type: raftpb.MsgTimeoutNow.Enum(), Term: new(uint64(1))})
	turn(0, &raftpb.Message{Type: raftpb.MsgVoteResp.Enum(), Term: new(uint64(2))})
	turn(0, acked(2))
	if m.leads != 2 {
		t.Fatalf("it leads in term %d", m.leads)
	}
	d.lines = nil
	return r, d, m, turn
}

func acked(index uint64) *raftpb.Message {
	return &raftpb.Message{Type: raftpb.MsgAppResp.Enum(), Term: new(uint64(2)), Index: new(index)}
}

// TestRoundsGather: what comes while a large round is under way waits for its commit, and then goes out in the very turn
// that learns of it, before the write, with what was committed applied before the write too.
func TestRoundsGather(t *testing.T) {
	_, d, m, turn := leading(t)
	big := strings.Repeat("a", gatherBytes)
	m.queue = [][]byte{[]byte(big)}
	turn(0)
	d.expect(t, "the first round", "send MsgApp", "sync")

	m.queue = [][]byte{[]byte("b")}
	if out := turn(time.Microsecond); out.Next > time.Millisecond {
		t.Errorf("the next turn is at %v, after the time to gather", out.Next)
	}
	m.queue = append(m.queue, []byte("c"))
	turn(2 * time.Microsecond)
	d.expect(t, "while it is under way")

	// Node 2 has it: the news of that travels with the second round, not on its own. Node 3 is being probed and hears
	// nothing before it has answered.
	turn(3*time.Microsecond, acked(3))
	d.expect(t, "its commit", "send MsgApp", "apply "+big, "sync")
	if want := []string{"b", "c"}; !slices.Equal(m.proposed, want) {
		t.Errorf("proposed %q, want %q", m.proposed, want)
	}
}

// TestGatheringEnds: a round that is not committed in time does not hold others up.
func TestGatheringEnds(t *testing.T) {
	_, d, m, turn := leading(t)
	m.queue = [][]byte{[]byte(strings.Repeat("a", gatherBytes))}
	turn(0)
	m.queue = [][]byte{[]byte("b")}
	turn(time.Millisecond - 1)
	if len(m.queue) == 0 {
		t.Error("it did not wait")
	}
	d.lines = nil
	turn(time.Millisecond)
	d.expect(t, "after the time to gather", "send MsgApp", "sync")
}

// TestSmallRoundsOverlap: a round of few requests holds nobody up.
func TestSmallRoundsOverlap(t *testing.T) {
	_, d, m, turn := leading(t)
	for range 3 {
		m.queue = [][]byte{[]byte("a")}
		turn(0)
		d.expect(t, "a small round", "send MsgApp", "sync")
	}
}

func TestSuperseded(t *testing.T) {
	app := func(to, index, commit uint64, entries int) *raftpb.Message {
		return &raftpb.Message{Type: raftpb.MsgApp.Enum(), To: new(to), Index: new(index), Commit: new(commit), Entries: make([]*raftpb.Entry, entries)}
	}
	for _, c := range []struct {
		what  string
		m     *raftpb.Message
		later []*raftpb.Message
		want  bool
	}{
		{"news before entries", app(2, 5, 5, 0), []*raftpb.Message{app(3, 5, 5, 1), app(2, 5, 5, 1)}, true},
		{"news and no more", app(2, 5, 5, 0), nil, false},
		{"entries to another", app(2, 5, 5, 0), []*raftpb.Message{app(3, 5, 5, 1)}, false},
		{"entries", app(2, 5, 5, 1), []*raftpb.Message{app(2, 6, 5, 1)}, false},
		{"a probe elsewhere", app(2, 4, 5, 0), []*raftpb.Message{app(2, 5, 5, 1)}, false},
		{"older news later", app(2, 5, 5, 0), []*raftpb.Message{app(2, 5, 4, 1)}, false},
		{"a heartbeat", &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), To: new(uint64(2))}, []*raftpb.Message{app(2, 5, 5, 1)}, false},
	} {
		if superseded(c.m, c.later) != c.want {
			t.Errorf("%s: want %v", c.what, c.want)
		}
	}
}

// TestNewsWaits: a peer that nobody waits on hears of a commit with the next round, or when the delay is over.
func TestNewsWaits(t *testing.T) {
	_, d, m, turn := leading(t)
	m.patient = 2
	m.queue = [][]byte{[]byte("a")}
	turn(0)
	d.expect(t, "a round", "send MsgApp", "sync")
	out := turn(time.Microsecond, acked(3))
	d.expect(t, "its commit", "apply a")
	if want := time.Microsecond + time.Millisecond; out.Next != want {
		t.Errorf("the next turn is at %v, want %v", out.Next, want)
	}
	turn(out.Next - 1)
	d.expect(t, "too early")
	turn(out.Next)
	d.expect(t, "when the delay is over", "send MsgApp")

	m.queue = [][]byte{[]byte("b")}
	turn(out.Next)
	turn(out.Next, acked(4))
	m.queue = [][]byte{[]byte("c")}
	d.lines = nil
	turn(out.Next + time.Microsecond)
	d.expect(t, "the next round brings it", "send MsgApp", "sync")
	turn(out.Next + 2*time.Millisecond)
	d.expect(t, "nothing is left to tell")

	m.patient = 0
	turn(out.Next+2*time.Millisecond, acked(5))
	d.expect(t, "an eager peer", "apply c", "send MsgApp")
}
