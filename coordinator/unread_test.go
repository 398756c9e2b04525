package coordinator

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/raftnode"
)

// TestUnread: a node whose disk has failed tells who reads to ask another one. A
// watch that was told of a defect instead ended for good.
func TestUnread(t *testing.T) {
	l := &loop{}
	for want, err := range map[api.Code]error{
		api.Code_UNAVAILABLE: fmt.Errorf("raftnode: node 1 stopped at entry 7: write to the log: %w", syscall.EIO),
		api.Code_OVERLOADED:  raftnode.ErrBusy,
	} {
		if e := l.unread(err); e.GetCode() != want || !e.GetDefinite() {
			t.Errorf("%v: told %v, definite %v: want %v", err, e.GetCode(), e.GetDefinite(), want)
		}
	}
	if e := errorOf(errors.New("anything else")); e.GetDefinite() {
		t.Error("a command of which nothing is known is called definite")
	}
}

// TestUnheard: what a stream asked for that has ended meanwhile is not read any
// more. Clients that asked for much and went away kept a node busy for seconds.
func TestUnheard(t *testing.T) {
	l := newCluster(t, 1, nil).nodes[0].loop
	for _, gone := range []bool{true, false} {
		c := &call{load: l.load, stream: &stream{closed: gone, over: true}}
		var read atomic.Bool
		l.submit(item{run: func() {
			l.reading(c, func() { read.Store(true); c.finish(api.Code_OK) })
		}})
		eventually(t, "the end of the call", c.over.Load)
		if read.Load() == gone {
			t.Errorf("a stream that has ended, %v: read %v", gone, !gone)
		}
	}
}
