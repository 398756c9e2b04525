package sim

import "time"

// event is something that will happen.
type event struct {
	at  time.Duration
	seq uint64 // of two at one time the one that was planned first goes first
	do  func() // nil: a turn of the node

	node *node
	turn uint64 // which one: a later one was planned if it is not this
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// queue is a heap of events in which every one has four children: less deep
// than one with two, and its children lie together.
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
