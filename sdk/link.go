package sdk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"time"

	"storj.io/drpc/drpcerr"

	"github.com/conch-lock/conch/api"
)

const (
	// Bounds of one message, of which the server takes at most 4 MiB.
	frameRequests = 1024
	frameBytes    = 1 << 20

	// promptBytes is how large a request may be that its caller writes itself.
	promptBytes = 4 << 10
	// version is told to the server in Hello.
	version = "conch-go/1"
)

// link is one connection with its stream: a goroutine that writes what is
// queued, a goroutine that reads, and nothing that survives it.
type link struct {
	c        *Client
	endpoint string
	node     string // name of the node that serves it
	wire     *wire
	ctx      context.Context         // ends when the link failed; its cause says why
	fail     context.CancelCauseFunc // ends the link for a reason; never blocks
	wake     chan struct{}           // has one element when there may be something to write
	doubts   chan struct{}           // has one element when another node is to be tried
	wg       sync.WaitGroup
	writing  sync.Mutex // held by whoever writes; Client.mu may be taken with it, not before

	tried time.Duration // when another node was last tried beside it; belongs to Client.manage

	// Guarded by Client.mu.
	leader       *api.LeaderHint
	queue        []outgoing
	compactAt    int           // length of the queue from which on it is compacted
	beats        []*Session    // to be kept alive by the next frame
	inFlight     int           // calls sent and unanswered
	onceInFlight int           // those of them that cannot be repeated
	calm         chan struct{} // closed when the last of those is answered; nil: nobody asked
	holdOnce     bool          // send none of those: the client is about to move
	moving       bool          // the client connects to the leader beside it
	doubted      time.Duration // since when another node is tried beside it; 0: none is
	told         time.Duration // when a keep-alive was last acknowledged
	adopted      time.Duration // when it became the client's
	heard        time.Duration // when something last came in
	waiting      time.Duration // since when something is in flight
	pinged       time.Duration // when a ping went out that is unanswered; 0: none
	searched     time.Duration // when unanswered requests were last looked for
	refusedSince time.Duration // since when it only says that it cannot serve; 0: it does not
	refusal      error         // in which words
}

// outgoing is a request in the queue of a link; call is nil for requests
// without an answer of their own.
type outgoing struct {
	req  *api.Request
	call *call
}

// open connects to an endpoint and says hello; it gives up when ctx ends.
func (c *Client) open(ctx context.Context, endpoint string) (*link, error) {
	raw, err := c.cfg.Dial(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	// What follows blocks on the connection, so that closing it ends it.
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	l, err := c.greet(ctx, endpoint, raw)
	if !stop() && err == nil {
		_ = l.wire.close()
		err = errors.New("given up")
	}
	if err != nil {
		_ = raw.Close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("no answer to the greeting: %w", causeOf(ctx))
		}
		if err = streamError(err); err == errHungUp {
			err = fmt.Errorf("%w during the greeting: perhaps it is no Conch client port, or TLS is on at one side alone", err)
		}
		return nil, err
	}
	return l, nil
}

func (c *Client) greet(ctx context.Context, endpoint string, raw net.Conn) (*link, error) {
	if c.cfg.TLS != nil {
		conf := c.cfg.TLS
		if conf.ServerName == "" {
			conf = conf.Clone()
			conf.ServerName, _, _ = net.SplitHostPort(endpoint)
		}
		tc := tls.Client(raw, conf)
		if err := tc.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		raw = tc
	}
	return c.hello(endpoint, newWire(raw, c.shapes))
}

func (c *Client) hello(endpoint string, w *wire) (*link, error) {
	l := &link{c: c, endpoint: endpoint, wire: w, wake: make(chan struct{}, 1), doubts: make(chan struct{}, 1)}
	l.ctx, l.fail = context.WithCancelCause(context.Background())
	name := version
	if c.cfg.Name != "" {
		name += " " + c.cfg.Name
	}
	hello := &api.Request{Id: 1, Op: &api.Request_Hello{Hello: &api.Hello{Cell: c.cfg.Cell, Client: name}}}
	if err := w.send(&api.ClientFrames{Requests: []*api.Request{hello}}); err != nil {
		return nil, err
	}
	frames, err := w.receive()
	if err != nil {
		return nil, streamError(err)
	}
	for _, r := range frames.GetResponses() {
		switch {
		case r.GetError() != nil:
			return nil, fromWire("hello", "", r.GetError())
		case r.GetHello() != nil:
			l.node, l.leader = r.GetHello().GetNode(), r.GetHello().GetLeader()
		case r.GetLeader() != nil:
			l.leader = r.GetLeader()
		}
	}
	if frames.GetResponses() == nil || frames.GetResponses()[0].GetHello() == nil {
		return nil, errors.New("the first answer is not a hello")
	}
	return l, nil
}

// errHungUp stands for the errors by which DRPC tells of a connection that the
// other side closed.
var errHungUp = errors.New("the other side closed the connection")

// streamError gives an error that ended a stream the code that the server sent
// along, if it did.
func streamError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) {
		return errHungUp
	}
	code := drpcerr.Code(err)
	name, known := api.Code_name[int32(min(code, 1<<31-1))]
	if code == 0 || !known {
		return err
	}
	return &Error{Op: "stream", Code: Code(name), Message: err.Error(), Definite: false}
}

// start runs the reader and the writer.
func (l *link) start() {
	l.wg.Add(2)
	go l.write()
	go l.read()
}

// shut closes the connection and waits for its goroutines. Not with mu held.
func (l *link) shut() {
	l.fail(ErrClosed)
	_ = l.wire.close()
	l.wg.Wait()
}

// doubt has another node tried, because keep-alives are not acknowledged here. The
// link goes on meanwhile: it may only be slow. Needs mu.
func (l *link) doubt() {
	switch {
	case l.moving: // nobody is free to try another one beside that
		l.fail(errForsaken)
	case l.doubted == 0:
		l.doubted = l.c.cfg.Now()
		l.doubts <- struct{}{}
	}
}

// errForsaken says why a client leaves a node that it is connected to.
var errForsaken = errors.New("keep-alives were not acknowledged there")

// push queues a request for the writer. Needs mu.
func (l *link) push(o outgoing) {
	l.add(o)
	l.nudge()
}

// add queues a request. Needs mu.
func (l *link) add(o outgoing) {
	if len(l.queue) > max(4*frameRequests, l.compactAt) {
		l.compact()
	}
	l.queue = append(l.queue, o)
}

// idle: nothing awaits an answer, and nothing else is to be written. Needs mu.
func (l *link) idle() bool { return l.inFlight == 0 && len(l.queue) == 0 && len(l.beats) == 0 }

// compact drops requests that nobody waits for any more, which would pile up
// while the peer does not read. It is done again when as many have come as it
// left. Needs mu.
func (l *link) compact() {
	kept := l.queue[:0]
	for _, o := range l.queue {
		if o.call == nil || !o.call.over {
			kept = append(kept, o)
		}
	}
	clear(l.queue[len(kept):])
	l.queue, l.compactAt = kept, 2*len(kept)
}

// nudge wakes the writer.
func (l *link) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *link) write() {
	defer l.wg.Done()
	for {
		if !l.urgent() {
			// Whoever else was woken by the last answers asks first, and all of it goes out as one frame.
			runtime.Gosched()
		}
		wrote, err := l.writeFrame()
		switch {
		case err != nil:
			l.fail(fmt.Errorf("write: %w", err))
			return
		case wrote:
			continue
		}
		select {
		case <-l.wake:
		case <-l.ctx.Done():
			return
		}
	}
}

// writeFrame writes what was left of the last frame, and all that has gathered
// as one more.
func (l *link) writeFrame() (wrote bool, err error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.wire.CatchUp(); err != nil {
		return false, err
	}
	return l.writeNext()
}

func (l *link) writeNext() (wrote bool, err error) {
	frame := l.next()
	if frame == nil {
		return false, nil
	}
	return true, l.wire.send(frame)
}

// writeNow writes what has gathered without waiting for anything, and leaves to
// the writer what it cannot. Not with mu held.
func (l *link) writeNow() {
	if !l.wire.Able() || !l.writing.TryLock() {
		l.nudge()
		return
	}
	defer l.writing.Unlock()
	if l.wire.Behind() {
		l.nudge()
		return
	}
	l.wire.Prompt(true)
	_, err := l.writeNext()
	l.wire.Prompt(false)
	if err != nil {
		l.fail(fmt.Errorf("write: %w", err))
	} else if l.wire.Behind() {
		l.nudge()
	}
}

// urgent tells whether keep-alives wait to be sent.
func (l *link) urgent() bool {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return len(l.beats) > 0
}

// next collects what is queued into one message: keep-alives first, nil when
// there is nothing.
func (l *link) next() *api.ClientFrames {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if l.c.link != l {
		return nil
	}
	now := l.c.cfg.Now()
	frame := &api.ClientFrames{}
	size := 0
	for len(l.beats) > 0 && len(frame.Requests) < frameRequests && size < frameBytes {
		n := min(len(l.beats), 1024)
		req := &api.KeepAliveRequest{Cell: l.c.cfg.Cell, Sessions: make([]*api.KeepAlive, 0, n)}
		for _, s := range l.beats[:n] {
			if s.err == nil {
				req.Sessions = append(req.Sessions, s.beat(now))
			}
		}
		clear(l.beats[:n])
		l.beats = l.beats[n:]
		if len(req.Sessions) > 0 {
			frame.Requests = append(frame.Requests, &api.Request{Op: &api.Request_KeepAlive{KeepAlive: req}})
			size += 24 * n
		}
	}
	taken := 0
	var held []outgoing
	for _, o := range l.queue {
		if len(frame.Requests) == frameRequests {
			break
		}
		if o.call != nil && (o.call.over || o.call.link == l) {
			taken++
			continue
		}
		if l.holdOnce && o.call != nil && o.call.kind == once {
			held = append(held, o)
			taken++
			continue
		}
		n := o.req.SizeVT() + 8
		if size+n > frameBytes && len(frame.Requests) > 0 {
			break
		}
		size += n
		taken++
		frame.Requests = append(frame.Requests, o.req)
		if o.call != nil {
			l.sent(o.call, now)
		}
	}
	clear(l.queue[:taken])
	switch l.queue = l.queue[taken:]; {
	case len(held) > 0:
		l.queue = append(held, l.queue...)
	case len(l.queue) == 0:
		l.queue, l.compactAt = nil, 0
	}
	if len(frame.Requests) == 0 {
		return nil
	}
	return frame
}

// sent books a call on the link. Needs mu.
func (l *link) sent(ca *call, now time.Duration) {
	ca.link, ca.sentAt = l, now
	if !ca.sent {
		ca.sent, ca.firstSent = true, now
	}
	if l.inFlight++; l.inFlight == 1 {
		l.waiting = now
		l.c.wakeBy(now + l.c.cfg.SilenceTimeout/3)
	}
	if ca.kind == once {
		l.onceInFlight++
	}
}

func (l *link) read() {
	defer l.wg.Done()
	for {
		frames, err := l.wire.receive()
		if err != nil {
			l.fail(fmt.Errorf("read: %w", streamError(err)))
			return
		}
		l.c.receive(l, frames)
	}
}

// inTrouble notes that the node says that it cannot serve. When it has said
// nothing else for the silence timeout, the keeper tries another one. Needs mu.
func (l *link) inTrouble(err error) {
	l.refusal = err
	if l.refusedSince == 0 {
		l.refusedSince = l.c.cfg.Now()
		l.c.wakeBy(l.refusedSince + l.c.cfg.SilenceTimeout)
	}
}
