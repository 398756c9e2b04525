//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
)

// fault is one thing that goes wrong.
type fault struct {
	kind   string
	nodes  []int // that nobody else may have; hurts says which of them it keeps from working
	hurts  []int // nil: all of them
	toward int   // the only other node that it keeps them from, plus one; 0: more than that
	space  space
	also   []space // more that nobody else may have
	client *worker // it hurts this one alone; nil: none
	cell   bool    // it may hold up everybody
	mild   bool    // the nodes have to work all the same: it excuses nothing
	length time.Duration
	begin  func() error                    // errVain: nothing came of it; it is ended all the same
	end    func(ctx context.Context) error // heals it; may be nil
}

// errVain: a fault was tried and had no effect.
var errVain = errors.New("without effect")

// space is what of a node a fault takes. Two faults may hurt a node at a time
// when one does so to its process and one to its network.
type space int

const (
	ofProcess space = iota
	ofNetwork
	ofClient
	ofClock
	ofLog
)

// choices are the kinds of faults and how often each is chosen.
func (r *runner) choices() []choice {
	list := []choice{
		{8, "SIGKILL", r.killed}, {4, "SIGTERM", r.ended}, {8, "SIGSTOP", r.stopped}, {2, "SIGSTOP of all", r.allStopped},
		{2, "SIGKILL of all", r.allKilled}, {5, "leader handed over", r.handedOver},
		{5, "client cut", r.clientCut}, {4, "client silent", r.clientSilent}, {5, "client stopped", r.clientStopped}, {2, "client killed", r.clientKilled},
		{4, "taken away in silence", r.robbedInSilence}, {3, "taken away while stopped", r.robbedWhileStopped},
	}
	if r.net != nil {
		list = append(list, choice{6, "isolated", r.isolated}, choice{5, "one way", r.oneWay}, choice{4, "peers cut", r.peersCut},
			choice{3, "clients cut", r.clientsCut}, choice{3, "flapping", r.flapping}, choice{3, "loss", r.lossy}, choice{4, "ss -K", r.reset},
			choice{3, "bridge", r.bridge})
		if r.cfg.nodes > 3 { // of three, one alone is isolated, and a ring has every link
			list = append(list, choice{4, "split in two", r.split}, choice{2, "split one way", r.splitOneWay}, choice{3, "ring", r.ring})
		}
		if r.net.detour != nil {
			list = append(list, choice{4, "packets late", r.late}, choice{4, "packets out of order", r.disordered})
		}
	}
	list = append(list, choice{2, "rolling restart", r.rolling}, choice{3, "few files", r.fewFiles}, choice{1, fileDamaged, r.damaged}, choice{3, "log not read", r.logBlocked})
	if len(r.orders) > 0 {
		list = append(list, choice{3, "a sync fails", r.syncFails})
	}
	if r.clocks != nil {
		list = append(list, choice{5, "clock rate", r.clockRate}, choice{4, "clock jumps", r.clockJump}, choice{3, "wall clock jumps", r.wallJump})
	}
	if frost() != nil {
		list = append(list, choice{4, "frozen", r.frozen}, choice{1, "frozen, all", r.allFrozen})
	}
	if groups() {
		list = append(list, choice{3, "little CPU", r.littleCPU}, choice{2, "little memory", r.littleMemory})
	}
	if len(r.disks) > 0 {
		list = append(list, choice{6, "power cut", r.powerCut}, choice{3, "power cut of all", r.allPowerCut},
			choice{4, "disk stalled", r.diskStalled}, choice{4, "disk slow", r.diskSlow}, choice{4, "disk fails", r.diskFails}, choice{4, "disk full", r.diskFull})
	}
	return list
}

type choice struct {
	weight int
	kind   string
	make   func() *fault // nil: it cannot happen now
}

// last is 1 for what has its time near the end of a run, and 0 for all else.
func (c choice) last() int {
	if c.kind == fileDamaged {
		return 1
	}
	return 0
}

// span is between the two by chance.
func (r *runner) span(from, to time.Duration) time.Duration {
	return from + time.Duration(r.rng.Int64N(int64(to-from)+1))
}

// victim is the leader, a follower, or any node; never one that is down for good.
func (r *runner) victim() int {
	for {
		if i := r.anyVictim(); !r.dead[i].Load() {
			return i
		}
	}
}

func (r *runner) anyVictim() int {
	leader := r.leader()
	switch r.rng.IntN(5) {
	case 0, 1:
		if leader >= 0 {
			return leader
		}
	case 2:
		if f := r.rng.IntN(r.cfg.nodes); f != leader {
			return f
		}
	}
	return r.rng.IntN(r.cfg.nodes)
}

// all are the nodes that are not down for good.
func (r *runner) all() []int {
	var out []int
	for i := range r.cfg.nodes {
		if !r.dead[i].Load() {
			out = append(out, i)
		}
	}
	return out
}

// revive starts nodes again and waits until they have said that they serve, or
// the context ends: a node alone waits for the others. One that ends instead is a
// violation.
func (r *runner) revive(ctx context.Context, nodes ...int) error {
	for _, i := range nodes {
		if err := r.node(i).Start(); err != nil {
			return err
		}
	}
	for _, i := range nodes {
		err := r.node(i).Ready(ctx)
		if err != nil && !r.node(i).Running() { // not for lack of time
			r.history.violation("%v", err)
			continue
		}
		if err != nil {
			return err
		}
		r.down[i].Store(false)
	}
	return nil
}

func (r *runner) killed() *fault {
	i := r.victim()
	return &fault{nodes: []int{i}, length: r.span(0, 5*time.Second),
		begin: func() error { r.down[i].Store(true); return r.kill(i, "SIGKILL") },
		end:   func(ctx context.Context) error { return r.revive(ctx, i) }}
}

func (r *runner) allKilled() *fault {
	nodes := r.all()
	return &fault{nodes: nodes, length: r.span(0, 3*time.Second),
		begin: func() error {
			for i := range r.down {
				r.down[i].Store(true)
			}
			if err := r.cluster.KillAll(); err != nil {
				return err
			}
			for _, i := range nodes {
				r.endedAs(i, "SIGKILL of all", byKill)
			}
			return nil
		},
		end: func(ctx context.Context) error { return r.revive(ctx, nodes...) }}
}

// patience is how long a node may take to end when it is asked to.
const patience = 30 * time.Second

func (r *runner) ended() *fault { return r.end(r.victim()) }

func (r *runner) end(i int) *fault {
	return &fault{nodes: []int{i}, length: r.span(0, 3*time.Second),
		begin: func() error {
			r.down[i].Store(true)
			return r.ask(i)
		},
		end: func(ctx context.Context) error { return r.revive(ctx, i) }}
}

func (r *runner) stopped() *fault { return r.stop(r.victim()) }

func (r *runner) allStopped() *fault { return r.stop(r.all()...) }

func (r *runner) stop(nodes ...int) *fault {
	signal := func(sig os.Signal) error {
		for _, i := range nodes {
			if err := r.node(i).Signal(sig); err != nil {
				return err
			}
		}
		return nil
	}
	length := r.span(50*time.Millisecond, 8*time.Second)
	if r.rng.IntN(2) == 0 {
		length = r.span(50*time.Millisecond, time.Second)
	}
	return &fault{nodes: nodes, length: length,
		begin: func() error { return signal(syscall.SIGSTOP) },
		end:   func(context.Context) error { return signal(syscall.SIGCONT) }}
}

func (r *runner) handedOver() *fault {
	to := r.rng.IntN(r.cfg.nodes)
	return &fault{space: ofClient, begin: func() error {
		ctx, cancel := context.WithTimeout(r.ctx, 6*time.Second)
		defer cancel()
		if _, err := r.admin.TransferLeader(ctx, r.node(to).Name); err != nil {
			r.history.count("hand-over refused")
			return errVain
		}
		return nil
	}}
}

// ---- the network of nodes ----------------------------------------------------

func (r *runner) isolated() *fault {
	i := r.victim()
	return &fault{nodes: []int{i}, space: ofNetwork, length: r.span(100*time.Millisecond, 8*time.Second),
		begin: func() error { return r.net.silence(i, true) },
		end:   func(context.Context) error { return r.net.silence(i, false) }}
}

// filter drops what lines say.
func (r *runner) filter(i int, length time.Duration, input, output []string) *fault {
	return &fault{nodes: []int{i}, space: ofNetwork, length: length,
		begin: func() error { return r.net.rules(i, input, output) },
		end:   func(context.Context) error { return r.net.rules(i, nil, nil) }}
}

func drop(match string, addresses ...string) []string {
	var out []string
	for _, a := range addresses {
		out = append(out, "ip "+match+" "+a+" drop")
	}
	return out
}

// oneWay: a node hears the others and is not heard, or the other way round; all
// of them or one.
func (r *runner) oneWay() *fault {
	i := r.victim()
	others, toward := r.net.others(i), 0
	if r.rng.IntN(2) == 0 {
		j := (i + 1 + r.rng.IntN(r.cfg.nodes-1)) % r.cfg.nodes
		others, toward = []string{r.net.hosts[j].Address}, j+1
	}
	length := r.span(100*time.Millisecond, 8*time.Second)
	f := r.filter(i, length, nil, drop("daddr", others...))
	if r.rng.IntN(2) == 0 {
		f = r.filter(i, length, drop("saddr", others...), nil)
	}
	f.toward = toward
	return f
}

// peersCut: clients reach the node, and the other nodes do not.
func (r *runner) peersCut() *fault {
	i := r.victim()
	return r.filter(i, r.span(100*time.Millisecond, 8*time.Second), drop("saddr", r.net.others(i)...), drop("daddr", r.net.others(i)...))
}

// clientsCut: the other nodes reach the node, and clients do not.
func (r *runner) clientsCut() *fault {
	i := r.victim()
	return r.filter(i, r.span(100*time.Millisecond, 8*time.Second), drop("saddr", r.net.gateway), nil)
}

func (r *runner) lossy() *fault {
	i := r.victim()
	percent := 1 + r.rng.IntN(30)
	rule := []string{fmt.Sprintf("numgen random mod 100 < %d drop", percent)}
	f := r.filter(i, r.span(500*time.Millisecond, 8*time.Second), rule, rule)
	f.cell = true // a leader leads on while some of its heartbeats get through
	return f
}

func (r *runner) flapping() *fault {
	i, length, step := r.victim(), r.span(time.Second, 6*time.Second), r.span(50*time.Millisecond, 300*time.Millisecond)
	return &fault{nodes: []int{i}, space: ofNetwork,
		begin: func() error {
			for since := time.Now(); time.Since(since) < length && r.ctx.Err() == nil; {
				for _, silent := range []bool{true, false} {
					if err := r.net.silence(i, silent); err != nil {
						return err
					}
					time.Sleep(step)
				}
			}
			return nil
		}}
}

// others are those that a fault of a node's network is between it and: everybody,
// the other nodes, or the clients.
func (r *runner) others(i int) []int {
	var nodes []int
	for j := range r.cfg.nodes {
		if j != i {
			nodes = append(nodes, j)
		}
	}
	switch r.rng.IntN(4) {
	case 0:
		return nodes
	case 1:
		return []int{r.cfg.nodes}
	}
	return append(nodes, r.cfg.nodes)
}

func (r *runner) onDetour(i int, length time.Duration, m manner) *fault {
	others := r.others(i)
	return &fault{nodes: []int{i}, space: ofNetwork, length: length,
		begin: func() error { return r.net.detour.take(i, others, m) },
		end:   func(context.Context) error { return r.net.detour.leave(i, others) }}
}

// late: packets come late, and in order.
func (r *runner) late() *fault {
	delay := r.span(time.Millisecond, 80*time.Millisecond)
	return r.onDetour(r.victim(), r.span(500*time.Millisecond, 8*time.Second), manner{delay: delay, jitter: delay / 2, ordered: true})
}

// disordered: packets overtake each other, and some come twice.
func (r *runner) disordered() *fault {
	jitter := r.span(time.Millisecond, 30*time.Millisecond)
	return r.onDetour(r.victim(), r.span(500*time.Millisecond, 8*time.Second), manner{jitter: jitter, twice: r.rng.IntN(5)})
}

func (r *runner) reset() *fault {
	i := r.victim()
	return &fault{nodes: []int{i}, space: ofNetwork, begin: func() error { return r.net.reset(i) }}
}

// ---- clients -----------------------------------------------------------------

// roaming is one of the clients in this process.
func (r *runner) roaming() *worker { return r.workers[r.rng.IntN(len(r.workers))] }

func (r *runner) clientCut() *fault {
	w := r.roaming()
	return &fault{space: ofClient, client: w, length: r.span(0, 4*time.Second),
		begin: func() error { w.gate.cut(); return nil },
		end:   func(context.Context) error { w.gate.heal(); return nil }}
}

func (r *runner) clientSilent() *fault {
	w := r.roaming()
	return &fault{space: ofClient, client: w, length: r.span(50*time.Millisecond, 8*time.Second),
		begin: func() error { w.gate.silence(); return nil },
		end:   func(context.Context) error { w.gate.heal(); return nil }}
}

func (r *runner) clientStopped() *fault {
	p := r.processes[r.rng.IntN(len(r.processes))]
	return &fault{space: ofClient, client: p.worker, length: r.span(50*time.Millisecond, 2*p.worker.TTL+time.Second),
		begin: func() error { return p.signal(syscall.SIGSTOP) },
		end:   func(context.Context) error { return p.signal(syscall.SIGCONT) }}
}

func (r *runner) clientKilled() *fault {
	p := r.processes[r.rng.IntN(len(r.processes))]
	return &fault{space: ofClient, client: p.worker, length: r.span(0, 2*time.Second),
		begin: func() error {
			p.kill()
			r.history.died(p.worker.Name, p.worker.TTL)
			return nil
		},
		end: func(context.Context) error { return p.start() }}
}

// ---- power -------------------------------------------------------------------

func (r *runner) powerCut() *fault { return r.cutPower(r.victim()) }

func (r *runner) allPowerCut() *fault { return r.cutPower(r.all()...) }

func (r *runner) cutPower(nodes ...int) *fault {
	return &fault{nodes: nodes, length: r.span(0, 2*time.Second),
		begin: func() error {
			for _, i := range nodes {
				r.down[i].Store(true)
			}
			for _, i := range nodes { // all disks before any process is gone
				if err := r.disks[i].cut(); err != nil {
					return err
				}
			}
			for _, i := range nodes {
				if err := r.kill(i, "a power cut", noDisk); err != nil {
					return err
				}
			}
			return nil
		},
		end: func(ctx context.Context) error {
			for _, i := range nodes {
				if err := r.disks[i].remount(); err != nil {
					return err
				}
			}
			return r.revive(ctx, nodes...)
		}}
}

func (r *runner) node(i int) *cluster.Node { return r.cluster.Nodes()[i] }

// leader is the node that leads as far as can be told at once; -1: unknown.
func (r *runner) leader() int {
	ctx, cancel := context.WithTimeout(r.ctx, 300*time.Millisecond)
	defer cancel()
	s, err := r.admin.Status(ctx)
	if err != nil {
		return -1
	}
	return slices.IndexFunc(r.cluster.Nodes(), func(n *cluster.Node) bool { return n.Name == s.Leader })
}
