package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/raftnode/disk"
)

// step is how far time goes between two turns of every node.
const step = 5 * time.Millisecond

// cluster is the nodes, and what was acknowledged to clients.
type cluster struct {
	rng   *rand.Rand
	now   time.Duration
	begun bool // there was data before
	nodes []*node
	acked map[string]string // keys and their values
	tried int
}

func newCluster(seed uint64) *cluster {
	c := &cluster{rng: rand.New(rand.NewPCG(seed, 0)), acked: map[string]string{}}
	for i := range nodes {
		c.nodes = append(c.nodes, &node{c: c, id: raftnode.NodeID(i + 1), fs: disk.NewMem()})
	}
	return c
}

func (c *cluster) start() {
	for _, n := range c.nodes {
		if n.replica == nil {
			n.start()
		}
	}
}

func (c *cluster) stop() {
	for _, n := range c.nodes {
		n.stop()
	}
}

// run lets time pass until the condition holds, and says whether it did.
func (c *cluster) run(most time.Duration, until func() bool) bool {
	for end := c.now + most; c.now < end; c.now += step {
		if until() {
			return true
		}
		for _, n := range c.nodes {
			n.turn()
		}
	}
	return until()
}

// leader is the node that leads and can be reached; nil: none.
func (c *cluster) leader() *node {
	for _, n := range c.nodes {
		if n.replica != nil && !n.cut && n.cell.Leading() {
			return n
		}
	}
	return nil
}

// put writes a key and waits until it is acknowledged, for a while.
func (c *cluster) put(most time.Duration) bool {
	c.tried++
	key, value := fmt.Sprintf("key/%d", c.tried%97), fmt.Sprintf("value %d %s", c.tried, padding[:c.rng.IntN(len(padding))])
	if !c.run(most, func() bool { return c.leader() != nil }) {
		return false
	}
	answered, ok := false, false
	op := &machine.Txn{Txn: store.Txn{Success: []store.Op{{Put: &store.PutOp{Key: key, Value: []byte(value)}}}}}
	c.leader().cell.Submit(c.now, op, func(p machine.Reply, err error) { answered, ok = true, err == nil && p.Code == machine.OK })
	c.run(most, func() bool { return answered })
	if ok {
		c.acked[key] = value
	}
	return ok
}

var padding = string(make([]byte, 200))

// missing is what was acknowledged and is not there on a node.
func (c *cluster) missing(n *node) (out []string) {
	for key, value := range c.acked {
		rec, ok := n.cell.Machine().Store().Get(store.Keys, key)
		if !ok || rec.Value != value {
			out = append(out, key)
		}
	}
	return out
}

// level says whether all nodes that run have applied the same, up to what the
// leader has committed.
func (c *cluster) level() bool {
	l := c.leader()
	if l == nil {
		return false
	}
	index, _ := l.cell.Applied()
	for _, n := range c.nodes {
		if n.replica == nil {
			continue
		}
		if at, _ := n.cell.Applied(); at != index {
			return false
		}
	}
	return true
}
