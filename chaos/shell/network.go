package shell

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// network is hosts in memory and what lies between them. A connection behaves
// as one of TCP does when packets are lost: nothing is delivered while the way
// is cut, it arrives late and in order when the way is open again, and a side
// that hears nothing for too long gives up.
type network struct {
	mu        sync.Mutex
	rng       *rand.Rand
	hosts     map[string]*host
	listeners map[string]*listener // by address
	ways      map[way]*condition
	conns     map[*conn]struct{} // open ones, each side for itself
	counts    map[string]int     // what happened to connections
}

// way is from one host to another.
type way struct{ from, to string }

// condition is how a way is. The zero value is a good one.
type condition struct {
	cuts  int           // faults that have cut it
	since time.Time     // when it was cut
	delay time.Duration // on top of the usual one
	rate  int           // bytes a second; 0: any number
}

// Times of the network.
const (
	usualDelay  = 300 * time.Microsecond
	usualJitter = 400 * time.Microsecond
	// The pause before what was lost is sent again, doubled each time.
	resendFirst, resendMost = 200 * time.Millisecond, 3 * time.Second
	// After how long a kernel gives up a connection on which it hears nothing:
	// those between nodes, and those of clients.
	peerSilence, clientSilence = 5 * time.Second, 11 * time.Second
	// window is what one side may have sent that the other has not read.
	window = 256 << 10
)

func newNetwork(seed uint64) *network {
	return &network{
		rng: rand.New(rand.NewPCG(seed, 11)), hosts: map[string]*host{}, listeners: map[string]*listener{},
		ways: map[way]*condition{}, conns: map[*conn]struct{}{}, counts: map[string]int{},
	}
}

// host is one machine, from when it is switched on or its process is started
// until that ends. What an earlier one of the name still does reaches nobody.
type host struct {
	net  *network
	name string
	dead bool // guarded by network.mu
}

// boot makes the host of that name anew.
func (n *network) boot(name string) *host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &host{net: n, name: name}
	n.hosts[name] = h
	return h
}

// end takes a host away: with its process, when the kernel says goodbye on each
// connection, or with its power, when nobody does.
func (n *network) end(h *host, power bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h.dead = true
	for address, l := range n.listeners {
		if l.host == h {
			delete(n.listeners, address)
			l.shut()
		}
	}
	if power && n.hosts[h.name] == h {
		delete(n.hosts, h.name)
	}
	for c := range n.conns {
		if c.host == h {
			c.die(net.ErrClosed)
			if !power {
				c.peer.in.abort(syscall.ECONNRESET)
			}
		}
	}
}

// condition is that of a way. Needs mu.
func (n *network) condition(from, to string) *condition {
	w := way{from, to}
	c := n.ways[w]
	if c == nil {
		c = &condition{}
		n.ways[w] = c
	}
	return c
}

// open says whether packets get from one host to another. Needs mu.
func (n *network) open(from, to string) bool {
	return n.hosts[to] != nil && n.hosts[from] != nil && n.condition(from, to).cuts == 0
}

// latency is how long one packet takes. Needs mu.
func (n *network) latency(from, to string) time.Duration {
	c := n.condition(from, to)
	d := usualDelay + time.Duration(n.rng.ExpFloat64()*float64(usualJitter))
	if c.delay > 0 {
		d += c.delay + time.Duration(n.rng.ExpFloat64()*float64(c.delay)/4)
	}
	return d
}

// cut cuts ways and returns what opens them again.
func (n *network) cut(ways ...way) (heal func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range ways {
		c := n.condition(w.from, w.to)
		if c.cuts++; c.cuts == 1 {
			c.since = time.Now()
			n.suspect(w)
		}
	}
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, w := range ways {
			n.condition(w.from, w.to).cuts--
		}
	}
}

// suspect has the kernels of both sides look, when they would have lost
// patience, whether a way is still cut. Needs mu.
func (n *network) suspect(w way) {
	since := n.condition(w.from, w.to).since
	for _, silence := range []time.Duration{peerSilence, clientSilence} {
		time.AfterFunc(silence, func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			if c := n.condition(w.from, w.to); c.cuts == 0 || c.since != since {
				return
			}
			for c := range n.conns {
				if here, there := c.host.name, c.peer.host.name; c.silence == silence &&
					(here == w.from && there == w.to || here == w.to && there == w.from) {
					n.counts["given up in silence"]++
					c.die(syscall.ETIMEDOUT)
				}
			}
		})
	}
}

// slow makes ways slow, or narrow, and returns what makes them good again.
func (n *network) slow(delay time.Duration, rate int, ways ...way) (heal func()) {
	set := func(delay time.Duration, rate int) {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, w := range ways {
			c := n.condition(w.from, w.to)
			c.delay, c.rate = delay, rate
		}
	}
	set(delay, rate)
	return func() { set(0, 0) }
}

// reset breaks the connections between two hosts.
func (n *network) reset(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		if c.host.name == a && c.peer.host.name == b {
			n.counts["reset"]++
			c.die(syscall.ECONNRESET)
			c.peer.die(syscall.ECONNRESET)
		}
	}
}

// dial connects the host to an address.
func (h *host) dial(ctx context.Context, address string) (net.Conn, error) {
	n := h.net
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: addr(address), Err: err}
	}
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return fail(err)
	}
	pause := time.Second // as Linux does with a SYN that is lost
	for {
		n.mu.Lock()
		if h.dead {
			n.mu.Unlock()
			return fail(net.ErrClosed)
		}
		reachable := n.open(h.name, name) && n.open(name, h.name)
		wait := pause
		if reachable {
			wait = n.latency(h.name, name) + n.latency(name, h.name)
		}
		n.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			if context.Cause(ctx) == context.DeadlineExceeded {
				return fail(os.ErrDeadlineExceeded)
			}
			return fail(context.Cause(ctx))
		}
		if !reachable {
			pause = min(2*pause, resendMost)
			continue
		}
		n.mu.Lock()
		l := n.listeners[address]
		switch {
		case h.dead:
			n.mu.Unlock()
			return fail(net.ErrClosed)
		case l == nil:
			n.mu.Unlock()
			return fail(syscall.ECONNREFUSED)
		}
		here, there := n.pair(h, l)
		n.counts["connections"]++
		l.offer(there)
		n.mu.Unlock()
		return here, nil
	}
}

// addr is an address of the network.
type addr string

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }
