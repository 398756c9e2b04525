package transport

import (
	"errors"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/conch-lock/conch/raftnode"
)

// notices collects which groups lost messages to whom. Telling the receiver is
// left to a goroutine of its own: Send is called by the group that would be
// told. However many messages are lost, there is one notice until it is told.
type notices struct {
	ready chan struct{}

	mu   sync.Mutex
	lost map[notice]struct{}
}

type notice struct {
	group raftnode.GroupID
	to    raftnode.NodeID
}

func newNotices() *notices {
	return &notices{ready: make(chan struct{}, 1), lost: map[notice]struct{}{}}
}

func (n *notices) add(group raftnode.GroupID, to raftnode.NodeID) {
	n.mu.Lock()
	n.lost[notice{group, to}] = struct{}{}
	n.mu.Unlock()
	select {
	case n.ready <- struct{}{}:
	default:
	}
}

func (n *notices) take() map[notice]struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	lost := n.lost
	n.lost = map[notice]struct{}{}
	return lost
}

// notify tells the receiver until the transport is closed.
func (t *Transport) notify() {
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-t.notices.ready:
		}
		for n := range t.notices.take() {
			_ = t.guard(n.to, func() { t.receiver.Unreachable(n.group, n.to) })
		}
	}
}

// quiet lets one of many alike log lines pass a second.
type quiet struct {
	mu         sync.Mutex
	last       time.Time
	suppressed int
}

// pass reports whether to log now, and how many were kept back before.
func (q *quiet) pass() (bool, int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := time.Now(); now.Sub(q.last) >= time.Second {
		n := q.suppressed
		q.last, q.suppressed = now, 0
		return true, n
	}
	q.suppressed++
	return false, 0
}

func stack() string { return string(debug.Stack()) }

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
