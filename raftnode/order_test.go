package raftnode

import (
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/rs/zerolog"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/conch-lock/conch/raftnode/disk"
)

// diary writes down what a replica does, in order.
type diary struct{ lines []string }

func (d *diary) Send(m *raftpb.Message) {
	switch m.GetType() {
	case raftpb.MsgApp, raftpb.MsgAppResp, raftpb.MsgVoteResp, raftpb.MsgVote:
		d.lines = append(d.lines, "send "+m.GetType().String())
	}
}
func (d *diary) Flush()                                                      {}
func (d *diary) SendSnapshot(*raftpb.Message, func() (io.ReadCloser, error)) {}

// diarist is a replica of three that writes a diary.
func diarist(t *testing.T) (*Replica, *diary, *tally) {
	d := &diary{}
	fs := disk.NewMem()
	m := &tally{onApply: func(e Entry) {
		if e.Data != nil {
			d.lines = append(d.lines, "apply "+string(e.Data))
		}
	}}
	r, err := NewReplica(ReplicaConfig{
		Cluster: 1, Group: 1, Node: 1, FS: fs, Dir: "/g", Initial: []Member{{ID: 1}, {ID: 2}, {ID: 3}},
		Machine: m, Outbox: d, Tuning: smallTuning(), Rand: rand.New(rand.NewPCG(1, 1)), Logger: zerolog.Nop(),
		Yield: func() { d.lines = append(d.lines, "yield") },
	})
	if err != nil {
		t.Fatal(err)
	}
	fs.SetHook(func(op disk.Op) error {
		if op.Kind == disk.OpSync {
			d.lines = append(d.lines, "sync")
		}
		return nil
	})
	return r, d, m
}

func (d *diary) expect(t *testing.T, what string, want ...string) {
	t.Helper()
	if !slices.Equal(d.lines, want) {
		t.Errorf("%s:\n did %q\nwant %q", what, d.lines, want)
	}
	d.lines = nil
}

func TestOrderOfAFollowersTurn(t *testing.T) {
	r, d, _ := diarist(t)
	// One message brings entries and tells that they are committed.
	m := &raftpb.Message{
		Type: raftpb.MsgApp.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(2)),
		Index: new(uint64(1)), LogTerm: new(uint64(1)), Commit: new(uint64(3)),
		Entries: []*raftpb.Entry{
			{Index: new(uint64(2)), Term: new(uint64(2)), Data: []byte("a")},
			{Index: new(uint64(3)), Term: new(uint64(2)), Data: []byte("b")},
		},
	}
	if _, err := r.Turn(0, Inputs{Messages: []PeerMessage{{From: 2, Message: m}}}); err != nil {
		t.Fatal(err)
	}
	d.expect(t, "entries", "sync", "send MsgAppResp", "yield", "apply a", "apply b")

	vote := &raftpb.Message{
		Type: raftpb.MsgVote.Enum(), From: new(uint64(3)), To: new(uint64(1)), Term: new(uint64(3)),
		Index: new(uint64(3)), LogTerm: new(uint64(2)), Context: []byte(transferContext),
	}
	if _, err := r.Turn(0, Inputs{Messages: []PeerMessage{{From: 3, Message: vote}}}); err != nil {
		t.Fatal(err)
	}
	d.expect(t, "a vote", "sync", "send MsgVoteResp")
}

func TestOrderOfALeadersTurn(t *testing.T) {
	r, d, m := diarist(t)
	turn := func(messages ...*raftpb.Message) {
		t.Helper()
		var in Inputs
		for _, msg := range messages {
			msg.From, msg.To = new(uint64(2)), new(uint64(1))
			in.Messages = append(in.Messages, PeerMessage{From: 2, Message: msg})
		}
		if _, err := r.Turn(0, in); err != nil {
			t.Fatal(err)
		}
	}
	turn(&raftpb.Message{Type: raftpb.MsgTimeoutNow.Enum(), Term: new(uint64(1))})
	d.expect(t, "a campaign", "send MsgVote", "send MsgVote", "sync")
	turn(&raftpb.Message{Type: raftpb.MsgVoteResp.Enum(), Term: new(uint64(2))})
	turn(&raftpb.Message{Type: raftpb.MsgAppResp.Enum(), Term: new(uint64(2)), Index: new(uint64(2))})
	if m.leads != 2 {
		t.Fatalf("it leads in term %d", m.leads)
	}
	d.lines = nil
	m.queue = [][]byte{[]byte("a"), []byte("b")}
	turn()
	// One message and one sync for both, and the message first.
	d.expect(t, "proposals", "send MsgApp", "sync")
	turn(&raftpb.Message{Type: raftpb.MsgAppResp.Enum(), Term: new(uint64(2)), Index: new(uint64(4))})
	// Nobody has to write: whoever waits for the two is answered before others are told.
	if len(d.lines) < 2 || d.lines[0] != "apply a" || d.lines[1] != "apply b" || slices.Contains(d.lines, "sync") {
		t.Errorf("an acknowledgement: did %q", d.lines)
	}
	d.lines = nil

	// Another leader decides something else: this one learns of it before it applies that.
	m.queue = [][]byte{[]byte("late")}
	turn()
	d.lines = nil
	m.onApply = func(e Entry) {
		if m.leads != 0 || !slices.Equal(m.unknown, []string{"late"}) {
			t.Errorf("entry %d of term %d is applied before the loss is known", e.Index, e.Term)
		}
		d.lines = append(d.lines, "apply "+string(e.Data))
	}
	turn(&raftpb.Message{
		Type: raftpb.MsgApp.Enum(), Term: new(uint64(5)), Index: new(uint64(4)), LogTerm: new(uint64(2)), Commit: new(uint64(5)),
		Entries: []*raftpb.Entry{{Index: new(uint64(5)), Term: new(uint64(5)), Data: []byte("other")}},
	})
	d.expect(t, "a new leader", "sync", "send MsgAppResp", "yield", "apply other")
}
