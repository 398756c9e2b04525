package raftnode

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/conch-lock/conch/raftnode/disk"
)

func TestElectsAndReplicates(t *testing.T) {
	c := newCluster(t, 1, 3, smallTuning())
	l := c.leader()
	l.propose(numbered("v", 100)...)
	c.everywhere("v99")
	for _, n := range c.nodes {
		if want := numbered("v", 100); !slices.Equal(n.machine.values, want) {
			t.Errorf("node %v applied %q", n.id, n.machine.values)
		}
		if n != l && n.machine.leader != l.id {
			t.Errorf("node %v was told that %v leads, not %v", n.id, n.machine.leader, l.id)
		}
	}
}

func TestOneVoterLeadsAtOnce(t *testing.T) {
	c := newCluster(t, 1, 1, smallTuning())
	if d := c.until("leading", time.Second, func() bool { return c.nodes[0].machine.leads != 0 }); d > 0 {
		t.Errorf("it took %v", d)
	}
}

func TestSameSeedSameHistory(t *testing.T) {
	history := func() uint64 {
		c := newCluster(t, 5, 3, smallTuning())
		c.loss = 0.05
		for i := range 20 {
			c.leader().propose(fmt.Sprint("v", i))
			c.run(100 * time.Millisecond)
		}
		return c.trace.Sum64()
	}
	if a, b := history(), history(); a != b {
		t.Errorf("two runs differ: %x and %x", a, b)
	}
}

func TestBrokenConnectionFindsNewLeaderSoon(t *testing.T) {
	for seed := range uint64(20) {
		c := newCluster(t, seed, 3, smallTuning())
		l := c.leader()
		c.run(time.Second)
		l.crash(disk.DropUnsynced(), true)
		if d := c.until("another leader", 5*time.Second, func() bool { return c.leader() != nil }); d > 400*time.Millisecond {
			t.Errorf("seed %d: it took %v", seed, d)
		}
	}
}

func TestBrokenConnectionOfOneFollowerDisturbsNobody(t *testing.T) {
	c := newCluster(t, 2, 3, smallTuning())
	l := c.leader()
	c.run(time.Second)
	term := l.machine.leads
	for _, n := range c.nodes {
		if n != l {
			n.in.Lost = append(n.in.Lost, l.id)
			n.due = c.now
			break
		}
	}
	c.run(3 * time.Second)
	if l.machine.leads != term {
		t.Errorf("the leader of term %d leads in term %d", term, l.machine.leads)
	}
}

func TestSilentLeaderIsReplaced(t *testing.T) {
	c := newCluster(t, 3, 3, smallTuning())
	l := c.leader()
	l.propose("before")
	c.everywhere("before")
	for _, n := range c.nodes {
		if n != l {
			c.partition(l.id, n.id)
		}
	}
	l.propose("lost")
	c.until("another leader", 5*time.Second, func() bool {
		return slices.ContainsFunc(c.nodes, func(n *simNode) bool { return n != l && n.machine.leads != 0 })
	})
	c.until("the old leader stepping down", 5*time.Second, func() bool { return l.machine.leads == 0 })
	if !slices.Equal(l.machine.unknown, []string{"lost"}) {
		t.Errorf("the outcome of %q is unknown", l.machine.unknown)
	}
	c.heal()
	c.until("one leader", 5*time.Second, func() bool { return l.machine.leader != 0 })
	c.leader().propose("after")
	c.everywhere("after")
	if slices.Contains(l.machine.values, "lost") {
		t.Error("what only the cut off leader had was applied")
	}
}

// A leader that is started again before anybody has noticed that it was gone asks the others for their votes. What it had
// sent before, and is still on its way, must not keep them from voting for it.
func TestLeaderOfAFormerLifeIsVotedFor(t *testing.T) {
	for seed := range uint64(10) {
		c := newCluster(t, seed, 3, smallTuning())
		l := c.leader()
		l.propose("before")
		c.everywhere("before")
		var alive []byte // a sign of life
		c.onSend = func(from *simNode, m *raftpb.Message) {
			if from == l && m.GetType() == raftpb.MsgHeartbeat {
				alive, _ = proto.Marshal(m)
			}
		}
		c.until("a heartbeat", time.Second, func() bool { return alive != nil })
		c.onSend = nil
		var other *simNode
		for _, n := range c.nodes {
			if n != l {
				other = n
			}
		}
		for _, n := range c.nodes {
			if n != l && n != other {
				n.crash(disk.DropUnsynced(), false)
			}
		}
		l.crash(disk.DropUnsynced(), false)
		l.start()
		for at := range 100 {
			c.mailAt(c.now+time.Duration(at)*100*time.Millisecond, other.id, func(o *simNode) {
				m := &raftpb.Message{}
				if err := proto.Unmarshal(alive, m); err != nil {
					t.Fatal(err)
				}
				m.To = new(uint64(o.id))
				if o.replica.hard.GetTerm() == m.GetTerm() {
					o.in.Messages = append(o.in.Messages, PeerMessage{From: l.id, Message: m, At: c.now})
				}
			})
		}
		if d := c.until("a leader", 10*time.Second, func() bool { return l.machine.leads != 0 }); d > 3*time.Second {
			t.Errorf("seed %d: it took %v", seed, d)
		}
	}
}

// A request for a vote that comes after what its sender did when it had been elected is no news.
func TestRequestForAVoteThatComesLate(t *testing.T) {
	c := newCluster(t, 1, 3, smallTuning())
	l := c.leader()
	l.propose("before")
	c.everywhere("before")
	var f, x *simNode
	for _, n := range c.nodes {
		if n != l {
			f, x = n, f
		}
	}
	c.partition(f.id, l.id)
	c.partition(f.id, x.id)
	term, last := l.machine.leads, f.replica.log.last()
	for _, m := range []*raftpb.Message{
		{Type: raftpb.MsgHeartbeat.Enum(), Term: new(term + 1)},
		{Type: raftpb.MsgVote.Enum(), Term: new(term + 1), Index: new(last), LogTerm: new(term)},
	} {
		m.From, m.To = new(uint64(x.id)), new(uint64(f.id))
		f.in.Messages = append(f.in.Messages, PeerMessage{From: x.id, Message: m, At: c.now})
	}
	f.due = c.now
	c.run(time.Millisecond)
	if s := f.replica.Status(); s.Term != term+1 || s.Leader != x.id {
		t.Errorf("term %d, leader %v: want %d and %v", s.Term, s.Leader, term+1, x.id)
	}
}

// A node that did not run for a while finds the messages of its leader and does not call an election over its own pause.
func TestPausedFollowerDoesNotDisturb(t *testing.T) {
	c := newCluster(t, 4, 3, smallTuning())
	l := c.leader()
	c.run(time.Second)
	term := l.machine.leads
	n := c.nodes[int(l.id)%3]
	n.paused = true
	c.run(5 * time.Second)
	n.paused = false
	n.turn()
	if n.replica.role != Follower {
		t.Errorf("after its pause the follower is a %v", n.replica.role)
	}
	c.run(3 * time.Second)
	if l.machine.leads != term {
		t.Errorf("the leader of term %d leads in term %d", term, l.machine.leads)
	}
	if s := n.replica.Status(); s.Late == 0 {
		t.Error("the pause was not noticed")
	}
}

func TestTransfer(t *testing.T) {
	c := newCluster(t, 6, 3, smallTuning())
	l := c.leader()
	c.run(time.Second)
	to := l.id%3 + 1
	result := errors.New("no answer")
	l.in.Transfers = []TransferRequest{{To: to, Done: func(err error) { result = err }}}
	l.due = c.now
	c.until("the new leader", 5*time.Second, func() bool { return c.node(to).machine.leads != 0 && l.machine.leader == to })
	if result != nil {
		t.Errorf("transfer: %v", result)
	}
	// Only the leader can do this.
	l.in.Transfers = []TransferRequest{{To: 0, Done: func(err error) { result = err }}}
	l.turn()
	if !errors.Is(result, ErrNotLeader) {
		t.Errorf("transfer by a follower: %v", result)
	}
}

// Raft takes no proposal while it hands over. Whoever asks for a hand-over to a node that is cut off, again and again,
// must not stop the group with it.
func TestTransferToOneThatIsCutOffStopsNobody(t *testing.T) {
	c := newCluster(t, 7, 3, smallTuning())
	l := c.leader()
	to := l.id%3 + 1
	c.node(to).crash(disk.KeepUnsynced(), true)
	c.run(3 * time.Second)
	refused := 0
	for i := range 5 {
		answered := false
		l.in.Transfers = []TransferRequest{{To: to, Done: func(err error) {
			if answered = true; errors.Is(err, ErrTransferFailed) && errors.Is(err, ErrNotCaughtUp) {
				refused++
			}
		}}}
		l.due = c.now
		c.run(10 * time.Millisecond)
		before := l.machine.index
		l.propose(fmt.Sprintf("meanwhile %d", i))
		l.due = c.now
		c.until("a proposal", 100*time.Millisecond, func() bool { return l.machine.index > before })
		if answered {
			t.Error("the hand-over ended before the proposal did: it proves nothing")
		}
		c.until("an answer", 5*time.Second, func() bool { return answered })
	}
	if refused != 5 {
		t.Errorf("%d of 5 hand-overs were refused because the node was not heard of", refused)
	}
}

// A hand-over that has not begun, and turns out not to be needed, got what it wanted.
func TestTransferOfALeadThatIsLost(t *testing.T) {
	for _, anybody := range []bool{false, true} {
		c := newCluster(t, 9, 3, smallTuning())
		l := c.leader()
		c.run(time.Second)
		w := c.node(l.id%3 + 1)
		result, answered := error(nil), false
		req := TransferRequest{To: w.id, Done: func(err error) { result, answered = err, true }}
		if anybody {
			req.To = 0
		}
		l.replica.transfer = &transfer{to: req.To, done: req.Done, deadline: c.now + time.Minute}
		c.post(w.id, l.id, func(n *simNode) {
			n.in.Messages = append(n.in.Messages, PeerMessage{From: w.id, Message: &raftpb.Message{
				Type: raftpb.MsgHeartbeat.Enum(), From: proto.Uint64(uint64(w.id)), To: proto.Uint64(uint64(n.id)),
				Term: proto.Uint64(n.replica.hard.GetTerm() + 1),
			}})
		})
		c.until("an answer", 5*time.Second, func() bool { return answered })
		if result != nil {
			t.Errorf("anybody %v: %v", anybody, result)
		}
	}
}

// A leader whose disk is slow, while the others make a majority without it, hands over, and does not take the lead back and
// forth where all are slow.
func TestSlowLeaderHandsOver(t *testing.T) {
	for _, slow := range []struct {
		name           string
		nodes, members int // slow ones, the leader first
		moves          bool
	}{
		{"the leader of three", 1, 3, true},
		{"the leader of five and two more", 3, 5, false},
		{"the leader of five and another", 2, 5, true},
		{"all", 3, 3, false},
		{"none", 0, 3, false},
	} {
		c := newCluster(t, 11, slow.members, smallTuning())
		l := c.leader()
		for i := range slow.nodes {
			c.node((l.id+NodeID(i)-1)%NodeID(slow.members) + 1).slow = 100 * time.Millisecond
		}
		for i := range 100 {
			c.leader().propose(fmt.Sprint(slow.name, i))
			c.run(150 * time.Millisecond)
		}
		if moved := c.leader() != l; moved != slow.moves {
			t.Errorf("%s slow: the lead moved: %v", slow.name, moved)
		}
		if slow.moves && c.leader().slow != 0 {
			t.Errorf("%s slow: a slow one leads", slow.name)
		}
	}
}

// The only one with the whole log may be the one with the oldest term. Its first question is refused for the term, and it
// does not wait for another election time before it asks again.
func TestElectionRefusedForItsTerm(t *testing.T) {
	for seed := range uint64(10) {
		c := newCluster(t, seed, 3, smallTuning())
		l := c.leader()
		whole, short := c.node(l.id%3+1), c.node((l.id+1)%3+1)
		c.partition(short.id, l.id, whole.id)
		l.propose("what one follower has")
		c.until("the write", 5*time.Second, func() bool { return slices.Contains(l.machine.values, "what one follower has") })
		term := l.replica.hard.GetTerm() + 2
		l.crash(disk.KeepUnsynced(), false)
		short.in.Messages = append(short.in.Messages, PeerMessage{From: l.id, Message: &raftpb.Message{
			Type: raftpb.MsgHeartbeat.Enum(), From: new(uint64(l.id)), To: new(uint64(short.id)), Term: new(term),
		}})
		short.due = c.now
		c.run(time.Millisecond)
		c.heal()
		c.until("the refusal", 10*time.Second, func() bool { return whole.replica.hard.GetTerm() == term })
		election := whole.replica.electionTime()
		if took := c.until("a leader", 10*time.Second, func() bool { return whole.replica.leading }); took > election {
			t.Errorf("seed %d: a leader %v after the refusal, an election time is %v", seed, took, election)
		}
	}
}

func TestTransferToADeadNodeFails(t *testing.T) {
	c := newCluster(t, 7, 3, smallTuning())
	l := c.leader()
	to := l.id%3 + 1
	c.node(to).crash(disk.KeepUnsynced(), true)
	result := error(nil)
	l.in.Transfers = []TransferRequest{{To: to, Done: func(err error) { result = err }}}
	l.due = c.now
	c.until("an answer", 5*time.Second, func() bool { return result != nil })
	if !errors.Is(result, ErrTransferFailed) {
		t.Errorf("transfer: %v", result)
	}
	l.propose("after")
	c.everywhere("after")
}

func TestReadsSeeEverythingBefore(t *testing.T) {
	c := newCluster(t, 8, 3, smallTuning())
	for round := range 5 {
		l := c.leader()
		value := fmt.Sprint("v", round)
		l.propose(value)
		c.until("the write", 5*time.Second, func() bool { return slices.Contains(l.machine.values, value) })
		answered := 0
		for _, n := range c.nodes {
			n.in.Reads = append(n.in.Reads, func(err error) {
				answered++
				if err != nil {
					t.Errorf("read: %v", err)
				} else if !slices.Contains(n.machine.values, value) {
					t.Errorf("node %v: a read that began after %q was applied does not see it", n.id, value)
				}
			})
			n.due = c.now
		}
		c.until("the reads", 5*time.Second, func() bool { return answered == 3 })
		// The next round reads right after a change of leader.
		l.in.Transfers = []TransferRequest{{Done: func(error) {}}}
		l.due = c.now
		c.until("another leader", 5*time.Second, func() bool { return l.machine.leads == 0 })
	}
}

// A leader that is cut off must not confirm a read, since others may decide without it.
func TestReadsOfACutOffLeaderFail(t *testing.T) {
	tuning := smallTuning()
	tuning.ReadTimeout = 3 * time.Second
	c := newCluster(t, 9, 3, tuning)
	l := c.leader()
	c.run(time.Second)
	c.partition(l.id, 1, 2, 3)
	result := errors.New("no answer")
	l.in.Reads = append(l.in.Reads, func(err error) { result = err })
	l.due = c.now
	c.until("a new value", 10*time.Second, func() bool {
		for _, n := range c.nodes {
			if n != l && n.machine.leads != 0 {
				n.propose("new")
				return true
			}
		}
		return false
	})
	c.until("an answer", 5*time.Second, func() bool { return result == nil || errors.Is(result, ErrReadTimeout) })
	if !errors.Is(result, ErrReadTimeout) {
		t.Errorf("read of a cut off leader: %v", result)
	}
}

// The others may have a new leader, and have written, while the old one has not noticed yet that it is cut off: their
// connections to it broke, and they do not wait until its time is over. It must not answer from what it has.
func TestReadsOfAReplacedLeaderFail(t *testing.T) {
	for seed := range uint64(10) {
		tuning := smallTuning()
		tuning.ReadTimeout = 3 * time.Second
		c := newCluster(t, seed, 3, tuning)
		l := c.leader()
		l.propose("old")
		c.everywhere("old")
		for _, n := range c.nodes {
			if n != l {
				c.partition(l.id, n.id)
				n.in.Lost = append(n.in.Lost, l.id)
				n.due = c.now
			}
		}
		c.until("a new value", time.Second, func() bool {
			for _, n := range c.nodes {
				if n != l && n.machine.leads != 0 && len(n.machine.values) == 1 && len(n.machine.queue) == 0 {
					n.propose("new")
				}
			}
			return slices.ContainsFunc(c.nodes, func(n *simNode) bool { return slices.Contains(n.machine.values, "new") })
		})
		if l.machine.leads == 0 || slices.Contains(l.machine.values, "new") {
			t.Fatalf("seed %d: node %v leads term %d and has %q: it was to have noticed nothing", seed, l.id, l.machine.leads, l.machine.values)
		}
		result := errors.New("no answer")
		l.in.Reads = append(l.in.Reads, func(err error) { result = err })
		l.due = c.now
		c.until("an answer", 5*time.Second, func() bool { return result == nil || errors.Is(result, ErrReadTimeout) })
		if result == nil {
			t.Errorf("seed %d: the old leader answered a read from %q: another one had written %q before", seed, l.machine.values, "new")
		}
	}
}

// A read that reaches a node after it has lost the lead is not passed on in the
// name of who asked, which no peer takes; who asked asks again.
func TestReadsAreNotPassedOn(t *testing.T) {
	c := newCluster(t, 9, 3, smallTuning())
	l := c.leader()
	c.run(time.Second)
	var followers []*simNode
	for _, n := range c.nodes {
		if n != l {
			followers = append(followers, n)
		}
	}
	asks, asked := followers[0], followers[1]
	c.post(asks.id, asked.id, func(n *simNode) {
		n.in.Messages = append(n.in.Messages, PeerMessage{From: asks.id, Message: &raftpb.Message{
			Type: raftpb.MsgReadIndex.Enum(), From: proto.Uint64(uint64(asks.id)), To: proto.Uint64(uint64(asked.id)),
			Entries: []*raftpb.Entry{{Data: make([]byte, readContextBytes)}},
		}})
	})
	c.run(time.Second)
	result := errors.New("no answer")
	asks.in.Reads = append(asks.in.Reads, func(err error) { result = err })
	c.until("a read of the node that asked", 5*time.Second, func() bool { return result == nil })
}

// A wish to hand over that comes in the turn in which the node loses the lead is not passed on to the new leader, in
// the name of who was to lead.
func TestTransfersAreNotPassedOn(t *testing.T) {
	c := newCluster(t, 9, 3, smallTuning())
	l := c.leader()
	c.run(time.Second)
	var followers []*simNode
	for _, n := range c.nodes {
		if n != l {
			followers = append(followers, n)
		}
	}
	newer, wanted := followers[0], followers[1]
	var result error
	c.post(newer.id, l.id, func(n *simNode) {
		n.in.Messages = append(n.in.Messages, PeerMessage{From: newer.id, Message: &raftpb.Message{
			Type: raftpb.MsgHeartbeat.Enum(), From: proto.Uint64(uint64(newer.id)), To: proto.Uint64(uint64(n.id)),
			Term: proto.Uint64(n.replica.hard.GetTerm() + 1),
		}})
		n.in.Transfers = append(n.in.Transfers, TransferRequest{To: wanted.id, Done: func(err error) { result = err }})
	})
	c.until("the end of the transfer", 5*time.Second, func() bool { return result != nil })
	if !errors.Is(result, ErrTransferFailed) {
		t.Errorf("a transfer asked for while the lead is lost: %v", result)
	}
}

func TestReadsAreBounded(t *testing.T) {
	tuning := smallTuning()
	tuning.MaxReads = 10
	c := newCluster(t, 9, 3, tuning)
	busy := 0
	for range 15 {
		c.nodes[0].in.Reads = append(c.nodes[0].in.Reads, func(err error) {
			if errors.Is(err, ErrBusy) {
				busy++
			}
		})
	}
	c.nodes[0].turn()
	if busy != 5 {
		t.Errorf("%d of 15 reads were refused; expected were 5", busy)
	}
}

func TestFailStopOnSync(t *testing.T) {
	c := newCluster(t, 10, 3, smallTuning())
	l := c.leader()
	read := errors.New("no answer")
	l.fs.Inject(disk.Fault{Kind: disk.OpSync})
	l.propose("doomed")
	l.in.Reads = append(l.in.Reads, func(err error) { read = err })
	r := l.replica
	c.until("the failure", time.Second, func() bool { return !l.up() })
	first := l.err
	if _, err := r.Turn(c.now+time.Second, Inputs{}); !errors.Is(err, first) {
		t.Errorf("a later turn returns %v, the first returned %v", err, first)
	}
	if read == nil || l.machine.leads != 0 || !slices.Equal(l.machine.unknown, []string{"doomed"}) {
		t.Errorf("after the failure: read %v, leads %d, unknown %q", read, l.machine.leads, l.machine.unknown)
	}
	if slices.Contains(l.machine.values, "doomed") {
		t.Error("an entry was applied that may not be on disk")
	}
	c.leader().propose("after")
	c.everywhere("after")
}
