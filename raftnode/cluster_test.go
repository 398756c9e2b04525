package raftnode

import (
	"cmp"
	crand "crypto/rand"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/conch-lock/conch/raftnode/disk"
)

// cluster runs replicas in virtual time on one goroutine: messages take time, can be cut off, lost and doubled, and
// everything is a function of the seed.
type cluster struct {
	t      testing.TB
	now    time.Duration
	rng    *rand.Rand
	tuning Tuning
	nodes  []*simNode
	mail   []letter // by time of arrival
	sent   uint64

	onSend    func(from *simNode, m *raftpb.Message) // when set, sees every message first
	cut       map[[2]NodeID]bool                     // from, to
	loss      float64
	committed map[uint64]string // what the first replica to apply an index applied there
	trace     hash.Hash64
}

type simNode struct {
	c       *cluster
	id      NodeID
	initial []Member
	fs      *disk.Mem
	machine *tally
	replica *Replica
	in      Inputs
	due     time.Duration
	err     error // why it is down
	members []Member
	paused  bool
	slow    time.Duration // how long a turn takes that changes its log
	took    time.Duration // how long the last one did,
	busy    time.Duration // and until when

	failSnapshots int // so many of the snapshots that it sends do not arrive
}

type letter struct {
	at      time.Duration
	order   uint64
	to      NodeID
	deliver func(*simNode)
}

func smallTuning() Tuning {
	return Tuning{SegmentBytes: 16 << 10, SnapshotEntries: 1 << 40, SnapshotBytes: 1 << 40}
}

// seeded reads random bytes that are always the same; raft takes its election timeouts from here.
type seeded struct{ r *rand.Rand }

func (s seeded) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s.r.Uint32())
	}
	return len(p), nil
}

func newCluster(t testing.TB, seed uint64, n int, tuning Tuning) *cluster {
	old := crand.Reader
	crand.Reader = seeded{rand.New(rand.NewPCG(seed, 99))}
	t.Cleanup(func() { crand.Reader = old })
	c := &cluster{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), tuning: tuning,
		cut: map[[2]NodeID]bool{}, committed: map[uint64]string{}, trace: fnv.New64a(),
	}
	var initial []Member
	for i := range n {
		initial = append(initial, Member{ID: NodeID(i + 1), Name: fmt.Sprintf("n%d", i+1), Address: fmt.Sprintf("n%d:1", i+1)})
	}
	for i := range n {
		c.add(NodeID(i+1), initial)
	}
	return c
}

// add makes a node and starts it.
func (c *cluster) add(id NodeID, initial []Member) *simNode {
	n := &simNode{c: c, id: id, initial: initial, fs: disk.NewMem()}
	c.nodes = append(c.nodes, n)
	n.start()
	if n.err != nil {
		c.t.Fatalf("node %v does not start: %v", id, n.err)
	}
	return n
}

func (c *cluster) node(id NodeID) *simNode {
	for _, n := range c.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

func (n *simNode) start() {
	n.machine = &tally{onApply: n.applied}
	n.in = Inputs{}
	n.replica, n.err = NewReplica(ReplicaConfig{
		Cluster: 7, Group: 1, Node: n.id, FS: n.fs, Dir: "/data/g", Initial: n.initial, Machine: n.machine, Outbox: n,
		MembersChanged: func(m []Member) { n.members = m },
		Tuning:         n.c.tuning, Rand: rand.New(rand.NewPCG(n.c.rng.Uint64(), 2)), Logger: zerolog.Nop(),
	})
	n.due = n.c.now
	if n.err != nil {
		n.replica = nil
	}
}

// applied checks that all replicas apply the same at every index.
func (n *simNode) applied(e Entry) {
	what := fmt.Sprintf("%d:%s", e.Term, e.Data)
	if first, ok := n.c.committed[e.Index]; !ok {
		n.c.committed[e.Index] = what
	} else if first != what {
		n.c.t.Fatalf("node %v applies %q at %d: another applied %q", n.id, what, e.Index, first)
	}
	fmt.Fprintf(n.c.trace, "%v/%v/%d/%s\n", n.c.now, n.id, e.Index, what)
}

func (n *simNode) up() bool { return n.replica != nil }

// crash ends the node as a power cut does; others see their connections to it break when broken is set.
func (n *simNode) crash(s disk.Survival, broken bool) {
	n.fs.SetHook(nil)
	n.fs.Crash(s)
	n.replica, n.err = nil, errors.New("crashed")
	if !broken {
		return
	}
	for _, other := range n.c.nodes {
		if other.up() && other != n {
			n.c.post(n.id, other.id, func(o *simNode) { o.in.Lost = append(o.in.Lost, n.id) })
		}
	}
}

// post has something happen at a node after a delay, unless the way is cut then or it is lost.
func (c *cluster) post(from, to NodeID, deliver func(*simNode)) {
	if c.cut[[2]NodeID{from, to}] || c.rng.Float64() < c.loss {
		return
	}
	copies := 1
	if c.loss > 0 && c.rng.IntN(50) == 0 {
		copies = 2
	}
	for range copies {
		delay := 200*time.Microsecond + time.Duration(c.rng.Int64N(int64(800*time.Microsecond)))
		if c.loss > 0 && c.rng.IntN(100) == 0 {
			delay += time.Duration(c.rng.Int64N(int64(300 * time.Millisecond)))
		}
		c.mailAt(c.now+delay, to, deliver)
	}
}

// mailAt has something happen at a node at a certain time.
func (c *cluster) mailAt(when time.Duration, to NodeID, deliver func(*simNode)) {
	c.sent++
	l := letter{when, c.sent, to, deliver}
	at, _ := slices.BinarySearchFunc(c.mail, l, func(a, b letter) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order))
	})
	c.mail = slices.Insert(c.mail, at, l)
}

// Flush implements Outbox.
func (n *simNode) Flush() {}

// Send implements Outbox; messages are encoded, as on a wire, so that nothing is shared.
func (n *simNode) Send(m *raftpb.Message) {
	if from := NodeID(m.GetFrom()); from != n.id {
		n.c.t.Errorf("node %v sends a %v in the name of node %v: the other side would close the connection", n.id, m.GetType(), from)
	}
	if n.c.onSend != nil {
		n.c.onSend(n, m)
	}
	b, err := proto.Marshal(m)
	if err != nil {
		n.c.t.Fatal(err)
	}
	post := func(d func(*simNode)) { n.c.post(n.id, NodeID(m.GetTo()), d) }
	if n.slow > 0 && m.GetType() == raftpb.MsgAppResp { // what it tells of is on its disk
		post = func(d func(*simNode)) {
			n.c.mailAt(n.c.now+n.slow, n.id, func(*simNode) { n.c.post(n.id, NodeID(m.GetTo()), d) })
		}
	}
	post(func(o *simNode) {
		m := &raftpb.Message{}
		if err := proto.Unmarshal(b, m); err != nil {
			n.c.t.Fatal(err)
		}
		o.in.Messages = append(o.in.Messages, PeerMessage{From: n.id, Message: m, At: n.c.now})
	})
}

// SendSnapshot implements Outbox: whatever happens, the outcome comes back once.
func (n *simNode) SendSnapshot(m *raftpb.Message, open func() (io.ReadCloser, error)) {
	c, to, index := n.c, NodeID(m.GetTo()), m.GetSnapshot().GetMetadata().GetIndex()
	reported := false
	result := func(err error) {
		if reported || !n.up() {
			return
		}
		reported = true
		n.in.SnapshotsSent = append(n.in.SnapshotsSent, SnapshotResult{to, index, err})
		n.due = c.now
	}
	if n.failSnapshots > 0 {
		n.failSnapshots--
		result(errors.New("the connection broke"))
		return
	}
	// The time limit of the transport.
	c.mailAt(c.now+time.Second, n.id, func(*simNode) { result(errors.New("no answer")) })
	r, err := open()
	if err != nil {
		return
	}
	content, err := io.ReadAll(r)
	_ = r.Close()
	if err != nil {
		return
	}
	b, _ := proto.Marshal(m)
	c.post(n.id, to, func(o *simNode) {
		m := &raftpb.Message{}
		if err := proto.Unmarshal(b, m); err != nil {
			c.t.Fatal(err)
		}
		path, err := Spool(o.fs, "/data/g", 7, 1, m, strings.NewReader(string(content)))
		if err != nil {
			return
		}
		o.in.Snapshots = append(o.in.Snapshots, ReceivedSnapshot{From: n.id, Message: m, Path: path, Done: func(err error) {
			c.post(o.id, n.id, func(*simNode) { result(err) })
		}})
	})
}

// turn gives the node a turn.
func (n *simNode) turn() {
	in := n.in
	in.Synced = n.took
	n.in = Inputs{}
	last := n.replica.log.last()
	out, err := n.replica.Turn(n.c.now, in)
	if err != nil {
		n.err, n.replica = err, nil
		return
	}
	n.due = out.Next
	if out.Busy {
		n.due = n.c.now
	}
	n.took = 0
	if n.replica.log.last() > last {
		n.took = n.slow
	}
	if n.busy = n.c.now + n.took; n.due < n.busy {
		n.due = n.busy
	}
	for _, trouble := range n.machine.trouble {
		n.c.t.Fatalf("node %v: %s", n.id, trouble)
	}
	if n.due < n.c.now {
		n.c.t.Fatalf("node %v wants a turn at %v: it is %v", n.id, n.due, n.c.now)
	}
}

// step lets the next thing happen, at most a tick from now.
func (c *cluster) step() {
	next := c.now + 50*time.Millisecond
	if len(c.mail) > 0 {
		next = c.mail[0].at
	}
	for _, n := range c.nodes {
		if n.up() && !n.paused {
			next = min(next, n.due)
		}
	}
	c.now = max(c.now, next)
	for len(c.mail) > 0 && c.mail[0].at <= c.now {
		l := c.mail[0]
		c.mail = c.mail[1:]
		if n := c.node(l.to); n != nil && n.up() {
			l.deliver(n)
			n.due = max(c.now, n.busy)
		}
	}
	for _, n := range c.nodes {
		if n.up() && !n.paused && n.due <= c.now {
			n.turn()
		}
	}
}

// run lets time pass.
func (c *cluster) run(d time.Duration) {
	for end := c.now + d; c.now < end; {
		c.step()
	}
}

// until lets time pass until a condition holds.
func (c *cluster) until(what string, limit time.Duration, holds func() bool) time.Duration {
	c.t.Helper()
	begin := c.now
	for !holds() {
		if c.now-begin > limit {
			for _, n := range c.nodes {
				if n.up() {
					s := n.replica.Status()
					c.t.Logf("node %v: %v term %d leader %v leading %v last %d commit %d applied %d followers %+v", n.id, s.Role, s.Term, s.Leader, s.Leading, s.Last, s.Commit, s.Applied, s.Followers)
				} else {
					c.t.Logf("node %v: down: %v", n.id, n.err)
				}
			}
			c.t.Fatalf("after %v: %s did not happen", limit, what)
		}
		c.step()
	}
	return c.now - begin
}

// leader waits for a node that leads.
func (c *cluster) leader() *simNode {
	c.t.Helper()
	var found *simNode
	c.until("an election", 10*time.Second, func() bool {
		found = nil
		for _, n := range c.nodes {
			if n.up() && n.machine.leads != 0 && (found == nil || n.machine.leads > found.machine.leads) {
				found = n
			}
		}
		return found != nil
	})
	return found
}

// propose has a node propose values.
func (n *simNode) propose(values ...string) {
	for _, v := range values {
		n.machine.queue = append(n.machine.queue, []byte(v))
	}
	n.due = n.c.now
}

// everywhere waits until all running nodes have applied what one has.
func (c *cluster) everywhere(value string) {
	c.t.Helper()
	c.until(fmt.Sprintf("applying %q everywhere", value), 10*time.Second, func() bool {
		for _, n := range c.nodes {
			if n.up() && !slices.Contains(n.machine.values, value) {
				return false
			}
		}
		return true
	})
}

func (c *cluster) partition(a NodeID, others ...NodeID) {
	for _, b := range others {
		c.cut[[2]NodeID{a, b}], c.cut[[2]NodeID{b, a}] = true, true
	}
}

func (c *cluster) heal() { clear(c.cut) }

func numbered(prefix string, n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("%s%d", prefix, i))
	}
	return list
}

// stream returns the newest snapshot of a node as it would be sent.
func (n *simNode) stream(t testing.TB) (*raftpb.Message, []byte) {
	s := n.replica.log.snapshot
	r, err := openStream(n.fs, n.replica.files[0].path, n.replica.metaOf(s))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	term := n.replica.hard.GetTerm()
	return &raftpb.Message{Type: raftpb.MsgSnap.Enum(), From: new(uint64(n.id)), To: new(uint64(2)), Term: &term, Snapshot: s}, b
}

// errNoSpace is what a full disk says.
var errNoSpace error = syscall.ENOSPC
