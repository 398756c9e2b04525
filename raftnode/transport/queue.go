package transport

import (
	"sync"

	"github.com/conch-lock/conch/raftnode"
	"go.etcd.io/raft/v3/raftpb"
)

// Lane is a class of messages with a queue of its own. Lower ones are written
// first; within a lane, order is kept.
type Lane int

// The lanes.
const (
	// LaneUrgent has what is small and must not be late: heartbeats, votes and
	// answers.
	LaneUrgent Lane = iota
	// LaneApp has the payloads of SendPayload.
	LaneApp
	// LaneBulk has the log entries. All appends are here, empty ones too: one
	// that overtook another would be refused as a gap.
	LaneBulk

	lanes
)

// What one batch takes from a lane at most, so that a heartbeat waits behind no
// more than one batch. The urgent lane is always taken whole.
const (
	batchAppBytes  = 256 << 10
	batchBulkBytes = 512 << 10
	batchMessages  = 1024
)

func laneOf(t raftpb.MessageType) Lane {
	switch t {
	case raftpb.MsgApp, raftpb.MsgProp, raftpb.MsgSnap:
		return LaneBulk
	default:
		return LaneUrgent
	}
}

// queue holds what waits to be written to one peer.
type queue struct {
	ready chan struct{} // has a token when the writer is to look

	mu    sync.Mutex
	lanes [lanes]lane
}

// lane is a bounded FIFO. Items before head have been taken.
type lane struct {
	limits LaneLimits
	items  []frame
	head   int
	bytes  int
}

func newQueue(urgent, app, bulk LaneLimits) *queue {
	q := &queue{ready: make(chan struct{}, 1)}
	q.lanes[LaneUrgent].limits = urgent
	q.lanes[LaneApp].limits = app
	q.lanes[LaneBulk].limits = bulk
	return q
}

// put reports whether there was room.
func (q *queue) put(l Lane, f frame) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lanes[l].put(f)
}

// wake has the writer look.
func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take appends the next batch to dst: nothing when the queue is empty.
func (q *queue) take(dst []frame) []frame {
	q.mu.Lock()
	defer q.mu.Unlock()
	u := &q.lanes[LaneUrgent]
	dst = u.take(dst, u.limits.Messages, u.limits.Bytes)
	dst = q.lanes[LaneApp].take(dst, batchMessages, batchAppBytes)
	return q.lanes[LaneBulk].take(dst, batchMessages, batchBulkBytes)
}

// clear drops everything, returns how many messages that were, and calls lost
// with the group of each Raft message among them.
func (q *queue) clear(lost func(raftnode.GroupID)) (dropped int) {
	q.mu.Lock()
	var old [lanes]lane
	for i := range q.lanes {
		old[i] = q.lanes[i]
		q.lanes[i] = lane{limits: old[i].limits}
	}
	q.mu.Unlock()
	for _, l := range old {
		dropped += len(l.items) - l.head
		for _, f := range l.items[l.head:] {
			if f.kind == kindRaft {
				lost(f.group)
			}
		}
	}
	return dropped
}

func (q *queue) size() (messages, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.lanes {
		messages += len(q.lanes[i].items) - q.lanes[i].head
		bytes += q.lanes[i].bytes
	}
	return messages, bytes
}

func (l *lane) put(f frame) bool {
	n := len(l.items) - l.head
	// A message always fits in an empty lane, whatever the limit.
	if n > 0 && (n >= l.limits.Messages || l.bytes+f.cost > l.limits.Bytes) {
		return false
	}
	if l.head > 0 && len(l.items) == cap(l.items) {
		moved := copy(l.items, l.items[l.head:])
		clear(l.items[moved:])
		l.items, l.head = l.items[:moved], 0
	}
	l.items = append(l.items, f)
	l.bytes += f.cost
	return true
}

// take moves items to dst until either maximum is reached, at least one if
// there is one.
func (l *lane) take(dst []frame, messages, bytes int) []frame {
	for taken := 0; l.head < len(l.items); taken++ {
		f := &l.items[l.head]
		if taken > 0 && (taken >= messages || f.cost > bytes) {
			return dst
		}
		bytes -= f.cost
		l.bytes -= f.cost
		dst = append(dst, *f)
		*f = frame{}
		l.head++
	}
	if cap(l.items) > 2*batchMessages {
		l.items = nil // a burst does not keep its memory
	}
	l.items, l.head = l.items[:0], 0
	return dst
}
