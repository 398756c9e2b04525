package coordinator

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// logPatience is how long the end of a node waits for its last lines to be
// written: whoever reads the log may have stopped reading.
const logPatience = time.Second

// Bounds of the lines that wait to be written to the log.
const (
	maxLogLines = 8192
	maxLogBytes = 4 << 20
)

// logWriter puts a queue before a writer that may be slow. Write never waits:
// a line for which there is no room is dropped and counted.
type logWriter struct {
	to      io.Writer
	dropped atomic.Uint64
	wake    chan struct{}
	ended   chan struct{}

	mu     sync.Mutex
	lines  [][]byte
	bytes  int
	closed bool
}

func newLogWriter(to io.Writer) *logWriter {
	w := &logWriter{to: to, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go w.run() // close waits for it, but not for a writer that stands still
	return w
}

// Write implements io.Writer; p is copied.
func (w *logWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	if w.closed || len(w.lines) >= maxLogLines || w.bytes+len(p) > maxLogBytes {
		w.mu.Unlock()
		w.dropped.Add(1)
		return len(p), nil
	}
	w.lines = append(w.lines, append([]byte(nil), p...))
	w.bytes += len(p)
	w.mu.Unlock()
	w.signal()
	return len(p), nil
}

func (w *logWriter) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *logWriter) run() {
	defer close(w.ended)
	for range w.wake {
		w.mu.Lock()
		lines, closed := w.lines, w.closed
		w.lines, w.bytes = nil, 0
		w.mu.Unlock()
		for _, line := range lines {
			_, _ = w.to.Write(line) // there is nowhere to tell
		}
		if closed {
			return
		}
	}
}

// close writes what is queued and ends. A writer that stands still is left to
// the end of the process.
func (w *logWriter) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	patience := time.NewTimer(logPatience)
	defer patience.Stop()
	select {
	case <-w.ended:
	case <-patience.C:
	}
}
