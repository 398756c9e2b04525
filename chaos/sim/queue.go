package sim

import "time"

// happening is what an event does. Messages are the most, and have no other
// object beside them.
type happening interface{ happen() }

// action is one that is a function.
type action func()

func (a action) happen() { a() }

// event is something that will happen.
type event struct {
	at  time.Duration
	seq uint64 // of two at one time the one that was planned first goes first
	do  happening
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// queue is a heap of events in which every one has four children: less deep
// than one with two, and its children lie together. Turns of nodes are not in
// it: a node has one planned at a time, which every message puts forward.
type queue []event

func (q *queue) push(e event) {
	l := append(*q, e)
	i := len(l) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&l[up]) {
			break
		}
		l[i] = l[up]
		i = up
	}
	l[i] = e
	*q = l
}

// pop takes the first event out.
func (q *queue) pop() event {
	l := *q
	first, last := l[0], l[len(l)-1]
	l[len(l)-1] = event{}
	l = l[:len(l)-1]
	*q = l
	if len(l) == 0 {
		return first
	}
	i := 0
	for {
		best := 4*i + 1
		if best >= len(l) {
			break
		}
		for c := best + 1; c < min(best+4, len(l)); c++ {
			if l[c].before(&l[best]) {
				best = c
			}
		}
		if !l[best].before(&last) {
			break
		}
		l[i] = l[best]
		i = best
	}
	l[i] = last
	return first
}

// next takes what happens next out, up to a time: an event, or a node whose turn
// it is. Neither is there when nothing is left to happen until then.
func (w *world) next(until time.Duration) (e event, n *node) {
	for _, o := range w.nodes {
		if o.turnSeq == 0 || n != nil && (o.turnAt > e.at || o.turnAt == e.at && o.turnSeq > e.seq) {
			continue
		}
		e.at, e.seq, n = o.turnAt, o.turnSeq, o
	}
	switch {
	case len(w.queue) > 0 && (n == nil || w.queue[0].before(&e)):
		if w.queue[0].at > until {
			return event{}, nil
		}
		return w.queue.pop(), nil
	case n != nil && e.at > until:
		return event{}, nil
	}
	return e, n
}
