package cell

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/sessions"
)

// cluster joins cells by hand: a log that everybody applies, and messages that
// arrive when the test says so.
type cluster struct {
	t     *testing.T
	now   time.Duration
	cells map[raftnode.NodeID]*node
	log   []raftnode.Entry
	term  uint64
}

type node struct {
	*Cell
	id     raftnode.NodeID
	mail   []message // sent, not delivered yet
	deaf   bool      // sending fails
	out    []machine.Event
	leader []raftnode.NodeID
	reset  int
}

type message struct {
	to      raftnode.NodeID
	payload []byte
}

func newCluster(t *testing.T, n int, change func(*Config)) *cluster {
	c := &cluster{t: t, cells: map[raftnode.NodeID]*node{}, term: 1}
	for i := range n {
		id := raftnode.NodeID(i + 1)
		x := &node{id: id}
		cfg := Config{
			Self: id, Boot: 1,
			Wall: func() int64 { return 1_000_000 + c.now.Milliseconds() },
			Send: func(to raftnode.NodeID, payload []byte) bool {
				if to == id {
					t.Errorf("node %d sends to itself", id)
				}
				if x.deaf {
					return false
				}
				x.mail = append(x.mail, message{to, slices.Clone(payload)})
				return true
			},
			Output:     func(out machine.Output) { x.out = append(x.out, out.Events...) },
			Leadership: func(leader raftnode.NodeID) { x.leader = append(x.leader, leader) },
			Restored:   func() { x.reset++ },
		}
		if change != nil {
			change(&cfg)
		}
		x.Cell = New(cfg)
		t.Cleanup(x.Machine().Close)
		c.cells[id] = x
	}
	return c
}

func (c *cluster) ids() []raftnode.NodeID {
	var l []raftnode.NodeID
	for id := range c.cells {
		l = append(l, id)
	}
	slices.Sort(l)
	return l
}

// elect makes a node the leader of a new term that all know.
func (c *cluster) elect(leader raftnode.NodeID) {
	c.term++
	for _, id := range c.ids() {
		if id != leader {
			c.cells[id].Unlead(leader)
		}
	}
	c.commit(nil)
	c.cells[leader].Lead(c.term)
}

// lose makes everybody forget the leader.
func (c *cluster) lose() {
	for _, id := range c.ids() {
		c.cells[id].Unlead(0)
	}
}

// commit puts entries in the log and has everybody apply them.
func (c *cluster) commit(payloads ...[]byte) {
	var l []raftnode.Entry
	for _, p := range payloads {
		c.log = append(c.log, raftnode.Entry{Index: uint64(len(c.log) + 1), Term: c.term, Data: p})
		l = append(l, c.log[len(c.log)-1])
	}
	if payloads == nil {
		c.log = append(c.log, raftnode.Entry{Index: uint64(len(c.log) + 1), Term: c.term})
		l = c.log[len(c.log)-1:]
	}
	for _, id := range c.ids() {
		x := c.cells[id]
		if index, _ := x.Applied(); index+1 == l[0].Index {
			x.Apply(l)
		}
	}
}

// deliver hands over the messages of a node, each as often as told.
func (c *cluster) deliver(from raftnode.NodeID, times int) {
	x := c.cells[from]
	mail := x.mail
	x.mail = nil
	for _, m := range mail {
		for range times {
			c.cells[m.to].Receive(from, m.payload)
		}
	}
}

const maxBytes = 1 << 20

// propose takes the leader's payloads.
func (c *cluster) propose(leader raftnode.NodeID) [][]byte {
	return c.cells[leader].Propose(c.now, maxBytes)
}

// turn lets time pass and everything happen: messages both ways, one proposal.
func (c *cluster) turn(leader raftnode.NodeID, d time.Duration) {
	c.now += d
	for _, id := range c.ids() {
		c.cells[id].Sweep(c.now)
	}
	for _, id := range c.ids() {
		c.deliver(id, 1)
	}
	if p := c.propose(leader); p != nil {
		c.commit(p...)
	}
	for _, id := range c.ids() {
		c.deliver(id, 1)
	}
}

// answer is what came of a request.
type answer struct {
	n     int
	reply machine.Reply
	err   error
}

func (a *answer) String() string {
	switch {
	case a.n == 0:
		return "waits"
	case a.n > 1:
		return fmt.Sprintf("answered %d times", a.n)
	case errors.Is(a.err, ErrUnknown) && errors.Is(a.err, ErrStopped):
		return "stopped, unknown"
	case a.err != nil:
		for name, err := range map[string]error{"unknown": ErrUnknown, "no leader": ErrNoLeader, "overloaded": ErrOverloaded, "stopped": ErrStopped} {
			if errors.Is(a.err, err) {
				return name
			}
		}
		return a.err.Error()
	case a.reply.Code != machine.OK:
		return fmt.Sprintf("code %d", a.reply.Code)
	}
	return "ok"
}

func (c *cluster) submit(id raftnode.NodeID, op machine.Op) *answer {
	a := &answer{}
	x := c.cells[id]
	x.Submit(c.now, op, func(p machine.Reply, err error) { a.n++; a.reply, a.err = p, err })
	x.Flush()
	return a
}

func want(t *testing.T, a *answer, s string) {
	t.Helper()
	if a.String() != s {
		t.Fatalf("the request %v, %s is wanted: %+v, %v", a, s, a.reply, a.err)
	}
}

func openSession(n byte, ttl uint64) *machine.OpenSession {
	return &machine.OpenSession{Nonce: sessions.Nonce{n}, TTL: ttl}
}

func acquire(id sessions.ID, q sessions.Sequence, n locks.Name) *machine.Acquire {
	return &machine.Acquire{Request: machine.Request{Session: id, Sequence: q}, Items: []locks.Item{{Name: n}}}
}

// put writes a key without a sequence.
func put(key string) *machine.Txn {
	return &machine.Txn{Txn: store.Txn{Success: []store.Op{{Put: &store.PutOp{Key: key, Value: []byte("x")}}}}}
}

func breakLock(token locks.Token) *machine.Break { return &machine.Break{Name: "a", Token: token} }
