package coordinator

import (
	"container/list"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/conch-lock/conch/internal/nowait"
)

// conn is a connection of a client: every write has a deadline, and the first
// bytes, by which its protocol was told, can be read again.
type conn struct {
	net.Conn
	raw     net.Conn // below TLS: closing TLS could wait for the client
	timeout time.Duration
	hurry   atomic.Bool // the client is being cut off: writes get a second
	replay  []byte
	in, out *atomic.Uint64 // counters of bytes

	*nowait.Writer // of whoever writes, one at a time

	intake  *intake
	pending atomic.Int64 // bytes read since the last message was complete
	allowed int64        // how many they may be; of whoever reads
	lately  atomic.Int64 // when a large message was last complete, in Unix nanoseconds

	stranger *list.Element // in listener.strangers; guarded by its mu
	said     atomic.Bool   // it has asked for something
	onKnown  func()        // called once, then

	once    sync.Once
	onClose func()
}

// hurried is what a write gets once the client is being cut off.
const hurried = time.Second

func (c *conn) Read(p []byte) (int, error) {
	if len(c.replay) > 0 {
		n := copy(p, c.replay)
		c.replay = c.replay[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p)
	c.in.Add(uint64(n))
	if waiting := c.pending.Add(int64(n)); waiting > c.allowed && n > 0 {
		if c.allowed = c.intake.grow(c, waiting); c.allowed == 0 {
			_ = c.Close()
			return 0, errIntake
		}
	}
	return n, err
}

// complete says that a message has been read to its end.
func (c *conn) complete() {
	c.known()
	if c.pending.Swap(0) > freeIntake {
		c.lately.Store(time.Now().UnixNano())
	}
}

// known says that the client has asked for something.
func (c *conn) known() {
	if !c.said.Load() && !c.said.Swap(true) {
		c.onKnown()
	}
}

// rest says that a request is over and nothing of it is kept.
func (c *conn) rest() {
	c.known()
	c.pending.Store(0)
	c.allowed = freeIntake
	c.intake.release(c)
}

// Write is bounded in time, or does not wait.
func (c *conn) Write(p []byte) (int, error) { return c.Writer.Write(p) }

// speak makes the writer, once it is known whether there is TLS.
func (c *conn) speak() {
	c.Writer = nowait.New(c.Conn, timed{c}, func(n int) { c.out.Add(uint64(n)) })
}

// timed writes to a connection with a deadline.
type timed struct{ *conn }

func (t timed) Write(p []byte) (int, error) {
	timeout := t.timeout
	if t.hurry.Load() {
		timeout = min(timeout, hurried)
	}
	if err := t.raw.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return 0, err
	}
	n, err := t.Conn.Write(p)
	t.out.Add(uint64(n))
	return n, err
}

// rush makes the write that is under way and all later ones end soon.
func (c *conn) rush() {
	c.hurry.Store(true)
	_ = c.raw.SetWriteDeadline(time.Now().Add(min(c.timeout, hurried)))
}

// Close may be called more than once.
func (c *conn) Close() error {
	err := c.raw.Close()
	c.once.Do(func() {
		c.intake.release(c)
		c.onClose()
	})
	return err
}

// sniff reads as many bytes as header has and says whether they are equal to it.
// It stops at the first that differs.
func (c *conn) sniff(header string) (bool, error) {
	b := make([]byte, 0, len(header))
	for len(b) < len(header) {
		n, err := c.Conn.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if string(b) != header[:len(b)] {
			c.in.Add(uint64(len(b)))
			c.replay = b
			return false, nil
		}
		if err != nil && len(b) < len(header) {
			if err == io.EOF && len(b) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return false, err
		}
	}
	c.in.Add(uint64(len(b)))
	return true, nil
}

// handshake secures the connection.
func (c *conn) handshake(cfg *tls.Config) error {
	secured := tls.Server(c.raw, cfg)
	c.Conn = secured
	c.speak()
	return secured.Handshake()
}

// keepAlive notices a machine that is gone after some 15 seconds of silence.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 2}

func tune(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		// What fails here fails at the first read, too.
		_ = tcp.SetNoDelay(true)
		_ = tcp.SetKeepAliveConfig(keepAlive)
	}
}
