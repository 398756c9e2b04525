package transport

import (
	"container/list"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/conch-lock/conch/internal/nowait"
)

var (
	errClosedHere = errors.New("connection closed by this node")
	errReplaced   = errors.New("replaced by a newer connection from the same node")
	errCrowdedOut = errors.New("closed for newer connections: it did not say in time who it was")
	errBudget     = errors.New("too many bytes before the handshake was complete")
)

// handshakeBytes is what a connection may send before it has said who it is.
const handshakeBytes = 8 << 10

// conn gives a connection what DRPC leaves out: a deadline for every write, one
// for reads where silence means trouble, a limit on what a stranger may send,
// counters, and the first thing that went wrong with it.
type conn struct {
	net.Conn                  // TLS where there is TLS
	raw          net.Conn     // what is closed: closing TLS could wait for the peer
	writeTimeout atomic.Int64 // nanoseconds
	budget       atomic.Int64 // bytes left to read; negative: no limit
	in, out      atomic.Pointer[atomic.Uint64]

	stranger *list.Element // in Transport.strangers; guarded by its mu

	failed chan struct{} // closed once cause is set

	*nowait.Writer // of whoever writes, one at a time

	passing atomic.Bool   // the reading passes from DRPC to whoever serves the stream
	passed  chan struct{} // closed when it has

	mu          sync.Mutex
	cause       error
	readTimeout time.Duration // renewed with every read; 0: none
}

func newConn(c, raw net.Conn, writeTimeout time.Duration, in, out *atomic.Uint64) *conn {
	wrapped := &conn{Conn: c, raw: raw, failed: make(chan struct{}), passed: make(chan struct{})}
	wrapped.setWriteTimeout(writeTimeout)
	wrapped.count(in, out)
	wrapped.budget.Store(-1)
	wrapped.Writer = nowait.New(c, timed{wrapped}, wrapped.wrote)
	return wrapped
}

// count says where bytes read and written are counted from here on.
func (c *conn) count(in, out *atomic.Uint64) {
	c.in.Store(in)
	c.out.Store(out)
}

// setWriteTimeout says how long the writes from here on may take.
func (c *conn) setWriteTimeout(d time.Duration) { c.writeTimeout.Store(int64(d)) }

// Read is for DRPC, until the reading passes to somebody else.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if c.passing.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		close(c.passed)
		<-c.failed
		return 0, c.why()
	}
	if err != nil {
		c.fail(err)
	}
	return n, err
}

// passReading takes the reading from DRPC, which must have nothing to pass on: it
// waits until that is taken, and then nothing comes of this in so much time.
func (c *conn) passReading(patience time.Duration) (io.Reader, error) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	c.passing.Store(true)
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return nil, err
	}
	select {
	case <-c.passed:
	case <-c.failed:
		return nil, c.why()
	case <-timeout.C:
		return nil, refuse(RefusedMessage, "more than a hello was said before the welcome")
	}
	return passedOn{c}, c.setReadTimeout(0)
}

// passedOn reads what DRPC does not read any more.
type passedOn struct{ *conn }

func (c passedOn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if err != nil {
		c.fail(err)
	}
	return n, err
}

func (c *conn) read(p []byte) (int, error) {
	if err := c.renewReadDeadline(); err != nil {
		c.fail(err)
		return 0, err
	}
	n, err := c.Conn.Read(p)
	c.in.Load().Add(uint64(n))
	if left := c.budget.Load(); left >= 0 {
		if left -= int64(n); left < 0 {
			c.fail(errBudget)
			return 0, errBudget
		}
		// Lost when the limit was lifted meanwhile: then there is none to keep.
		c.budget.CompareAndSwap(left+int64(n), left)
	}
	return n, err
}

// Write takes what the kernel does not take at once while the connection is
// prompt; otherwise it is bounded in time.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	if err != nil {
		c.fail(err)
	}
	return n, err
}

func (c *conn) wrote(n int) { c.out.Load().Add(uint64(n)) }

// timed writes to a connection with a deadline.
type timed struct{ *conn }

func (t timed) Write(p []byte) (int, error) {
	if err := t.Conn.SetWriteDeadline(time.Now().Add(time.Duration(t.writeTimeout.Load()))); err != nil {
		return 0, err
	}
	n, err := t.Conn.Write(p)
	t.wrote(n)
	return n, err
}

func (c *conn) Close() error {
	c.fail(errClosedHere)
	return c.raw.Close()
}

// established lifts the limits of the handshake. From here on a read may take
// readTimeout, or for ever when that is 0.
func (c *conn) established(readTimeout time.Duration) error {
	c.budget.Store(-1)
	return c.setReadTimeout(readTimeout)
}

// setReadTimeout changes how long a read may take, the one that is waiting now
// included.
func (c *conn) setReadTimeout(d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readTimeout = d
	if d == 0 {
		return c.SetReadDeadline(time.Time{})
	}
	return c.SetReadDeadline(time.Now().Add(d))
}

func (c *conn) renewReadDeadline() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.readTimeout == 0 {
		return nil
	}
	return c.SetReadDeadline(time.Now().Add(c.readTimeout))
}

// fail keeps the first reason why the connection is of no more use.
func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.cause = err
		close(c.failed)
	}
}

// why returns what fail kept, nil when nothing went wrong.
func (c *conn) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// closedByPeer reports whether err says that the other side closed the
// connection, rather than that nothing was heard from it.
func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, errReplaced) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
