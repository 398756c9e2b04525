//go:build linux

package main

import (
	"context"
	"errors"
	"net"
	"sync"
)

// gate is what the connections of one client go through.
type gate struct {
	mu     sync.Mutex
	closed bool          // connections are refused
	opened chan struct{} // closed when bytes pass; nil: they do
	conns  map[*gated]struct{}
}

func newGate() *gate { return &gate{conns: map[*gated]struct{}{}} }

var errCut = errors.New("the client's network is cut")

func (g *gate) dial(ctx context.Context, endpoint string) (net.Conn, error) {
	g.mu.Lock()
	closed := g.closed
	g.mu.Unlock()
	if closed {
		return nil, errCut
	}
	if err := g.pass(ctx.Done()); err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", endpoint)
	if err != nil {
		return nil, err
	}
	c := &gated{Conn: conn, gate: g, gone: make(chan struct{})}
	g.mu.Lock()
	g.conns[c] = struct{}{}
	g.mu.Unlock()
	return c, nil
}

// cut breaks all connections and refuses new ones.
func (g *gate) cut() {
	g.mu.Lock()
	g.closed = true
	var list []*gated
	for c := range g.conns {
		list = append(list, c)
	}
	g.mu.Unlock()
	for _, c := range list {
		_ = c.Close()
	}
}

// silence holds everything back until heal.
func (g *gate) silence() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
}

// heal ends both.
func (g *gate) heal() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

// pass waits until bytes pass, or gives up.
func (g *gate) pass(giveUp <-chan struct{}) error {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if opened == nil {
		return nil
	}
	select {
	case <-opened:
		return nil
	case <-giveUp:
		return errCut
	}
}

// gated is one connection.
type gated struct {
	net.Conn
	gate *gate
	gone chan struct{}
	once sync.Once
}

func (c *gated) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if held := c.gate.pass(c.gone); held != nil {
		return 0, held
	}
	return n, err
}

func (c *gated) Write(p []byte) (int, error) {
	if err := c.gate.pass(c.gone); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *gated) Close() error {
	c.once.Do(func() {
		close(c.gone)
		c.gate.mu.Lock()
		delete(c.gate.conns, c)
		c.gate.mu.Unlock()
	})
	return c.Conn.Close()
}
