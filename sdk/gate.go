package sdk

import (
	"context"
	"sync"
)

// gate bounds the requests, and their bytes, that await a first answer.
// Whoever finds no room waits in line, first come, first served.
type gate struct {
	mu    sync.Mutex
	room  int // requests
	bytes int
	most  int // of bytes
	line  []*gateWaiter
}

type gateWaiter struct {
	bytes int
	in    chan struct{} // closed when there is room
}

func newGate(requests, bytes int) *gate {
	return &gate{room: requests, bytes: bytes, most: bytes}
}

// enter waits for room until the context ends. A request larger than all the
// room there is counts as just that.
func (g *gate) enter(ctx context.Context, bytes int) error {
	g.mu.Lock()
	bytes = min(bytes, g.most)
	if len(g.line) == 0 && g.room > 0 && g.bytes >= bytes {
		g.room--
		g.bytes -= bytes
		g.mu.Unlock()
		return nil
	}
	w := &gateWaiter{bytes: bytes, in: make(chan struct{})}
	g.line = append(g.line, w)
	g.mu.Unlock()
	select {
	case <-w.in:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, other := range g.line {
		if other == w {
			g.line = append(g.line[:i], g.line[i+1:]...)
			g.admit() // it may have been all that blocked a smaller one
			return causeOf(ctx)
		}
	}
	// It got in at the same moment: give the room back.
	g.give(w.bytes)
	return causeOf(ctx)
}

// leave gives back the room of one request.
func (g *gate) leave(bytes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.give(min(bytes, g.most))
}

func (g *gate) give(bytes int) {
	g.room++
	g.bytes += bytes
	g.admit()
}

// admit lets in the head of the line while there is room for it.
func (g *gate) admit() {
	for len(g.line) > 0 && g.room > 0 && g.bytes >= g.line[0].bytes {
		w := g.line[0]
		g.line[0] = nil
		g.line = g.line[1:]
		g.room--
		g.bytes -= w.bytes
		close(w.in)
	}
}
