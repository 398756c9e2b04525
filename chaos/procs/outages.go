//go:build linux

package main

import (
	"slices"
	"sync"
	"sync/atomic"
)

// outage is a time in which a node, or a client, cannot do what it should.
type outage struct {
	what   string
	nodes  []string
	toward string // the only other node that they do not reach, or that does not reach them
	client string
	cell   bool // it may hold up everybody, as a leader does whose packets are lost
	stall  bool // the machine is to blame, see stalls.go
	from   instant
	to     instant // 0: it lasts
}

func (o *outage) during(from, to instant) bool { return o.from < to && (o.to == 0 || o.to > from) }

// spell is the times in which this program itself keeps a node from a processor.
type spell struct {
	lasts atomic.Bool
	until atomic.Int64 // the instant at which the last of them was over
}

func (s *spell) begin() { s.lasts.Store(true) }

func (s *spell) end() {
	s.until.Store(int64(now()))
	s.lasts.Store(false)
}

// after says whether any of it was after an instant.
func (s *spell) after(t instant) bool { return s.lasts.Load() || instant(s.until.Load()) > t }

// outages are what was wrong when, with whom.
type outages struct {
	mu      sync.Mutex
	list    []*outage
	moments []outage // see brief
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

// brieflyLate is the moments so far.
func (o *outages) brieflyLate() []outage {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.moments)
}

// counted moves times to where they count from an instant.
func counted(began instant, list []outage) []outage {
	for i := range list {
		o := &list[i]
		o.from -= began
		if o.to != 0 {
			o.to -= began
		}
	}
	return list
}
