//go:build linux

package main

import (
	"context"
	"time"
)

// ways are those that are cut between nodes, each in one direction: from, to.
type ways map[[2]int]bool

// cut takes what nodes of a send to those of b.
func (w ways) cut(a, b []int) ways {
	for _, from := range a {
		for _, to := range b {
			if from != to {
				w[[2]int{from, to}] = true
			}
		}
	}
	return w
}

// splitIn: the first n and the rest do not reach each other.
func splitIn(nodes []int, n int) ways {
	return ways{}.cut(nodes[:n], nodes[n:]).cut(nodes[n:], nodes[:n])
}

// bridgeOf: two halves do not reach each other, and the node in the middle reaches
// both, so that everybody has a majority and not the same one.
func bridgeOf(nodes []int) ways {
	half := (len(nodes) - 1) / 2
	return ways{}.cut(nodes[:half], nodes[half+1:]).cut(nodes[half+1:], nodes[:half])
}

// ringOf: every node reaches the one before and the one after it and no more.
func ringOf(nodes []int) ways {
	w := ways{}
	for i := range nodes {
		for j := range nodes {
			if d := (j - i + len(nodes)) % len(nodes); d > 1 && d < len(nodes)-1 {
				w.cut(nodes[i:i+1], nodes[j:j+1])
			}
		}
	}
	return w
}

// set cuts ways between all nodes, and leaves the others as they are without faults.
// Clients are not between nodes.
func (n *network) set(w ways) error {
	for to := range n.hosts {
		var addresses []string
		for from := range n.hosts {
			if w[[2]int{from, to}] {
				addresses = append(addresses, n.hosts[from].Address)
			}
		}
		if err := n.rules(to, drop("saddr", addresses...), nil); err != nil {
			return err
		}
	}
	return nil
}

// without takes ways away for a while. hurts are the nodes that have no majority
// any more; nil: that depends on who leads, and everybody may be held up.
func (r *runner) without(w ways, hurts []int) *fault {
	return &fault{nodes: r.everyNode(), hurts: hurts, space: ofNetwork, cell: hurts == nil, length: r.span(time.Second, 8*time.Second),
		begin: func() error { return r.net.set(w) },
		end:   func(context.Context) error { return r.net.set(nil) }}
}

func (r *runner) everyNode() []int {
	nodes := make([]int, r.cfg.nodes)
	for i := range nodes {
		nodes[i] = i
	}
	return nodes
}

// minority is less than half of the nodes.
func (r *runner) minority() int { return (r.cfg.nodes - 1) / 2 }

// shuffled are all nodes. In every second the leader is the first of them.
func (r *runner) shuffled() []int {
	nodes, leader := r.everyNode(), r.leader()
	r.rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	if r.rng.IntN(2) == 0 {
		for i, x := range nodes {
			if x == leader {
				nodes[0], nodes[i] = nodes[i], nodes[0]
			}
		}
	}
	return nodes
}

// split: a minority and the rest do not reach each other.
func (r *runner) split() *fault {
	nodes := r.shuffled()
	return r.without(splitIn(nodes, r.minority()), nodes[:r.minority()])
}

// splitOneWay: a minority is not heard by the rest, or does not hear it.
func (r *runner) splitOneWay() *fault {
	nodes := r.shuffled()
	few, rest := nodes[:r.minority()], nodes[r.minority():]
	if r.rng.IntN(2) == 0 {
		return r.without(ways{}.cut(few, rest), few)
	}
	return r.without(ways{}.cut(rest, few), few)
}

func (r *runner) bridge() *fault { return r.without(bridgeOf(r.shuffled()), nil) }

func (r *runner) ring() *fault { return r.without(ringOf(r.shuffled()), nil) }
