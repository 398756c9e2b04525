//go:build linux

package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
)

// loss is a session that ended although its client did not close it.
type loss struct {
	Client  string
	Session sdk.SessionID
	TTL     time.Duration
	At      instant
	Pinned  string // the only node that its client goes to; empty: any
	Reason  string
}

// listener is told what a client does and sees.
type listener interface {
	recorder.Sink
	write(name string, token sdk.Token) error // to what the lock protects
	doomed(session sdk.SessionID, token sdk.Token) bool
	lost(l loss)
	count(what string)
}

// history is what all clients saw, and the store that they write to.
type history struct {
	*recorder.Journal
	store *store

	mu     sync.Mutex
	losses []loss
	newest map[string]uint64 // the session of which each client spoke last
	counts map[string]int    // operations by kind and outcome
	wrong  []string          // what was seen to be wrong at once
	alarm  chan struct{}     // closed when something was
	kept   func()            // keeps the folder of the run from now on; nil: it stays anyhow
}

func newHistory(s *store, j *recorder.Journal) *history {
	return &history{Journal: j, store: s, newest: map[string]uint64{}, counts: map[string]int{}, alarm: make(chan struct{})}
}

// Begin notes the session beside writing down.
func (h *history) Begin(o check.Operation) int {
	h.mu.Lock()
	if o.Session != 0 {
		h.newest[o.Client] = o.Session
	}
	h.mu.Unlock()
	return h.Journal.Begin(o)
}

// died writes down that a client's process is gone, in the middle of whatever it did.
func (h *history) died(client string, ttl time.Duration) {
	h.mu.Lock()
	id := h.newest[client]
	delete(h.newest, client)
	h.mu.Unlock()
	if id != 0 {
		h.Session(check.Session{ID: id, Client: client, TTL: ttl, Died: now()})
	}
}

// sessionOf is the session of which a client spoke last.
func (h *history) sessionOf(client string) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.newest[client]
}

// doomed says whether an operator may have taken a grant away.
func (h *history) doomed(session sdk.SessionID, token sdk.Token) bool {
	return h.Doomed(uint64(session), uint64(token))
}

// End counts beside writing down.
func (h *history) End(id int, o check.Operation) {
	h.Journal.End(id, o)
	what := string(o.Kind) + " " + string(o.Outcome)
	if o.Outcome == check.Refused {
		what += " " + o.Code
	}
	h.count(what)
}

func (h *history) write(name string, token sdk.Token) error { return h.store.write(name, token) }

func (h *history) lost(l loss) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.losses = append(h.losses, l)
	h.counts["session lost"]++
}

func (h *history) count(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[what]++
	if what == refusedHolder {
		h.sound()
	}
}

// sound sounds the alarm; mu is held.
func (h *history) sound() {
	select {
	case <-h.alarm:
	default:
		close(h.alarm)
	}
}

func (h *history) violation(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong = append(h.wrong, fmt.Sprintf(format, args...))
	if h.kept != nil {
		h.kept()
	}
	h.sound()
}

// seenLosses is a copy of the sessions that were lost.
func (h *history) seenLosses() []loss {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]loss(nil), h.losses...)
}

// withoutEnded leaves out the sessions that an operator ended, or may have, and says
// how many they are.
func (h *history) withoutEnded(losses []loss) (others []loss, ended int) {
	for _, l := range losses {
		if !h.doomed(l.Session, 0) {
			others = append(others, l)
		}
	}
	return others, len(losses) - len(others)
}

// wrongs is what was seen to be wrong at once.
func (h *history) wrongs() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := append([]string(nil), h.wrong...)
	if n := h.counts[refusedHolder]; n > 0 {
		out = append(out, fmt.Sprintf("%s: %d times", refusedHolder, n))
	}
	return out
}
