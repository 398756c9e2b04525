package shell

import (
	"net"
	"sync"
	"syscall"
	"time"
)

// listener is a port of a host.
type listener struct {
	host    *host
	address string
	silence time.Duration // of its connections

	cond   *sync.Cond // on network.mu
	queue  []*conn
	closed bool
}

// listen opens a port of the host.
func (h *host) listen(address string, silence time.Duration) (net.Listener, error) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.dead || n.listeners[address] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: addr(address), Err: syscall.EADDRINUSE}
	}
	l := &listener{host: h, address: address, silence: silence, cond: sync.NewCond(&n.mu)}
	n.listeners[address] = l
	return l, nil
}

// offer hands over a connection. Needs mu.
func (l *listener) offer(c *conn) {
	l.queue = append(l.queue, c)
	l.cond.Broadcast()
}

// shut ends it. Needs mu.
func (l *listener) shut() {
	l.closed = true
	for _, c := range l.queue {
		c.die(net.ErrClosed)
		c.peer.in.abort(syscall.ECONNRESET)
	}
	l.queue = nil
	l.cond.Broadcast()
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	l.host.net.mu.Lock()
	defer l.host.net.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.cond.Wait()
	}
	if l.closed {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	return c, nil
}

// Close implements net.Listener.
func (l *listener) Close() error {
	n := l.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.closed {
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
	if n.listeners[l.address] == l {
		delete(n.listeners, l.address)
	}
	l.shut()
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return addr(l.address) }
