package coordinator

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"storj.io/drpc/drpcmigrate"
)

// helloTimeout is how long a connection may take until its protocol is known.
const helloTimeout = 10 * time.Second

// listener is the client port. It takes connections, tells by their first bytes
// what they talk, and hands those that talk DRPC to serve, and the others, as a
// net.Listener, to the HTTP server.
//
// A failed Accept, as when the process has no file descriptor left, is waited
// out: the port must work again afterwards.
type listener struct {
	base    net.Listener
	tls     *tls.Config
	max     int
	timeout time.Duration // of writes
	log     zerolog.Logger
	intake  *intake
	serve   func(ctx context.Context, c *conn) // returns when the connection is over

	accepted, limited, failed, in, out atomic.Uint64

	ctx     context.Context // ends with everything
	stop    context.CancelFunc
	http    chan net.Conn
	closing chan struct{} // closed when no connection is taken any more
	once    sync.Once
	wg      sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	conns     map[*conn]struct{}
	strangers list.List // those of them that have not asked for anything yet, the longest first
}

func newListener(base net.Listener, cfg Config, log zerolog.Logger, serve func(context.Context, *conn)) *listener {
	l := &listener{
		base: base, tls: cfg.ClientTLS, max: cfg.MaxConnections, timeout: cfg.WriteTimeout, log: log, intake: newIntake(cfg.intakeBytes), serve: serve,
		http: make(chan net.Conn), closing: make(chan struct{}), conns: map[*conn]struct{}{},
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.wg.Go(l.run)
	return l
}

func (l *listener) run() {
	var pause time.Duration
	for {
		raw, err := l.base.Accept()
		if err == nil {
			pause = 0
			l.accepted.Add(1)
			l.take(raw)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		l.failed.Add(1)
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		l.log.Error().Err(err).Dur("pause", pause).Msg("cannot take a connection of a client")
		select {
		case <-time.After(pause):
		case <-l.closing:
			return
		}
	}
}

// take serves a connection on a goroutine of its own, if there is room.
func (l *listener) take(raw net.Conn) {
	c := &conn{Conn: raw, raw: raw, timeout: l.timeout, in: &l.in, out: &l.out, intake: l.intake, allowed: freeIntake}
	c.speak()
	c.onKnown = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.known(c)
	}
	c.onClose = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.known(c)
		delete(l.conns, c)
	}
	l.mu.Lock()
	closed := l.closed
	var victim *conn
	if len(l.conns) >= l.max {
		victim = l.longestStranger()
	}
	room := !closed && len(l.conns) < l.max
	if room {
		l.conns[c] = struct{}{}
		c.stranger = l.strangers.PushBack(c)
		l.wg.Go(func() { l.route(c) })
	}
	l.mu.Unlock()
	if !room {
		victim = c
	}
	if victim == nil {
		return
	}
	_ = victim.Close()
	if l.limited.Add(1)%1024 == 1 && !closed {
		l.log.Warn().Stringer("client", victim.RemoteAddr()).Int("allowed", l.max).Msg("connection closed: too many clients are connected")
	}
}

// longestStranger takes out the connection that has been open for the longest
// without having asked for anything; nil: all have. It expects l.mu to be held.
func (l *listener) longestStranger() *conn {
	e := l.strangers.Front()
	if e == nil {
		return nil
	}
	c := e.Value.(*conn)
	l.known(c)
	delete(l.conns, c)
	return c
}

// known says that a connection is no stranger any more. It expects l.mu to be
// held.
func (l *listener) known(c *conn) {
	if c.stranger != nil {
		l.strangers.Remove(c.stranger)
		c.stranger = nil
	}
}

// route finds out what a connection talks.
func (l *listener) route(c *conn) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error().Interface("panic", p).Str("stack", stack()).Msg("serving a connection panicked; it is closed")
			_ = c.Close()
		}
	}()
	tune(c.raw)
	_ = c.raw.SetDeadline(time.Now().Add(helloTimeout)) // a dead connection fails at the next step
	if l.tls != nil {
		if err := c.handshake(l.tls); err != nil {
			l.log.Debug().Err(err).Stringer("client", c.RemoteAddr()).Msg("TLS handshake failed")
			_ = c.Close()
			return
		}
	}
	talksDRPC, err := c.sniff(drpcmigrate.DRPCHeader)
	if err != nil {
		_ = c.Close()
		return
	}
	_ = c.raw.SetDeadline(time.Time{})
	if talksDRPC {
		defer func() { _ = c.Close() }()
		l.serve(l.ctx, c)
		return
	}
	select {
	case l.http <- c:
	case <-l.closing:
		_ = c.Close()
	}
}

// Accept implements net.Listener for the HTTP server.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.http:
		return c, nil
	case <-l.closing:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.base.Addr() }

// Close implements net.Listener: no connection is taken any more, those that are
// open go on.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closing) })
	return l.base.Close()
}

// end closes everything and waits for it.
func (l *listener) end() {
	_ = l.Close()
	l.stop()
	l.mu.Lock()
	l.closed = true
	open := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
	l.wg.Wait()
}

// connections is how many are open.
func (l *listener) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}
