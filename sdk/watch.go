package sdk

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/conch-lock/conch/api"
)

// watchBytes bounds the bytes that one watch keeps for its consumer.
const watchBytes = 16 << 20

// revisionBytes bounds one revision that comes in several responses.
const revisionBytes = 256 << 20

// WatchOption changes what a watch delivers.
type WatchOption interface{ watch(*watchOptions) }

// watchOption is one of watches alone.
type watchOption func(*watchOptions)

func (f watchOption) watch(o *watchOptions) { f(o) }

// StartOption is one of watches and of observers.
type StartOption interface {
	WatchOption
	ObserveOption
}

// startOption is that of FromRevision.
type startOption uint64

func (rev startOption) watch(o *watchOptions)     { o.from = uint64(rev) }
func (rev startOption) observe(o *observeOptions) { o.from = uint64(rev) }

type watchOptions struct {
	space    Space
	from     uint64
	prev     bool
	noPut    bool
	noDelete bool
	progress bool
	inPlace  bool // also one batch without events, when the watch is in place
}

// WatchSpace watches another space than Keys.
func WatchSpace(s Space) WatchOption { return watchOption(func(o *watchOptions) { o.space = s }) }

// FromRevision delivers every change from that revision on; without it, or
// with 0, a watch delivers those after it was put in place, and an observer the
// present leader first.
func FromRevision(rev uint64) StartOption { return startOption(rev) }

// WithPrev has every event carry the version that it replaced.
func WithPrev() WatchOption { return watchOption(func(o *watchOptions) { o.prev = true }) }

// NoPuts leaves out puts.
func NoPuts() WatchOption { return watchOption(func(o *watchOptions) { o.noPut = true }) }

// NoDeletes leaves out deletes.
func NoDeletes() WatchOption { return watchOption(func(o *watchOptions) { o.noDelete = true }) }

// WithProgress also delivers batches without events: one when the watch is in
// place, and one now and then while nothing changes.
func WithProgress() WatchOption { return watchOption(func(o *watchOptions) { o.progress = true }) }

// whenInPlace also delivers a batch without events when the watch is in place.
func whenInPlace() WatchOption { return watchOption(func(o *watchOptions) { o.inPlace = true }) }

// Batch is the changes of one or several whole revisions, in order.
type Batch struct {
	Events   []Event
	Revision uint64 // everything up to here has been delivered
}

// Event is one change of one key.
type Event struct {
	Deleted bool
	KV      KeyValue
	Prev    *KeyValue // with WithPrev; nil: there was none
	Time    time.Time // on the clock of the cell's leader
}

// Watch delivers every change of a range in order, whole revisions at a time,
// without a gap and without a repeat, across reconnects, until the context
// ends or the consumer stops. What it yields last, unless the consumer
// stopped, is an error: that of the context, ErrCompacted when the revision to
// go on from is gone, ErrFutureRevision when it is beyond the next one, or
// another refusal.
//
// One error is not the last: ErrLagging. All watches share one connection,
// and a consumer that is too slow must not hold up the locks of others, so
// each watch keeps at most Config.WatchBuffer batches. When they are full the
// watch is taken down, the consumer gets what was kept, and then ErrLagging,
// with the revision to go on from in [Error.Revision]. A consumer that breaks
// off there may catch up by other means; one that goes on gets the rest: the
// watch is put in place again from that revision, and nothing is lost as long
// as it has not been compacted.
func (c *Client) Watch(ctx context.Context, keys KeyRange, opts ...WatchOption) iter.Seq2[Batch, error] {
	var o watchOptions
	for _, opt := range opts {
		opt.watch(&o)
	}
	return func(yield func(Batch, error) bool) {
		w := &watch{c: c, keys: keys, opts: o, next: o.from, signal: make(chan struct{}, 1)}
		c.mu.Lock()
		if c.closing {
			c.mu.Unlock()
			yield(Batch{}, &Error{Op: "watch", Name: keys.name(), Code: CodeUnavailable, Definite: true, cause: ErrClosed})
			return
		}
		c.watches[w] = struct{}{}
		c.place(w)
		c.mu.Unlock()
		defer w.stop()
		for {
			b, err, ok := w.take()
			switch {
			case ok && err == nil:
				if !yield(b, nil) {
					return
				}
			case ok:
				if !yield(Batch{}, err) || !errors.Is(err, ErrLagging) {
					return
				}
				w.resume()
			default:
				select {
				case <-w.signal:
				case <-ctx.Done():
					yield(Batch{}, &waitError{op: "watch", name: keys.name(), ctx: causeOf(ctx)})
					return
				}
			}
		}
	}
}

// watch is one watch, across connections. Its fields below signal are guarded
// by Client.mu.
type watch struct {
	c      *Client
	keys   KeyRange
	opts   watchOptions
	signal chan struct{} // has one element when there is something to take

	id     uint64 // of the request on this link; 0: not in place
	next   uint64 // revision to go on from; 0: not known yet, from now
	buffer []Batch
	bytes  int
	sizes  []int
	// partial are events of a revision that is not delivered as a whole yet.
	partial      []Event
	partialBytes int
	lagging      bool
	err          error // it is over, once the buffer is taken
	due          time.Duration
	pause        *backoff.ExponentialBackOff
}

// place asks for the watch on the present link. Needs mu.
func (c *Client) place(w *watch) {
	if c.link == nil || w.id != 0 || w.lagging || w.err != nil {
		return
	}
	c.lastID++
	w.id, w.due = c.lastID, 0
	w.partial, w.partialBytes = nil, 0
	c.placed[w.id] = w
	c.link.push(outgoing{req: &api.Request{Id: w.id, Op: &api.Request_Watch{Watch: &api.WatchRequest{
		Cell: c.cfg.Cell, Space: api.Space(w.opts.space), Key: []byte(w.keys.Key), RangeEnd: []byte(w.keys.End),
		FromRevision: w.next, Prev: w.opts.prev, NoPut: w.opts.noPut, NoDelete: w.opts.noDelete,
		Progress: true, // always, so that a quiet watch can go on from a revision that is not compacted
	}}}})
}

// displace takes the watch down on the link. Needs mu.
func (w *watch) displace() {
	if w.id == 0 {
		return
	}
	delete(w.c.placed, w.id)
	if w.c.link != nil {
		w.c.link.push(outgoing{req: &api.Request{Op: &api.Request_CancelWatch{CancelWatch: &api.CancelWatchRequest{Watch: w.id}}}})
	}
	w.id = 0
}

// receive takes in a response. Needs mu.
func (w *watch) receive(r *api.Response, now time.Duration) {
	if r.GetError() != nil {
		w.refused(fromWire("watch", w.keys.name(), r.GetError()), now)
		return
	}
	w.pause = nil
	resp := r.GetWatch()
	if resp.GetStarted() && w.next == 0 {
		w.next = resp.GetRevision() + 1
	}
	for _, e := range resp.GetEvents() {
		if rev := e.GetKv().GetModRevision(); rev != 0 && rev < w.next {
			continue // delivered before
		}
		ev := Event{Deleted: e.GetDeleted(), Prev: keyValuePtr(e.GetPrev()), Time: time.UnixMilli(e.GetUnixMs())}
		if e.GetKv() != nil {
			ev.KV = keyValueOf(e.GetKv())
		}
		w.partial = append(w.partial, ev)
	}
	w.partialBytes += resp.SizeVT()
	if resp.GetStarted() {
		// In place from where it was asked for, and nothing delivered yet.
		if w.opts.progress || w.opts.inPlace {
			w.opts.inPlace = false
			w.keep(Batch{Revision: w.next - 1}, 0)
		}
		return
	}
	// A revision too large for one response comes in several, of which only
	// the last says that it is delivered. Until then it is put aside, so that
	// a connection that breaks in between repeats no half of it.
	whole := 0
	for whole < len(w.partial) && w.partial[whole].KV.ModRevision <= resp.GetRevision() {
		whole++
	}
	b := Batch{Revision: resp.GetRevision(), Events: w.partial[:whole:whole]}
	w.partial = w.partial[whole:]
	size := 0
	if len(w.partial) == 0 {
		w.partial, size, w.partialBytes = nil, w.partialBytes, 0
	}
	w.next = max(w.next, b.Revision+1)
	if len(b.Events) > 0 || w.opts.progress && len(w.partial) == 0 {
		w.keep(b, size)
	}
	if w.partialBytes > revisionBytes {
		w.displace()
		w.err = &Error{Op: "watch", Name: w.keys.name(), Code: CodeLimitReached, Definite: true, Revision: w.next,
			Message: fmt.Sprintf("the changes of revision %d have more than %d bytes: watch a smaller range, or without the previous versions", w.next, revisionBytes)}
		w.notify()
	}
}

// keep puts a batch into the buffer, and takes the watch down when that is
// full. Needs mu.
func (w *watch) keep(b Batch, size int) {
	w.buffer, w.sizes, w.bytes = append(w.buffer, b), append(w.sizes, size), w.bytes+size
	if len(w.buffer) >= w.c.cfg.WatchBuffer || w.bytes >= watchBytes {
		w.lagging = true
		w.displace()
	}
	w.notify()
}

// refused handles an error answer: the watch is not in place any more. Needs mu.
func (w *watch) refused(err *Error, now time.Duration) {
	delete(w.c.placed, w.id)
	w.id = 0
	switch err.Code {
	case CodeLagging:
		w.lagging = true
		if w.next == 0 {
			w.next = err.Revision
		}
	case CodeNoLeader, CodeUnavailable, CodeOverloaded, CodeUnknownOutcome:
		w.again(err, now)
		return
	default:
		w.err = err
	}
	w.notify()
}

// again puts the watch in place after a pause. Needs mu.
func (w *watch) again(err *Error, now time.Duration) {
	if w.c.link != nil && (err.Code == CodeNoLeader || err.Code == CodeUnavailable) {
		w.c.link.inTrouble(err)
	}
	if w.pause == nil {
		w.pause = newBackoff(50*time.Millisecond, 2*time.Second)
	}
	w.due = now + max(w.pause.NextBackOff(), min(err.RetryAfter, time.Minute))
	w.c.wakeBy(w.due)
}

// take returns the next batch, or once all are taken the error, or nothing.
func (w *watch) take() (Batch, error, bool) {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	if len(w.buffer) > 0 {
		b := w.buffer[0]
		w.bytes -= w.sizes[0]
		w.buffer[0] = Batch{}
		w.buffer, w.sizes = w.buffer[1:], w.sizes[1:]
		return b, nil, true
	}
	switch {
	case w.err != nil:
		return Batch{}, w.err, true
	case w.lagging:
		return Batch{}, &Error{Op: "watch", Name: w.keys.name(), Code: CodeLagging, Definite: true, Revision: w.next,
			Message: "the consumer fell behind"}, true
	}
	return Batch{}, nil, false
}

// resume puts the watch in place again after it lagged.
func (w *watch) resume() {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.lagging = false
	w.c.place(w)
}

// stop forgets the watch.
func (w *watch) stop() {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.displace()
	delete(w.c.watches, w)
}

// fail ends the watch. Needs mu.
func (w *watch) fail(cause error) {
	if w.err == nil {
		w.err = &Error{Op: "watch", Name: w.keys.name(), Code: CodeUnavailable, cause: cause}
	}
	w.notify()
}

func (w *watch) notify() {
	select {
	case w.signal <- struct{}{}:
	default:
	}
}
