package coordinator

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/conch-lock/conch/api"
)

// Bounds of one frame to a client.
const (
	// frameBytes is from what size on a frame is sent; maxResponse is the largest
	// single response. A client takes up to 4 MiB.
	frameBytes  = 1 << 20
	maxResponse = 3 << 20
)

// Bounds of what waits for all clients together: past maxQueued, a client may
// have no more than fairQueue waiting for it.
const (
	maxQueued = 1 << 30
	fairQueue = 256 << 10
)

// outbox is what waits to be written to one stream. Anybody may add, one
// goroutine takes.
//
// Its bytes are those that wait and those that were taken and are not written
// yet. When they pass the limit, the client does not read: everything is dropped
// and the stream is cut off. The bytes of a client that reads slowly stay
// bounded, and nobody waits for it.
type outbox struct {
	limit int
	all   *atomic.Int64 // bytes of all outboxes
	wake  chan struct{} // holds one token when there is something to do

	mu     sync.Mutex
	queue  []*api.Response
	sizes  []int
	bytes  int
	taken  int
	ended  *api.Error // why nothing is added any more
	cut    bool       // the client did not read
	thirst bool       // somebody waits until there is room again
}

func newOutbox(limit int, all *atomic.Int64) *outbox {
	return &outbox{limit: limit, all: all, wake: make(chan struct{}, 1)}
}

// add queues a response without waking the writer. It says whether that cut the
// client off.
func (o *outbox) add(r *api.Response) (cut bool) {
	size := r.SizeVT() + 8
	if size > maxResponse {
		r = tooLarge(r, size)
		size = r.SizeVT() + 8
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended != nil {
		return false
	}
	if o.bytes+size > o.limit || o.bytes+size > fairQueue && o.all.Load()+int64(size) > maxQueued {
		o.ended = &api.Error{
			Code: api.Code_OVERLOADED, RetryAfterMs: retryOverload,
			Message: "the client did not read what it was sent: too much waits for it, and it was cut off",
		}
		o.cut = true
		o.queue, o.sizes = nil, nil
		o.all.Add(int64(o.taken - o.bytes))
		o.bytes = o.taken
		return true
	}
	o.queue = append(o.queue, r)
	o.sizes = append(o.sizes, size)
	o.bytes += size
	o.all.Add(int64(size))
	return false
}

// tooLarge takes the place of a response that no client would accept.
func tooLarge(r *api.Response, size int) *api.Response {
	return &api.Response{Id: r.Id, Error: &api.Error{
		Code: api.Code_LIMIT_REACHED, // not definite: a transaction has taken effect
		Message: fmt.Sprintf("the request was carried out, but its answer has %d bytes and at most %d are allowed: ask for less at a time",
			size, maxResponse),
	}}
}

// signal wakes the writer.
func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// end lets the writer write what is queued, then e, and then stop.
func (o *outbox) end(e *api.Error) {
	o.mu.Lock()
	if o.ended == nil {
		o.ended = e
	}
	o.mu.Unlock()
	o.signal()
}

// close drops what is left once nobody writes any more.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended == nil {
		o.ended = refuseStream("the stream is over")
	}
	o.all.Add(-int64(o.bytes))
	o.queue, o.sizes, o.bytes, o.taken = nil, nil, 0, 0
}

// take empties the queue up to the size of a frame. With nothing left, ended
// says that there will be no more, and why.
func (o *outbox) take(into []*api.Response) (list []*api.Response, ended *api.Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, size := 0, 0
	for n < len(o.queue) && (n == 0 || size+o.sizes[n] <= frameBytes) {
		size += o.sizes[n]
		n++
	}
	list = append(into, o.queue[:n]...)
	clear(o.queue[:n])
	if n == len(o.queue) {
		o.queue, o.sizes = o.queue[:0], o.sizes[:0]
		if cap(o.queue) > 4096 {
			o.queue, o.sizes = nil, nil // a burst does not hold memory for ever
		}
	} else {
		o.queue, o.sizes = o.queue[n:], o.sizes[n:]
	}
	o.taken = size
	if n == 0 {
		return list, o.ended
	}
	return list, nil
}

// written says that what was taken is written. relieved is set when somebody
// waited for room and there is some.
func (o *outbox) written() (relieved bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bytes -= o.taken
	o.all.Add(-int64(o.taken))
	o.taken = 0
	if o.thirst && o.bytes < o.limit/4 {
		o.thirst = false
		return true
	}
	return false
}

// room says whether another size bytes fit into the half of the limit that
// watches may use; if not, written tells when they do.
func (o *outbox) room(size int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended != nil || o.bytes+size <= o.limit/2 || o.bytes == 0 {
		return true
	}
	o.thirst = true
	return false
}

// isCut says that the client was cut off because too much waited for it.
func (o *outbox) isCut() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cut
}

// waiting is the bytes that are not written yet.
func (o *outbox) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes
}
