package transport

import (
	"container/list"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
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

	// Of whoever writes, one at a time.
	direct syscall.RawConn // for writes that do not wait; nil: there are none
	eager  bool            // do not wait now
	rest   []byte          // what did not fit then, and comes first

	mu          sync.Mutex
	cause       error
	readTimeout time.Duration // renewed with every read; 0: none
}

func newConn(c, raw net.Conn, writeTimeout time.Duration, in, out *atomic.Uint64) *conn {
	wrapped := &conn{Conn: c, raw: raw, failed: make(chan struct{})}
	wrapped.setWriteTimeout(writeTimeout)
	wrapped.count(in, out)
	wrapped.budget.Store(-1)
	if tcp, ok := c.(*net.TCPConn); ok { // not with TLS, whose records cannot be cut off anywhere
		wrapped.direct, _ = tcp.SyscallConn()
	}
	return wrapped
}

// count says where bytes read and written are counted from here on.
func (c *conn) count(in, out *atomic.Uint64) {
	c.in.Store(in)
	c.out.Store(out)
}

// setWriteTimeout says how long the writes from here on may take.
func (c *conn) setWriteTimeout(d time.Duration) { c.writeTimeout.Store(int64(d)) }

func (c *conn) Read(p []byte) (int, error) {
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
	if err != nil {
		c.fail(err)
	}
	return n, err
}

// Write is bounded in time. While eager it takes what the kernel does not take
// at once, to be written before whatever comes next.
func (c *conn) Write(p []byte) (int, error) {
	if c.eager && len(c.rest) == 0 {
		n, err := c.writeNow(p)
		if err == nil {
			c.rest = append(c.rest, p[n:]...)
			return len(p), nil
		}
		c.fail(err)
		return n, err
	}
	if err := c.Conn.SetWriteDeadline(time.Now().Add(time.Duration(c.writeTimeout.Load()))); err != nil {
		c.fail(err)
		return 0, err
	}
	if len(c.rest) > 0 {
		if c.eager {
			c.rest = append(c.rest, p...)
			return len(p), nil
		}
		rest := c.rest
		c.rest = nil
		if _, err := c.write(rest); err != nil {
			return 0, err
		}
	}
	return c.write(p)
}

func (c *conn) write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.Conn.Write(p)
	c.out.Load().Add(uint64(n))
	if err != nil {
		c.fail(err)
	}
	return n, err
}

// writeNow writes as much as the kernel takes at once.
func (c *conn) writeNow(p []byte) (n int, err error) {
	failed := c.direct.Control(func(fd uintptr) { n, err = syscall.Write(int(fd), p) })
	if n < 0 {
		n = 0
	}
	c.out.Load().Add(uint64(n))
	if failed != nil {
		return n, failed
	}
	if err == syscall.EAGAIN || err == syscall.EINTR {
		err = nil
	}
	return n, err
}

// behind tells whether something is left to be written from an eager time.
func (c *conn) behind() bool { return len(c.rest) > 0 }

// catchUp writes that.
func (c *conn) catchUp() error {
	_, err := c.Write(nil)
	return err
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
