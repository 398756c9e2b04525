// Package nowait writes to a connection without waiting for it.
//
// Whoever has something to say at the end of its turn would have to wake
// another goroutine to say it, because a write may block. Most never do: the
// kernel has room. A [Writer] takes them at once, keeps what the kernel did not
// take, and leaves that to whoever may wait.
package nowait

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// Writer writes to a connection: waiting as the connection does or, while it is
// prompt, not at all. Others may write meanwhile, as a protocol does of its own
// accord; who makes it prompt sees to it that only one does that at a time.
type Writer struct {
	wait   io.Writer       // writes, and waits
	direct syscall.RawConn // nil: it cannot but wait
	wrote  func(n int)     // told of every write that did not wait
	prompt atomic.Bool
	behind atomic.Bool // there is a rest

	mu   sync.Mutex
	rest []byte // what the kernel did not take while prompt, and comes first
	hole error  // why a part of that was never written: nothing may follow it
}

// New makes a writer to a connection. wait writes to it in the ordinary way,
// and wrote is told how much was written in the other.
func New(c net.Conn, wait io.Writer, wrote func(n int)) *Writer {
	w := &Writer{wait: wait, wrote: wrote}
	if tcp, ok := c.(*net.TCPConn); ok && possible { // not TLS, whose records cannot be cut off anywhere
		w.direct, _ = tcp.SyscallConn()
	}
	return w
}

// Able tells whether the writer can be prompt.
func (w *Writer) Able() bool { return w.direct != nil }

// Prompt says whether writes wait from here on. Only one that is [Writer.Able] may be asked not to.
func (w *Writer) Prompt(on bool) { w.prompt.Store(on) }

// Behind tells whether something is left from a prompt time.
func (w *Writer) Behind() bool { return w.behind.Load() }

// CatchUp writes that, and waits.
func (w *Writer) CatchUp() error {
	if !w.behind.Load() {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.catchUp()
}

func (w *Writer) catchUp() error {
	rest := w.rest
	if w.hole != nil || len(rest) == 0 {
		return w.hole
	}
	w.rest = nil
	if _, w.hole = w.wait.Write(rest); w.hole == nil {
		w.behind.Store(false)
	}
	return w.hole
}

// Write implements [io.Writer]. While the writer is prompt it takes everything
// and writes what the kernel takes at once.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.prompt.Load() {
		if err := w.catchUp(); err != nil {
			return 0, err
		}
		return w.wait.Write(p)
	}
	n := 0
	if w.hole != nil {
		return 0, w.hole
	}
	if len(w.rest) == 0 {
		var err error
		if n, err = w.now(p); err != nil {
			return n, err
		}
	}
	w.rest = append(w.rest, p[n:]...)
	w.behind.Store(len(w.rest) > 0)
	return len(p), nil
}
