package sim

import (
	"math/rand/v2"
	"time"
)

// linkFault lets links fail.
func (w *world) linkFault(kind Fault, rng *rand.Rand, n *node) bool {
	switch kind {
	case faultIsolate:
		w.sometimes(isolated)
		w.partition(rng, n, true, true)
	case faultOneWay:
		w.sometimes(oneWay)
		in := rng.IntN(2) == 0
		w.partition(rng, n, in, !in)
	case faultLink:
		w.sometimes(linkCut)
		to := w.nodes[rng.IntN(len(w.nodes))]
		d := between(rng, 50*time.Millisecond, 5*time.Second)
		w.tell("link from %v to %v is cut for %v", n.id, to.id, d)
		w.cutFor(n.id, to.id, d)
		if rng.IntN(2) == 0 {
			w.cutFor(to.id, n.id, d)
		}
	case faultSplit:
		w.split(rng)
	case faultFlap:
		w.flap(rng, n)
	case faultNet:
		w.sometimes(netRough)
		w.net.loss, w.net.tail, w.net.double = 0.2*rng.Float64(), 0.1*rng.Float64(), 0.1*rng.Float64()
		w.tell("the network loses %.3f, delays %.3f, doubles %.3f", w.net.loss, w.net.tail, w.net.double)
		w.after(between(rng, 500*time.Millisecond, 5*time.Second), w.net.calm)
	default:
		return false
	}
	return true
}

// partition cuts a node off its peers, one way or both, and perhaps off some of
// the clients.
func (w *world) partition(rng *rand.Rand, n *node, in, out bool) {
	d := between(rng, 50*time.Millisecond, 6*time.Second)
	w.tell("node %v is cut off for %v, in %v, out %v", n.id, d, in, out)
	for _, p := range w.nodes {
		if in {
			w.cutFor(p.id, n.id, d)
		}
		if out {
			w.cutFor(n.id, p.id, d)
		}
	}
	if rng.IntN(2) == 0 {
		for _, c := range w.clients {
			if rng.IntN(2) == 0 {
				c.cutFor(n.id, d)
			}
		}
	}
}

// split cuts the cell in two, with a bridge between them now and then.
func (w *world) split(rng *rand.Rand) {
	w.sometimes(split)
	d := between(rng, 100*time.Millisecond, 6*time.Second)
	side := map[*node]int{}
	for _, n := range w.nodes {
		side[n] = rng.IntN(2)
	}
	if rng.IntN(3) == 0 {
		side[w.nodes[rng.IntN(len(w.nodes))]] = 2 // it talks to both
	}
	w.tell("the cell is split for %v", d)
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if side[a]+side[b] == 1 {
				w.cutFor(a.id, b.id, d)
			}
		}
	}
}

// flap cuts all links of a node again and again.
func (w *world) flap(rng *rand.Rand, n *node) {
	w.sometimes(flapped)
	w.tell("the links of node %v flap", n.id)
	at := time.Duration(0)
	for range 3 + rng.IntN(10) {
		d := between(rng, 10*time.Millisecond, 200*time.Millisecond)
		w.after(at, func() {
			if w.healed != 0 {
				return
			}
			for _, p := range w.nodes {
				w.cutFor(p.id, n.id, d)
				w.cutFor(n.id, p.id, d)
			}
		})
		at += d + between(rng, 10*time.Millisecond, 300*time.Millisecond)
	}
}
