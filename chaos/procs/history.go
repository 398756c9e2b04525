//go:build linux

package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// grant is a lock as the one that held it saw it.
type grant struct {
	Client   string
	Session  sdk.SessionID
	Names    []string
	Shared   bool
	Token    sdk.Token
	Revision uint64
	Asked    instant // before the call
	From     instant // when the call had returned
	// To is until when the client believed in it: when it began to release it,
	// or its deadline, or when it was told, whatever came first. From when it
	// is not known, as of a client that was killed.
	To instant
	// Released: the cell acknowledged the release.
	Released bool
}

// loss is a session that ended although its client did not close it.
type loss struct {
	Client  string
	Session sdk.SessionID
	TTL     time.Duration
	At      instant
	Pinned  string // the only node that its client goes to; empty: any
	Reason  string
}

// recorder is told what a client does and sees.
type recorder interface {
	granted(g grant)                          // To and Released are not known yet
	ended(g grant)                            // they are
	write(name string, token sdk.Token) error // to what the lock protects
	lost(l loss)
	count(what string)
}

// history is what all clients saw, and the store that they write to.
type history struct {
	store *store

	mu     sync.Mutex
	open   map[sdk.Token]grant
	grants []grant
	losses []loss
	counts map[string]int // operations by kind and outcome
	wrong  []string       // what was seen to be wrong at once
}

func newHistory(s *store) *history {
	return &history{store: s, counts: map[string]int{}, open: map[sdk.Token]grant{}}
}

func (h *history) granted(g grant) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if other, twice := h.open[g.Token]; twice {
		h.wrong = append(h.wrong, fmt.Sprintf("tokens: %d was granted to %s while %s has it", g.Token, g.Client, other.Client))
	}
	g.To = g.From
	h.open[g.Token] = g
	h.counts["granted"]++
}

func (h *history) ended(g grant) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, g.Token)
	h.grants = append(h.grants, g)
	if g.Released {
		h.counts["released"]++
	}
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
}

func (h *history) violation(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong = append(h.wrong, fmt.Sprintf(format, args...))
}

// seen is a copy of what has gathered.
func (h *history) seen() ([]grant, []loss) {
	h.mu.Lock()
	defer h.mu.Unlock()
	grants := append([]grant(nil), h.grants...)
	for _, g := range h.open {
		grants = append(grants, g)
	}
	return grants, append([]loss(nil), h.losses...)
}

// outages are what was wrong when, with whom.
type outages struct {
	mu   sync.Mutex
	list []*outage
}

// begin notes that something is wrong, and end that it is no more. A client is
// named alone; without a client, no nodes means all.
func (o *outages) begin(what, client string, nodes ...string) (end func()) {
	x := &outage{what: what, client: client, nodes: nodes, from: now()}
	return o.add(x)
}

func (o *outages) add(x *outage) (end func()) {
	o.mu.Lock()
	o.list = append(o.list, x)
	o.mu.Unlock()
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if x.to == 0 {
			x.to = now()
		}
	}
}

func (o *outages) seen() []outage {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]outage, len(o.list))
	for i, x := range o.list {
		out[i] = *x
	}
	return out
}

// starved is by how much this process may be late until it counts as stopped.
const starved = 150 * time.Millisecond

// watchSelf notes when this process does not run: its clients are then no
// better than stopped ones. It ends with stop.
func (o *outages) watchSelf(stop <-chan struct{}) {
	const step = 20 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for last := now(); ; {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		t := now()
		if t-last > step+starved {
			o.add(&outage{what: "this program was starved", from: last, to: t})
		}
		last = t
	}
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
