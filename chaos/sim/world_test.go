package sim

import (
	crand "crypto/rand"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/conch-lock/conch/raftnode"
)

// newQuiet makes a world without faults that a test can move by hand.
func newQuiet(t *testing.T, seed uint64) *world {
	t.Helper()
	return newQuietWith(t, Config{Seed: seed})
}

// newQuietWith makes one of three nodes in which clients work as configured.
func newQuietWith(t *testing.T, cfg Config) *world {
	t.Helper()
	cfg.Nodes, cfg.Only = 3, []int{}
	w := &world{cfg: cfg.withDefaults()}
	old := crand.Reader
	crand.Reader = seeded{w.stream(streamRaft, 0)}
	t.Cleanup(func() {
		for _, n := range w.nodes {
			n.stop()
		}
		w.witness.close()
		crand.Reader = old
		if w.failed != nil {
			t.Error(w.failed)
		}
	})
	w.create()
	return w
}

// until moves a world until a condition holds.
func (w *world) until(t *testing.T, what string, within time.Duration, holds func() bool) {
	t.Helper()
	for end := w.now + within; !holds(); w.run(w.now + time.Millisecond) {
		if w.now > end || w.failed != nil {
			t.Fatalf("%s did not happen within %v: %v", what, within, w.failed)
		}
	}
}

// What comes twice comes as it was sent, whatever the receiver did with the first:
// raft changes a read that it passes on to the leader.
func TestDoubledMessagesShareNothing(t *testing.T) {
	w := newQuiet(t, 1)
	from, to := w.nodes[0], w.nodes[1]
	to.paused = time.Hour // it leaves what it gets where we can see it
	w.net.double, w.net.loss, w.net.tail = 1, 0, 0.3
	reads := func() (l []*raftpb.Message) {
		for _, m := range to.in.Messages {
			if m.Message.GetType() == raftpb.MsgReadIndex {
				l = append(l, m.Message)
			}
		}
		return l
	}
	payloads := func() (l [][]byte) {
		for _, p := range to.in.Payloads {
			if string(p.Payload[1:]) == "ayload" {
				l = append(l, p.Payload)
			}
		}
		return l
	}
	for range 50 {
		to.in = raftnode.Inputs{}
		from.Send(&raftpb.Message{Type: raftpb.MsgReadIndex.Enum(), From: new(uint64(1)), To: new(uint64(2)), Entries: []*raftpb.Entry{{Data: []byte("x")}}})
		from.sendPayload(2, []byte("payload"))
		come := func(n int) func() bool {
			return func() bool { return len(reads()) >= n && len(payloads()) >= n }
		}
		w.until(t, "the first", 5*time.Second, come(1))
		m, p := reads()[0], payloads()[0]
		*m.To, m.Entries[0].Data[0], p[0] = 77, 'y', 'q'
		w.until(t, "the second", 5*time.Second, come(2))
		if m := reads()[1]; m.GetTo() != 2 || string(m.Entries[0].Data) != "x" {
			t.Fatalf("the second message was %v", m)
		}
		if p := payloads()[1]; string(p) != "payload" {
			t.Fatalf("the second payload was %q", p)
		}
	}
}

// The operator does not take the time limit of an old question, whose leader has
// gone since, for the answer to a new one.
func TestOperatorWaitsForItsAnswer(t *testing.T) {
	w := newQuiet(t, 2)
	w.until(t, "a leader", 10*time.Second, func() bool { return w.leader() != nil })
	o, first := w.operator, w.leader()
	begun := w.now
	o.ask(first, raftnode.AddLearner, w.newNode())
	w.until(t, "the first answer", 5*time.Second, func() bool { return !o.asking })
	first.crash("in the test")
	w.until(t, "another leader", 9*time.Second, func() bool { return w.leader() != nil && w.leader() != first })
	next := w.leader()
	next.paused = begun + time.Minute // it does not answer
	o.ask(next, raftnode.AddLearner, w.newNode())
	w.run(begun + 11*time.Second)
	if !o.asking || o.doubt {
		t.Errorf("asking %v, in doubt %v", o.asking, o.doubt)
	}
}

// A healed cell that takes no write is found, by the probe alone.
func TestProbeFindsACellOfNoUse(t *testing.T) {
	w := newQuiet(t, 3)
	w.until(t, "a leader", 10*time.Second, func() bool { return w.leader() != nil })
	w.run(w.now + 2*time.Second)
	for _, n := range w.nodes[1:] {
		n.stop()
		n.retired = true
	}
	w.healed = w.now
	w.probe = newProbe(w)
	w.run(w.now + patience)
	if w.failed == nil || w.failed.Property != Prompt {
		t.Errorf("a cell without a quorum: %v", w.failed)
	}
	w.failed = nil
}

// A segment that was cut to a few bytes has no frame whose damage could be noticed.
func TestLastFrameOfLittle(t *testing.T) {
	for n := range 32 {
		if at := lastFrame(make([]byte, n)); at != 0 {
			t.Errorf("of %d bytes the last frame begins at %d", n, at)
		}
	}
}
