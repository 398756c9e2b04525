package coordinator

import (
	"testing"
	"time"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/raftnode"
)

// busyGroup is a group whose queue is full, or that has ended, while err is set.
type busyGroup struct {
	*bench
	err error
}

func (g *busyGroup) Do(f func()) error {
	if g.err != nil {
		return g.err
	}
	return g.bench.Do(f)
}

// TestBusyGroup: what comes while the queue of the group is full is refused as
// overload, and what comes afterwards is served; after the group's end nothing is.
func TestBusyGroup(t *testing.T) {
	b := newBench(t)
	g := &busyGroup{bench: b}
	b.loop.group = g
	handled := 0
	submit := func() (refused *api.Error) {
		c := &call{method: methodShowSession, began: time.Now(), load: b.loop.load, answer: func(r *api.Response) { refused = r.GetError() }}
		b.loop.submit(item{call: c, run: func() { handled++; c.respond(&api.Response{}) }})
		return refused
	}
	for i, step := range []struct {
		err     error
		code    api.Code
		handled int
	}{
		{nil, api.Code_OK, 1},
		{raftnode.ErrBusy, api.Code_OVERLOADED, 1},
		{raftnode.ErrBusy, api.Code_OVERLOADED, 1},
		{nil, api.Code_OK, 2},
		{raftnode.ErrStopped, api.Code_UNAVAILABLE, 2},
		{nil, api.Code_UNAVAILABLE, 2},
	} {
		g.err = step.err
		if e := submit(); e.GetCode() != step.code || e != nil && !e.GetDefinite() || handled != step.handled {
			t.Errorf("step %d: %v, %d handled: want %v and %d", i, e, handled, step.code, step.handled)
		}
	}
	// The queue becomes full while there is more to do than one turn does.
	b = newBench(t)
	g = &busyGroup{bench: b}
	b.loop.group = g
	handled = 0
	var refused int
	var items []item
	for range maxDrain + 10 {
		c := &call{method: methodShowSession, began: time.Now(), load: b.loop.load, answer: func(r *api.Response) {
			if r.GetError().GetCode() == api.Code_OVERLOADED {
				refused++
			}
		}}
		items = append(items, item{call: c, run: func() {
			handled++
			g.err = raftnode.ErrBusy
			c.respond(&api.Response{})
		}})
	}
	b.loop.submit(items...)
	if handled == 0 || handled+refused != len(items) {
		t.Errorf("%d handled and %d refused of %d", handled, refused, len(items))
	}
	g.err = nil
	if e := submit(); e != nil {
		t.Errorf("afterwards: %v", e)
	}
}
