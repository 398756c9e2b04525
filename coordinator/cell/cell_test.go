package cell

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/sessions"
)

// TestForward: any node takes requests; the node that has the client answers
// from its own apply.
func TestForward(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.elect(1)
	a := c.submit(2, openSession(1, 1000))
	want(t, a, "waits")
	c.deliver(2, 1)
	c.commit(c.propose(1)...)
	want(t, a, "ok")
	if a.reply.Session != 1 {
		t.Fatal(a.reply.Session)
	}
	b := c.submit(1, acquire(1, 1, "a"))
	d := c.submit(3, acquire(1, 2, "b"))
	c.turn(1, 0)
	want(t, b, "ok")
	want(t, d, "ok")
	for _, id := range c.ids() {
		if c.cells[id].Pending() != 0 || c.cells[id].Machine().Store().Hash() != c.cells[1].Machine().Store().Hash() {
			t.Fatalf("node %d: %d pending", id, c.cells[id].Pending())
		}
	}
}

// TestBadRequests are answered at once and go nowhere.
func TestBadRequests(t *testing.T) {
	c := newCluster(t, 2, nil)
	c.elect(1)
	want(t, c.submit(2, openSession(0, 1000)), "code 1")
	long := &machine.Txn{Txn: store.Txn{Success: []store.Op{
		{Put: &store.PutOp{Key: "a", Value: make([]byte, 1<<20)}}, {Put: &store.PutOp{Key: "b", Value: make([]byte, 1<<20)}},
	}}}
	for _, id := range c.ids() {
		want(t, c.submit(id, long), "code 1")
	}
	// It may be in the log, but not in one entry of the size that the log takes.
	long.Txn.Success = long.Txn.Success[:1]
	a := c.submit(1, long)
	b := c.submit(1, openSession(1, 1000))
	c.turn(1, 0)
	want(t, a, "code 1")
	want(t, b, "ok")
	if c.cells[1].Pending()+c.cells[2].Pending() != 0 {
		t.Fatal("something waits")
	}
}

// TestDoubledMessages: a message that arrives twice takes effect once, whatever
// the receiver has become in between.
func TestDoubledMessages(t *testing.T) {
	put := func() *machine.Txn {
		return &machine.Txn{Txn: store.Txn{Success: []store.Op{{Put: &store.PutOp{Key: "k"}}}}}
	}
	t.Run("at once", func(t *testing.T) {
		c := newCluster(t, 2, nil)
		c.elect(1)
		a := c.submit(2, put())
		c.deliver(2, 3)
		c.turn(1, 0)
		want(t, a, "ok")
		if v := version(c, "k"); v != 1 {
			t.Fatalf("written %d times", v)
		}
	})
	t.Run("after a term", func(t *testing.T) {
		c := newCluster(t, 2, nil)
		c.elect(1)
		a := c.submit(2, put())
		mail := c.cells[2].mail
		c.turn(1, 0)
		want(t, a, "ok")
		c.elect(2)
		c.elect(1)
		c.cells[1].Receive(2, mail[0].payload)
		c.turn(1, 0)
		if v := version(c, "k"); v != 1 {
			t.Fatalf("written %d times", v)
		}
	})
	t.Run("refused and then taken", func(t *testing.T) {
		c := newCluster(t, 2, nil)
		c.cells[2].Unlead(1) // node 1 does not know yet that it leads
		a := c.submit(2, put())
		mail := c.cells[2].mail
		c.turn(1, 0)
		want(t, a, "waits")
		c.cells[1].Lead(c.term)
		c.cells[1].Receive(2, mail[0].payload)
		c.turn(1, 0)
		c.turn(1, 0)
		want(t, a, "ok")
		if v := version(c, "k"); v != 1 {
			t.Fatalf("written %d times", v)
		}
	})
	t.Run("taken and then refused", func(t *testing.T) {
		c := newCluster(t, 2, nil)
		c.elect(1)
		a := c.submit(2, put())
		mail := c.cells[2].mail
		c.deliver(2, 1)
		payloads := c.propose(1)
		c.cells[1].Unlead(0) // node 2 does not know yet
		c.cells[1].Receive(2, mail[0].payload)
		c.deliver(1, 1)
		c.commit(payloads...) // it was committed all the same
		want(t, a, "ok")
		c.elect(1)
		c.turn(1, time.Second)
		if v := version(c, "k"); v != 1 {
			t.Fatalf("written %d times", v)
		}
	})
}

func version(c *cluster, key string) uint64 {
	r, _ := c.cells[1].Machine().Store().Get(store.Keys, key)
	return r.Version
}

// TestLostMessages: what can be repeated is sent again after a while; the rest is
// unknown in the end.
func TestLostMessages(t *testing.T) {
	c := newCluster(t, 2, nil)
	c.elect(1)
	a := c.submit(2, openSession(1, 1000))
	b := c.submit(2, breakLock(1))
	c.cells[2].mail = nil
	for range 24 {
		c.turn(1, 100*time.Millisecond)
	}
	want(t, a, "waits")
	c.turn(1, 100*time.Millisecond)
	want(t, a, "ok")
	want(t, b, "waits")
	c.turn(1, 7500*time.Millisecond)
	want(t, b, "unknown")
}

// TestRefusal: a node that does not lead refuses, and the request is asked again.
func TestRefusal(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.elect(1)
	a := c.submit(2, breakLock(1))
	c.cells[1].Unlead(3)
	c.cells[3].Lead(c.term)
	c.deliver(2, 1)
	c.deliver(1, 1)
	want(t, a, "waits")
	c.cells[2].Unlead(3)
	c.turn(3, 0)
	want(t, a, "code 15")
}

// TestSendFails: what could not be sent is certain not to have happened.
func TestSendFails(t *testing.T) {
	c := newCluster(t, 2, nil)
	c.elect(1)
	c.cells[2].deaf = true
	a := c.submit(2, breakLock(1))
	c.turn(1, 9*time.Second)
	want(t, a, "waits")
	c.turn(1, time.Second)
	want(t, a, "no leader")

	b := c.submit(2, breakLock(1))
	c.cells[2].deaf = false
	c.turn(1, 100*time.Millisecond)
	want(t, b, "code 15")
}

// TestLeaderChange: in each state that a request can be in when the leader is
// lost, what is told is the truth, and nothing takes effect twice.
func TestLeaderChange(t *testing.T) {
	const (
		held     = "held"     // no leader was known
		sent     = "sent"     // the message is under way
		queued   = "queued"   // the leader has it, in no proposal yet
		proposed = "proposed" // it is in a payload
	)
	ops := map[string]func() machine.Op{
		"repeatable":   func() machine.Op { return acquire(1, 1, "a") },
		"unrepeatable": func() machine.Op { return breakLock(1) },
	}
	for _, by := range []raftnode.NodeID{1, 2} { // the leader, a follower
		for _, state := range []string{held, sent, queued, proposed} {
			for kind, op := range ops {
				for _, survives := range []bool{false, true} {
					if by == 1 && state == sent {
						continue
					}
					t.Run(fmt.Sprintf("node %d/%s/%s/survives=%v", by, state, kind, survives), func(t *testing.T) {
						c := newCluster(t, 3, nil)
						c.elect(1)
						want(t, c.submit(1, openSession(1, 60_000)), "waits")
						c.turn(1, 0)
						if state == held {
							c.lose()
						}
						a := c.submit(by, op())
						if state != sent && state != held {
							c.deliver(by, 1)
						}
						var payloads [][]byte
						if state == proposed {
							payloads = c.propose(1)
						}
						c.cells[by].mail = nil
						c.lose()
						if survives {
							c.commit(payloads...) // under the old leader, seen after it was lost
						}
						unknown := kind == "unrepeatable" && (state == proposed || by == 2 && (state == sent || state == queued))
						// Of a queued request the old leader says that it did not happen; the follower
						// has given it up as unknown by then.
						if unknown {
							want(t, a, "unknown")
						} else if a.n > 0 && !survives {
							t.Fatalf("answered early: %v", a)
						}
						c.elect(3)
						c.turn(3, time.Second)
						c.turn(3, time.Second)
						switch {
						case unknown:
						case kind == "repeatable":
							want(t, a, "ok")
							if a.reply.Claim.Token != 1 || c.cells[1].Machine().Token() != 1 {
								t.Fatalf("token %d of %d", a.reply.Claim.Token, c.cells[1].Machine().Token())
							}
						default:
							want(t, a, "code 15")
						}
						if n := c.cells[by].Pending(); n != 0 {
							t.Fatalf("%d pending", n)
						}
					})
				}
			}
		}
	}
}

// TestAnsweredWhenApplied: nothing is answered before it is in the log for good,
// neither where it is queued nor where it was proposed.
func TestAnsweredWhenApplied(t *testing.T) {
	for _, by := range []raftnode.NodeID{1, 2} {
		c := newCluster(t, 2, nil)
		c.elect(1)
		c.submit(by, openSession(1, 60_000))
		c.turn(1, 0)
		c.submit(by, acquire(1, 1, "a"))
		c.turn(1, 0)
		release := &machine.Release{Request: machine.Request{Session: 1, Sequence: 2}, Name: "a", Token: 1}
		cancel := &machine.Cancel{Request: machine.Request{Session: 1, Sequence: 3}, Claim: 1}
		for _, op := range []machine.Op{acquire(1, 4, "b"), release, cancel, put("k"), &machine.EndSession{Session: 1, Why: locks.Closed}} {
			a := c.submit(by, op)
			want(t, a, "waits")
			c.deliver(by, 1)
			want(t, a, "waits")
			payloads := c.propose(1)
			want(t, a, "waits")
			c.commit(payloads...)
			want(t, a, "ok")
		}
	}
}

// TestUnnumberedIsNotRepeated: a transaction without a sequence that may be in a
// log is told as unknown, and takes effect once at most.
func TestUnnumberedIsNotRepeated(t *testing.T) {
	for _, by := range []raftnode.NodeID{1, 2} {
		for _, survives := range []bool{false, true} {
			c := newCluster(t, 3, nil)
			c.elect(1)
			a := c.submit(by, put("k"))
			c.deliver(by, 1)
			payloads := c.propose(1)
			c.lose()
			if survives {
				c.commit(payloads...)
			}
			want(t, a, "unknown")
			c.elect(3)
			c.turn(3, time.Second)
			c.turn(3, 10*time.Second)
			rec, _ := c.cells[1].Machine().Store().Get(store.Keys, "k")
			if survives != (rec.Version == 1) {
				t.Errorf("by node %d, survives %v: the key has version %d", by, survives, rec.Version)
			}
		}
	}
}

// TestNoLeaderAfterLeader: a request that may be in a log is never told as not
// having happened, even when it waits for a leader again.
func TestNoLeaderAfterLeader(t *testing.T) {
	for _, by := range []raftnode.NodeID{1, 2} {
		c := newCluster(t, 2, nil)
		c.elect(1)
		a := c.submit(by, acquire(1, 1, "a"))
		c.deliver(2, 1)
		c.propose(1)
		c.lose()
		b := c.submit(by, acquire(1, 2, "a"))
		c.now += 20 * time.Second
		c.cells[by].Sweep(c.now)
		want(t, a, "unknown")
		want(t, b, "no leader")
	}
}

// TestBecomesLeaderItself: what was sent to the old leader is not forgotten when
// this node is the next.
func TestBecomesLeaderItself(t *testing.T) {
	c := newCluster(t, 2, nil)
	c.elect(1)
	a := c.submit(2, openSession(1, 1000))
	b := c.submit(2, breakLock(1))
	c.cells[2].mail = nil
	c.cells[1].Unlead(2)
	c.term++
	c.commit(nil)
	c.cells[2].Lead(c.term)
	want(t, b, "unknown")
	c.turn(2, 0)
	want(t, a, "ok")
}

// TestElectedButNotLeading: a node that is elected, and has not applied an entry
// of its term, holds its requests.
func TestElectedButNotLeading(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.cells[1].Unlead(1)
	a := c.submit(1, openSession(1, 1000))
	c.cells[1].Hear(1, 1)
	c.cells[1].Sweep(time.Second)
	want(t, a, "waits")
	c.elect(1)
	c.turn(1, 0)
	want(t, a, "ok")
}

// TestProposalDropped: what raft refused is asked again, keep-alives included.
func TestProposalDropped(t *testing.T) {
	c := newCluster(t, 2, nil)
	c.elect(1)
	a := c.submit(1, openSession(1, 1000))
	b := c.submit(2, breakLock(1))
	c.cells[1].Hear(7, 3)
	c.deliver(2, 1)
	for _, p := range c.propose(1) {
		c.cells[1].ProposalDropped(p)
	}
	if len(c.cells[1].ticker.under) != 0 {
		t.Fatal("a dropped entry is taken for one under way")
	}
	want(t, a, "waits")
	want(t, b, "waits")
	c.turn(1, 100*time.Millisecond)
	c.turn(1, 100*time.Millisecond)
	want(t, a, "ok")
	want(t, b, "code 15")
	if e := c.cells[2].out[0]; e.Kind != machine.SessionOver || e.Session != 7 {
		t.Fatalf("%+v", e)
	}
}

// TestOverload: past the bound requests are refused, those that bring relief are
// not, and everything is taken again once there is room.
func TestOverload(t *testing.T) {
	for _, by := range []raftnode.NodeID{1, 2} {
		c := newCluster(t, 2, func(cfg *Config) { cfg.MaxQueue = 1000 })
		c.elect(1)
		var last *answer
		n := 0
		for ; n < 100; n++ {
			last = c.submit(by, acquire(1, sessions.Sequence(n+1), "a"))
			if last.n > 0 {
				break
			}
		}
		want(t, last, "overloaded")
		if n < 20 || n > 60 {
			t.Fatalf("%d requests in 1000 bytes", n)
		}
		relief := c.submit(by, &machine.EndSession{Session: 1, Why: locks.Closed})
		want(t, relief, "waits")
		c.turn(1, 0)
		want(t, relief, "code 8")
		want(t, c.submit(by, acquire(1, 1, "a")), "waits")
	}
	// The leader's queue is full of others' requests: it refuses, they wait.
	c := newCluster(t, 3, func(cfg *Config) { cfg.MaxQueue = 1000 })
	c.elect(1)
	for n := range 25 {
		c.submit(2, acquire(1, sessions.Sequence(n+1), "a"))
		c.submit(3, acquire(1, sessions.Sequence(n+1), "a"))
	}
	c.deliver(2, 1)
	c.deliver(3, 1)
	if n := len(c.cells[1].queue); n > 1100 {
		t.Fatalf("%d bytes wait", n)
	}
	want(t, c.submit(1, acquire(1, 99, "a")), "overloaded")
	c.turn(1, 0)
	c.turn(1, 100*time.Millisecond)
	if n := c.cells[2].Pending() + c.cells[3].Pending(); n != 0 {
		t.Fatalf("%d pending", n)
	}
	// Without a leader they are counted too, and room is made by giving up.
	c.lose()
	for n := range 100 {
		c.submit(2, acquire(1, sessions.Sequence(n+1), "a"))
	}
	want(t, c.submit(2, acquire(1, 1, "a")), "overloaded")
	c.now += 10 * time.Second
	c.cells[2].Sweep(c.now)
	want(t, c.submit(2, acquire(1, 1, "a")), "waits")
}

// TestStop ends everything, once.
func TestStop(t *testing.T) {
	c := newCluster(t, 2, nil)
	c.elect(1)
	a := c.submit(2, acquire(1, 1, "a"))
	c.cells[2].deaf = true
	b := c.submit(2, acquire(1, 2, "a"))
	c.cells[2].Stop()
	want(t, a, "stopped, unknown")
	want(t, b, "stopped")
	want(t, c.submit(2, acquire(1, 3, "a")), "stopped")
	c.turn(1, 0)
	want(t, a, "stopped, unknown")
}

// TestSnapshotSkipsReplies: a node that gets a snapshot in place of entries asks
// again, and is told the same.
func TestSnapshotSkipsReplies(t *testing.T) {
	c := newCluster(t, 2, nil)
	c.elect(1)
	c.submit(1, openSession(1, 60_000))
	c.turn(1, 0)
	a := c.submit(2, acquire(1, 1, "a"))
	b := c.submit(2, breakLock(9))
	c.deliver(2, 1)
	payloads := c.propose(1)
	c.log = append(c.log, raftnode.Entry{Index: uint64(len(c.log) + 1), Term: c.term, Data: payloads[0]})
	c.cells[1].Apply(c.log[len(c.log)-1:])

	var all []byte
	for w := c.cells[1].Snapshot(); ; {
		piece, done := w.Next(nil)
		all = append(all, piece...)
		if done {
			w.Close()
			break
		}
	}
	index, term := c.cells[1].Applied()
	if err := c.cells[2].Restore(bytes.NewReader(all), index, term); err != nil {
		t.Fatal(err)
	}
	if c.cells[2].reset != 1 {
		t.Fatal("nobody was told")
	}
	want(t, b, "unknown")
	want(t, a, "waits")
	c.turn(1, 100*time.Millisecond)
	want(t, a, "ok")
	if a.reply.Claim.Token != 1 {
		t.Fatal(a.reply.Claim)
	}
}

// TestKeepAlivesForwarded: keep-alives reach the leader from any node, survive a
// change of the leader, and a session of number 0 goes nowhere.
func TestKeepAlivesForwarded(t *testing.T) {
	c := newCluster(t, 2, nil)
	c.elect(1)
	a := c.submit(2, openSession(1, 1000))
	c.turn(1, 0)
	want(t, a, "ok")
	alive := func() (l []uint64) {
		for _, e := range c.cells[2].out {
			if e.Kind == machine.Alive {
				l = append(l, e.Number)
			}
		}
		return l
	}
	c.cells[2].Hear(0, 1)
	c.cells[1].Hear(0, 1)
	c.cells[2].Hear(1, 5)
	c.cells[2].Hear(1, 4)
	c.cells[2].Flush()
	c.deliver(2, 2)
	c.turn(1, 100*time.Millisecond)
	if l := alive(); fmt.Sprint(l) != "[5]" {
		t.Fatal(l)
	}
	// Heard by a leader that was lost before it could propose.
	c.cells[1].Hear(1, 6)
	c.elect(2)
	c.turn(2, 100*time.Millisecond)
	c.turn(2, 100*time.Millisecond)
	if l := alive(); fmt.Sprint(l) != "[5 6]" {
		t.Fatal(l)
	}
	// Heard while there is no leader, and while the message cannot be sent.
	c.lose()
	c.cells[1].Hear(1, 7)
	c.cells[1].deaf = true
	c.elect(2)
	c.cells[1].Flush()
	c.cells[1].deaf = false
	c.turn(2, 100*time.Millisecond)
	c.turn(2, 100*time.Millisecond)
	if l := alive(); fmt.Sprint(l) != "[5 6 7]" {
		t.Fatal(l)
	}
}

// TestManyKeepAlives: however many there are, entries stay within their size, and
// none is lost.
func TestManyKeepAlives(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.elect(1)
	for i := range 2 * machine.MaxHeard {
		c.cells[1].Hear(sessions.ID(1<<60+i*(1<<40)), 1<<63)
	}
	c.now += time.Second
	c.propose(1)
	c.now += time.Second
	payloads := c.propose(1)
	heard := 0
	for _, p := range payloads {
		if len(p) > maxBytes/2 {
			t.Fatalf("an entry of %d bytes", len(p))
		}
		h, _, err := machine.ReadHeader(p)
		if err != nil {
			t.Fatal(err)
		}
		heard += len(h.Heard)
	}
	if heard != machine.MaxHeard {
		t.Fatalf("%d of at most %d", heard, machine.MaxHeard)
	}
}

// TestSplit: what is more than one entry takes is proposed as several, in order.
func TestSplit(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.elect(1)
	var l []*answer
	for n := range 100 {
		op := &machine.Txn{Txn: store.Txn{Success: []store.Op{{Put: &store.PutOp{Key: "k", Value: []byte(strings.Repeat("x", n*10))}}}}}
		l = append(l, c.submit(1, op))
	}
	payloads := c.cells[1].Propose(0, 1500)
	if len(payloads) < 30 {
		t.Fatalf("%d entries", len(payloads))
	}
	for _, p := range payloads {
		if len(p) > 1500 {
			t.Fatalf("an entry of %d bytes", len(p))
		}
	}
	c.commit(payloads...)
	for n, a := range l {
		want(t, a, "ok")
		if a.reply.Revision != uint64(n+2) {
			t.Fatalf("request %d has revision %d", n, a.reply.Revision)
		}
	}
}

// TestGarbage: messages that cannot be read are dropped.
func TestGarbage(t *testing.T) {
	c := newCluster(t, 2, nil)
	c.elect(1)
	forged := machine.Command{Origin: 9, Request: 1, Op: breakLock(1)}.Append([]byte{messageCommands})
	for _, p := range [][]byte{nil, {}, {0}, {9, 9}, {messageCommands, 0, 0}, {messageCommands, 0, 0, 0, 2, 99, 1}, {messageHeard, 200}, {messageHeard, 2, 1}, {messageRefused, 9, 1}, forged} {
		for _, id := range c.ids() {
			c.cells[id].Receive(2, p)
		}
	}
	c.turn(1, 0)
	if len(c.log) != 1 {
		t.Fatalf("%d entries", len(c.log))
	}
}
