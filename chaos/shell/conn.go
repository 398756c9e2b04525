package shell

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// conn is one side of a connection. Everything in it is guarded by network.mu.
type conn struct {
	host    *host
	local   addr
	peer    *conn
	in      *half // what comes in
	silence time.Duration
	reading deadline
	writing deadline
	closed  bool  // by its user
	failed  error // why it is of no more use
}

// pair makes both sides of a connection. Needs mu.
func (n *network) pair(from *host, l *listener) (here, there *conn) {
	here = &conn{host: from, local: addr(from.name + ":0")}
	there = &conn{host: l.host, local: addr(l.address), peer: here}
	here.peer = there
	for _, c := range []*conn{here, there} {
		c.in = &half{to: c, cond: sync.NewCond(&n.mu), resend: resendFirst}
		c.reading.cond, c.writing.cond = c.in.cond, sync.NewCond(&n.mu)
		c.silence = l.silence
		n.conns[c] = struct{}{}
	}
	return here, there
}

func (c *conn) net() *network { return c.host.net }

// die ends this side for a reason. Needs mu.
func (c *conn) die(err error) {
	if c.failed != nil {
		return
	}
	c.failed = err
	c.in.sent, c.in.arrived = nil, nil
	if c.in.pump != nil {
		c.in.pump.Stop()
	}
	c.reading.stop()
	c.writing.stop()
	delete(c.net().conns, c)
	c.in.cond.Broadcast()
	c.writing.cond.Broadcast()
}

func (c *conn) fault(op string, err error) error {
	if err == io.EOF {
		return err
	}
	if no, ok := err.(syscall.Errno); ok {
		err = os.NewSyscallError(op, no)
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.peer.local, Err: err}
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n := c.net()
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case c.failed != nil:
			return 0, c.fault("read", c.failed)
		case c.reading.expired:
			return 0, c.fault("read", os.ErrDeadlineExceeded)
		case len(p) == 0:
			return 0, nil
		case len(c.in.arrived) > 0:
			most := len(p)
			if n.rng.IntN(8) == 0 { // a message in pieces
				most = 1 + n.rng.IntN(most)
			}
			size := copy(p[:most], c.in.arrived)
			if c.in.arrived = c.in.arrived[size:]; len(c.in.arrived) == 0 {
				c.in.arrived = nil
			}
			c.in.unheard += size
			c.in.credit()
			return size, nil
		case c.in.ended != nil:
			return 0, c.fault("read", c.in.ended)
		}
		c.in.cond.Wait()
	}
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	n := c.net()
	n.mu.Lock()
	defer n.mu.Unlock()
	out := c.peer.in
	done := 0
	for {
		switch {
		case c.failed != nil:
			return done, c.fault("write", c.failed)
		case c.writing.expired:
			return done, c.fault("write", os.ErrDeadlineExceeded)
		case done == len(p):
			return done, nil
		}
		if room := window - out.unread; room > 0 {
			size := min(room, len(p)-done)
			out.unread += size
			out.put(append([]byte(nil), p[done:done+size]...), nil)
			done += size
			continue
		}
		n.counts["writes that stood still"]++
		c.writing.cond.Wait()
	}
}

// Close implements net.Conn. What is unread makes it a reset, as in a kernel.
func (c *conn) Close() error {
	n := c.net()
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return c.fault("close", net.ErrClosed)
	}
	c.closed = true
	if c.failed != nil {
		return nil
	}
	if out := c.peer.in; len(c.in.arrived) > 0 {
		out.abort(syscall.ECONNRESET)
	} else if !out.finished && !out.aborted {
		out.finished = true
		out.put(nil, io.EOF)
	}
	// What comes in from now on is answered by a reset.
	c.failed = net.ErrClosed
	c.in.arrived = nil
	c.reading.stop()
	c.writing.stop()
	c.in.cond.Broadcast()
	c.writing.cond.Broadcast()
	delete(n.conns, c)
	return nil
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.peer.local }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error { return c.set(&c.reading, t) }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.set(&c.writing, t) }

func (c *conn) set(d *deadline, t time.Time) error {
	n := c.net()
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.failed != nil {
		return c.fault("set", c.failed)
	}
	d.set(&n.mu, t)
	return nil
}
