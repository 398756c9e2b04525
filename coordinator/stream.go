package coordinator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"storj.io/drpc"
	"storj.io/drpc/drpcstream"
	"storj.io/drpc/drpcwire"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/sessions"
)

// stream is the one long stream of a client. One goroutine reads it, one writes
// it where the loop does not do that itself, and the loop knows what is attached
// to it.
type stream struct {
	loop   *loop
	number uint64 // rises with every stream that is opened
	in     *bounded
	wire   *drpcstream.Stream
	conn   *conn // nil when the transport is not one of the client port
	out    *outbox

	// Of whoever writes.
	writing sync.Mutex
	over    bool  // nothing is written any more
	failed  error // of the loop's last write, for the writer to see
	frame   api.ServerFrames
	buf     []byte

	// Of the reader.
	greeted bool

	// Requests under way.
	mu      sync.Mutex
	calls   int
	bytes   int
	waiting chan struct{} // closed when there is room again; nil: nobody waits

	// Of the loop.
	client     string
	attached   map[sessions.ID]struct{}
	alive      []*api.KeepAlive // to be told in one response
	watches    map[uint64]*watch
	watchBytes int
	behind     []*watch // that have not caught up, in order of their ids
	stalled    time.Duration
	registered bool
	dirty      bool
	closed     bool
}

// refuseStream is why a stream ends although nothing is wrong with it.
func refuseStream(format string, args ...any) *api.Error {
	return refuse(api.Code_UNAVAILABLE, format, args...)
}

var errNotStream = errors.New("the stream needs a DRPC connection: use the unary methods over HTTP")

// serveStream runs a stream until it ends.
func (l *loop) serveStream(s api.DRPCConch_StreamStream) error {
	var in *bounded
	if g, ok := s.(interface{ GetStream() drpc.Stream }); ok {
		in, _ = g.GetStream().(*bounded)
	}
	if in == nil {
		return errNotStream
	}
	st := &stream{
		loop: l, number: l.opened.Add(1), in: in, wire: in.wire, conn: in.conn, out: newOutbox(l.cfg.MaxQueueBytes, &l.load.queued),
		attached: map[sessions.ID]struct{}{}, watches: map[uint64]*watch{},
	}
	l.server.streams.Add(1)
	defer l.server.streams.Done()
	l.load.streams.Add(1)
	defer l.load.streams.Add(-1)
	ctx, stop := context.WithCancel(s.Context())
	var writer sync.WaitGroup
	writer.Go(func() { st.write(ctx) })
	err := st.read(ctx, s)
	if e := (*rpcError)(nil); errors.As(err, &e) {
		// Said on the stream, behind what was answered before.
		st.out.end(e.e)
	} else {
		stop()
	}
	writer.Wait()
	stop()
	st.out.close()
	l.submit(item{run: func() { l.leave(st) }})
	return nil
}

// read decodes frames and hands their requests on until the stream ends. An
// rpcError is what the client did wrong.
func (st *stream) read(ctx context.Context, s api.DRPCConch_StreamStream) (err error) {
	defer func() {
		if p := recover(); p != nil {
			st.loop.log.Error().Interface("panic", p).Str("stack", stack()).Msg("reading a stream panicked")
			err = &rpcError{internal(p)}
		}
	}()
	var items []item
	for {
		// The requests outlive the frame, so each frame is a new one.
		frame, err := s.Recv()
		if err != nil {
			return err
		}
		if n := len(frame.Requests); n > maxRequests {
			return &rpcError{invalid("a frame with %d requests: 1 to %d are allowed", n, maxRequests)}
		}
		began := time.Now()
		items = items[:0]
		for _, req := range frame.Requests {
			it, err := st.accept(req, began)
			if err != nil {
				st.loop.submit(items...)
				return err
			}
			if it.call != nil {
				items = append(items, it)
			}
		}
		st.loop.submit(items...)
		clear(items)
		st.in.done()
		if err := st.makeRoom(ctx); err != nil {
			return err
		}
	}
}

// accept turns a request into work for the loop; an item without a call was
// answered already.
func (st *stream) accept(req *api.Request, began time.Time) (item, error) {
	m, op := methodOf(req)
	if op == nil {
		if req.GetId() != 0 {
			st.push(&api.Response{Id: req.GetId(), Error: invalid("op: the request %d asks for nothing that is known", req.GetId())})
			st.out.signal()
		}
		return item{}, nil
	}
	if st.greeted == (m == methodHello) {
		if st.greeted {
			return item{}, &rpcError{invalid("hello: it was said before")}
		}
		return item{}, &rpcError{invalid("the first request of a stream is hello, not %v", m)}
	}
	size := req.SizeVT() + weight(op)
	c := &call{method: m, id: req.GetId(), size: size, began: began, stream: st, load: st.loop.load}
	if e := st.loop.admit(c); e != nil {
		c.refuse(e)
		return item{}, nil
	}
	if c.id == 0 && m != methodKeepAlive && m != methodCancelWatch {
		c.refuse(invalid("id: the request %v needs one that is not 0", m))
		return item{}, nil
	}
	if m == methodHello {
		if e := checkCell(req.GetHello().GetCell()); e != nil {
			c.finish(e.Code)
			return item{}, &rpcError{e}
		}
		st.greeted = true
	}
	it, e := st.loop.prepare(c, op)
	if e != nil {
		c.refuse(e)
		return item{}, nil
	}
	return it, nil
}

// admit books a call, or says why it is refused for load; it is booked then,
// too.
func (l *loop) admit(c *call) *api.Error {
	n, calls := c.load.bytes.Add(int64(c.size)), 0
	all := c.load.calls.Add(1)
	bytes := 0
	if st := c.stream; st != nil {
		st.mu.Lock()
		st.calls++
		st.bytes += c.size
		calls, bytes = st.calls, st.bytes
		st.mu.Unlock()
	}
	switch {
	case c.method.relief():
		return nil
	case l.stopping.Load():
		return stopping()
	case calls > l.cfg.MaxInFlight:
		return overloaded("%d requests of this stream await their answers, which is the limit", l.cfg.MaxInFlight)
	case all > crowdedCalls && calls > c.load.share():
		return overloaded("%d requests await their answers on this node, of which a stream may have %d", all, c.load.share())
	case bytes > maxStreamBytes:
		return overloaded("the requests of this stream that await their answers have %d bytes: at most %d are allowed", bytes, maxStreamBytes)
	case n > maxLoadBytes:
		return overloaded("the requests under way on this node have %d bytes: at most %d are allowed", n, maxLoadBytes)
	}
	return nil
}

// done books a call out.
func (st *stream) done(size int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.calls--
	st.bytes -= size
	if st.waiting != nil && !st.crowded() {
		close(st.waiting)
		st.waiting = nil
	}
}

// crowded: so much is under way that the stream is not read on. Only what is
// never refused can bring it there.
func (st *stream) crowded() bool {
	return st.calls > 2*st.loop.cfg.MaxInFlight || st.bytes > 2*maxStreamBytes
}

// makeRoom waits until the stream is not crowded.
func (st *stream) makeRoom(ctx context.Context) error {
	st.mu.Lock()
	if !st.crowded() {
		st.mu.Unlock()
		return nil
	}
	if st.waiting == nil {
		st.waiting = make(chan struct{})
	}
	waiting := st.waiting
	st.mu.Unlock()
	select {
	case <-waiting:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// push queues a response. Whoever pushes sees to it that the writer wakes.
func (st *stream) push(r *api.Response) {
	if st.out.add(r) {
		st.cutOff()
		if st.conn != nil {
			st.conn.rush()
		}
		st.out.signal()
	}
}

// cutOff takes note of a client that is cut off, for what it does not read.
func (st *stream) cutOff() {
	st.loop.load.metrics.cutOff.Inc()
	st.loop.log.Warn().Str("client", st.address()).Int("bytes_waiting", st.out.waiting()).Int("bytes_allowed", st.loop.cfg.MaxQueueBytes).
		Msg("a client did not read what it was sent and is cut off")
}

// tell queues a response on the loop, which wakes the writer in the end.
func (st *stream) tell(r *api.Response) {
	st.push(r)
	st.touch()
}

func (st *stream) touch() {
	if !st.dirty {
		st.dirty = true
		st.loop.dirty = append(st.loop.dirty, st)
	}
}

func (st *stream) address() string {
	if st.conn == nil {
		return "unknown"
	}
	return st.conn.RemoteAddr().String()
}

// write writes what is queued.
func (st *stream) write(ctx context.Context) {
	defer func() {
		st.writing.Lock()
		st.over = true
		st.writing.Unlock()
	}()
	for {
		wrote, ended, err := st.writeFrame()
		switch {
		case err != nil:
			st.broken(err)
			return
		case ended != nil:
			st.finish(ended)
			return
		case wrote:
			continue
		}
		select {
		case <-st.out.wake:
		case <-ctx.Done():
			return
		}
	}
}

// writeFrame writes what was left of the last frame, and all that has gathered
// as one more, with one flush.
func (st *stream) writeFrame() (wrote bool, ended *api.Error, err error) {
	st.writing.Lock()
	defer st.writing.Unlock()
	if st.failed != nil {
		return false, nil, st.failed
	}
	if st.conn != nil {
		if err := st.conn.CatchUp(); err != nil {
			return false, nil, err
		}
	}
	return st.writeTaken()
}

// promptBytes is how much the loop writes to a stream itself. It would hold up
// the next turn with more, which somebody else can encode and write meanwhile.
const promptBytes = 4 << 10

// writeNow writes what has gathered without waiting for anything. It reports
// false when the writer has to do the rest.
func (st *stream) writeNow() bool {
	if st.conn == nil || !st.conn.Able() || st.out.waiting() > promptBytes || !st.writing.TryLock() {
		return false
	}
	defer st.writing.Unlock()
	if st.over || st.failed != nil || st.conn.Behind() {
		return false
	}
	st.conn.Prompt(true)
	_, ended, err := st.writeTaken()
	st.conn.Prompt(false)
	if ended != nil {
		st.out.end(ended) // it may be news
	}
	st.failed = err // closing the connection may wait, and is the writer's
	return err == nil && ended == nil && !st.conn.Behind()
}

// writeTaken writes a frame of what has gathered.
func (st *stream) writeTaken() (wrote bool, ended *api.Error, err error) {
	st.frame.Responses, ended = st.out.take(st.frame.Responses[:0])
	if ended != nil || len(st.frame.Responses) == 0 {
		return false, ended, nil
	}
	n := st.frame.SizeVT()
	if cap(st.buf) < n {
		st.buf = make([]byte, n)
	}
	st.buf = st.buf[:n]
	_, err = st.frame.MarshalToSizedBufferVT(st.buf)
	clear(st.frame.Responses)
	if err != nil {
		st.loop.log.Error().Err(err).Msg("an answer cannot be encoded: the stream ends")
		st.out.written()
		return false, internal(err), nil
	}
	if err = st.wire.RawWrite(drpcwire.KindMessage, st.buf); err == nil {
		err = st.wire.RawFlush()
	}
	if st.out.written() {
		st.loop.submit(item{run: func() { st.loop.catchUp(st) }})
	}
	if cap(st.buf) > frameBytes {
		st.buf = nil
	}
	return true, nil, err
}

// finish tells the client why its stream ends.
func (st *stream) finish(e *api.Error) {
	st.writing.Lock()
	defer st.writing.Unlock()
	last := &api.ServerFrames{Responses: []*api.Response{{Error: e}}}
	b, err := last.MarshalVT()
	if err == nil {
		err = st.wire.RawWrite(drpcwire.KindMessage, b)
	}
	if err == nil {
		err = st.wire.SendError(&rpcError{e})
	}
	if err != nil {
		st.broken(err)
	}
}

// broken closes the connection, which ends the reader, too.
func (st *stream) broken(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) && !st.out.isCut() { // WriteTimeout
		st.cutOff()
	}
	st.loop.log.Debug().Err(err).Str("client", st.address()).Msg("a client cannot be written to")
	if st.conn != nil {
		_ = st.conn.Close()
	} else {
		st.wire.Cancel(fmt.Errorf("write: %w", err))
	}
}

// hello registers the stream.
func (l *loop) hello(c *call, h *api.Hello) {
	st := c.stream
	st.client, st.registered = h.GetClient(), true
	l.streams[st] = struct{}{}
	l.reply(c, &api.Response{Result: &api.Response_Hello{Hello: &api.HelloResponse{
		Cell: l.name, Node: l.node, Version: l.version, Leader: l.leaderHint(),
	}}})
	st.touch()
}

// leave forgets a stream that has ended.
func (l *loop) leave(st *stream) {
	st.closed = true
	delete(l.streams, st)
	for id := range st.attached {
		delete(l.attached, id)
	}
	clear(st.attached)
	for _, w := range st.watches {
		l.watches.remove(w)
	}
	clear(st.watches)
	st.behind = nil
	delete(l.watches.behind, st)
}
