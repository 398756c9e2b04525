package sdk

import (
	"container/heap"
	"testing"
	"time"

	"github.com/conch-lock/conch/api"
)

// bareClient is a client without goroutines, and a link of it that nobody reads.
func bareClient() (*Client, *link) {
	start := time.Now()
	c := &Client{
		cfg:   Config{Now: func() time.Duration { return time.Since(start) + time.Hour }},
		calls: make(map[uint64]*call), poke: make(chan struct{}, 1), wakeAt: never,
	}
	return c, &link{c: c, wake: make(chan struct{}, 1)}
}

// TestResendsManyDelayed: on a new connection the heap of delayed calls is put
// in order once, however many there are. A quarter of the work of doing so for
// each of them is far more than all of it may take.
func TestResendsManyDelayed(t *testing.T) {
	const n = 10_000
	c, l := bareClient()
	now := c.cfg.Now()
	for i := range n {
		ca := &call{kind: repeatable, req: &api.Request{}, delayed: true, due: now + time.Hour + time.Duration(i), refusal: &Error{Code: CodeNoLeader}}
		if i%2 == 0 {
			ca.refusal.Code = CodeOverloaded
		}
		c.number(ca)
		heap.Push(&c.delayed, ca)
	}
	least := never
	for range 5 { // it may be held up
		start := time.Now()
		c.resend(l, now)
		took := time.Since(start)
		start = time.Now()
		for range n / 8 {
			heap.Init(&c.delayed)
		}
		most := time.Since(start)
		if least = min(least, took-most); least < 0 {
			break
		}
	}
	if least >= 0 {
		t.Errorf("it took %v longer than to put the heap in order %d times", least, n/8)
	}
	for i := range n {
		if ca := heap.Pop(&c.delayed).(*call); (ca.due == now) != (i < n/2) {
			t.Fatalf("call %d in order is due %v from now", i, ca.due-now)
		}
	}
}

// TestQueueIsCompactedSeldom: requests without a call, such as watches, cannot be
// dropped; looking for those that can takes a part of each that comes at most.
// What nobody waits for any more does not pile up.
func TestQueueIsCompactedSeldom(t *testing.T) {
	const n = 50_000
	c, l := bareClient()
	at, times := 0, 0
	for range n {
		l.add(outgoing{req: &api.Request{}})
		if l.compactAt != at {
			at = l.compactAt
			times++
		}
	}
	if times > 8 || l.compactAt < n || len(l.queue) != n {
		t.Errorf("%d requests are queued, compacted %d times and next at %d", len(l.queue), times, l.compactAt)
	}
	for range 4 * n {
		l.add(outgoing{req: &api.Request{}, call: &call{over: true}})
	}
	if len(l.queue) > 2*n+1 {
		t.Errorf("%d requests are queued, of which %d are waited for", len(l.queue), n)
	}
	for c.link = l; l.next() != nil; {
	}
	if l.add(outgoing{req: &api.Request{}}); l.compactAt != 0 {
		t.Errorf("an empty queue is compacted from %d on", l.compactAt)
	}
}

// TestPausesWhenConnectionsBreak: a cell whose nodes greet and hang up is not
// asked without a pause, and one that has recovered is found again soon.
func TestPausesWhenConnectionsBreak(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		broken := 0
		f.with(func() {
			for _, n := range f.nodes {
				n.hook = func(*api.Request) fault {
					broken++
					return fault{lose: true, kill: broken <= 1000}
				}
			}
		})
		f.cut("n1:1")
		time.Sleep(5 * time.Second)
		f.with(func() {
			if broken < 5 || broken > 50 {
				t.Errorf("%d connections in 5 s", broken)
			}
			for _, n := range f.nodes {
				n.hook = nil
			}
		})
		time.Sleep(time.Second)
		if s.State() != Healthy {
			t.Errorf("a second after the cell is well again: %v, %v", s.State(), s.Err())
		}
	})
}
