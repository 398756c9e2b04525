package shell

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/conch-lock/conch/chaos/check"
)

// fault is one entry of the plan.
type fault struct {
	at     instant
	lasts  time.Duration
	kind   string
	node   int  // which one; the leader when lead is set and known
	lead   bool // it is the leader that is hit
	client int
	n      int // what else the kind needs
}

func (f fault) String() string {
	who := fmt.Sprintf("n%d", f.node+1)
	if f.lead {
		who = "the leader"
	}
	return fmt.Sprintf("%8v %-16s %s, c%d, for %v", f.at.Round(time.Millisecond), f.kind, who, f.client+1, f.lasts.Round(time.Millisecond))
}

// kinds are the faults that there are, and how often each comes.
func kinds() []string {
	weights := []struct {
		kind  string
		times int
	}{
		{"kill", 4}, {"kill all", 1}, {"power", 3}, {"power all", 1}, {"stop", 2},
		{"isolate", 3}, {"isolate peers", 3}, {"isolate clients", 1}, {"mute", 3}, {"deafen", 3}, {"flap", 2},
		{"break peers", 2}, {"break clients", 3}, {"slow", 2}, {"narrow", 1}, {"slow disk", 2},
		{"hand over", 3}, {"silence client", 3}, {"mute client", 1}, {"deafen client", 1},
	}
	var out []string
	for _, w := range weights {
		out = append(out, slices.Repeat([]string{w.kind}, w.times)...)
	}
	return out
}

// plan says what happens when: a function of the seed alone.
func plan(seed uint64, nodes, clients int, length time.Duration) []fault {
	rng := rand.New(rand.NewPCG(seed, 3))
	all := kinds()
	arrival := time.Duration(600+rng.IntN(2400)) * time.Millisecond // on average
	var out []fault
	for at := time.Second; ; {
		at += time.Duration(rng.ExpFloat64() * float64(arrival))
		if at >= length {
			return out
		}
		f := fault{
			at: at, kind: all[rng.IntN(len(all))], node: rng.IntN(nodes), lead: rng.IntN(2) == 0,
			client: rng.IntN(clients), n: rng.IntN(1 << 16), lasts: time.Duration(20+rng.ExpFloat64()*1500) * time.Millisecond,
		}
		if rng.IntN(6) == 0 {
			f.lasts *= 4
		}
		f.lasts = min(f.lasts, 15*time.Second)
		out = append(out, f)
	}
}

// atOnce is how many faults there are at a time at most.
const atOnce = 3

// nemesis carries a plan out. It returns when everything is well again.
func (w *cell) nemesis(faults []fault) {
	var wg sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for _, f := range faults {
		time.Sleep(f.at - (now() - w.began))
		select {
		case room <- struct{}{}:
		default:
			w.history.count("fault: left out")
			continue
		}
		wg.Go(func() {
			w.inflict(f)
			<-room
		})
	}
	wg.Wait()
}

// inflict does one fault and takes it back.
func (w *cell) inflict(f fault) {
	i := f.node
	if f.lead {
		if l := w.leader(); l >= 0 {
			i = l
		}
	}
	x := w.nodes[i]
	var others []string
	for _, other := range w.nodes {
		if other != x {
			others = append(others, other.name)
		}
	}
	var clients []string
	for _, c := range w.clients {
		clients = append(clients, c.name)
	}
	c := w.clients[f.client]
	w.note("fault %s (%s)", f, x.name)
	w.history.count("fault: " + f.kind)
	defer w.suffers(f.kind, x.name, c.name)()
	switch f.kind {
	case "kill", "power":
		w.crash(f, x)
	case "kill all", "power all":
		w.crash(f, w.nodes...)
	case "stop":
		w.restarts <- struct{}{}
		x.stop()
		<-w.restarts
		time.Sleep(f.lasts)
		w.restart(x)
	case "isolate":
		w.during(f, w.net.cut(both(x.name, slices.Concat(others, clients))...))
	case "isolate peers":
		w.during(f, w.net.cut(both(x.name, others)...))
	case "isolate clients":
		w.during(f, w.net.cut(both(x.name, clients)...))
	case "mute":
		w.during(f, w.net.cut(out(x.name, w.some(f, others, clients))...))
	case "deafen":
		w.during(f, w.net.cut(in(x.name, w.some(f, others, clients))...))
	case "flap":
		for range 3 + f.n%8 {
			heal := w.net.cut(both(x.name, w.some(f, others, clients))...)
			time.Sleep(f.lasts / 8)
			heal()
			time.Sleep(f.lasts / 8)
		}
	case "break peers":
		for _, other := range others {
			w.net.reset(x.name, other)
		}
	case "break clients":
		for _, name := range clients {
			w.net.reset(name, x.name)
		}
	case "slow":
		w.during(f, w.net.slow(time.Duration(5+f.n%300)*time.Millisecond, 0, both(x.name, w.some(f, others, clients))...))
	case "narrow":
		w.during(f, w.net.slow(0, 4<<10+f.n, both(x.name, w.some(f, others, clients))...))
	case "slow disk":
		w.during(f, x.slow(time.Duration(2+f.n%400)*time.Millisecond))
	case "hand over":
		w.handOver(others[f.n%len(others)])
	case "silence client":
		w.during(f, w.net.cut(both(c.name, w.names())...))
	case "mute client":
		w.during(f, w.net.cut(out(c.name, w.names())...))
	case "deafen client":
		w.during(f, w.net.cut(in(c.name, w.names())...))
	}
}

// suffers notes that something is wrong, for who judges how soon things happened,
// until what it returns is called.
func (w *cell) suffers(kind, node, client string) (over func()) {
	x := check.Fault{From: now()}
	switch kind {
	case "kill all", "power all", "flap", "slow", "narrow", "slow disk": // the leader may go on leading, and be of little use
		x.Cell = true
	case "silence client", "mute client", "deafen client":
		x.Client = client
	default:
		x.Nodes = []string{node}
	}
	return func() {
		x.To = now()
		w.wrongs.Lock()
		defer w.wrongs.Unlock()
		w.wrong = append(w.wrong, x)
	}
}

// some is to whom the ways of a node are hurt: nodes, clients, or both.
func (w *cell) some(f fault, others, clients []string) []string {
	switch f.n % 4 {
	case 0:
		return clients
	case 1:
		return slices.Concat(others, clients)
	case 2:
		return others[:1]
	default:
		return others
	}
}

func (w *cell) during(f fault, heal func()) {
	time.Sleep(f.lasts)
	heal()
}

// crash ends processes at once and starts them again, one a little after the other.
func (w *cell) crash(f fault, list ...*node) {
	power := f.kind == "power" || f.kind == "power all"
	for _, x := range list {
		x.kill(power)
	}
	time.Sleep(f.lasts)
	for i, x := range list {
		time.Sleep(time.Duration(i*(f.n%500)) * time.Millisecond)
		w.restart(x)
	}
}

// restart starts a node that does not run.
func (w *cell) restart(x *node) {
	w.restarts <- struct{}{}
	defer func() { <-w.restarts }()
	if x.running() == nil {
		w.note("start %s", x.name)
		x.start()
	}
}

// handOver asks for another leader as an operator would.
func (w *cell) handOver(to string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	admin, err := w.admin.dial(ctx)
	if err != nil {
		return
	}
	defer admin.Close()
	if _, err := admin.TransferLeader(ctx, to); err == nil {
		w.history.count("leadership of the cell handed over")
	}
}

func (w *cell) names() []string {
	var list []string
	for _, x := range w.nodes {
		list = append(list, x.name)
	}
	return list
}

// leader is the node that leads as far as one knows; -1: none.
func (w *cell) leader() int {
	for _, x := range w.nodes {
		if s := x.running(); s != nil {
			if i := slices.Index(w.names(), s.Leader()); i >= 0 && w.nodes[i].running() != nil {
				return i
			}
		}
	}
	return -1
}

// out are the ways from a host, in those to it, and both are both.
func out(from string, to []string) []way {
	var list []way
	for _, t := range to {
		list = append(list, way{from, t})
	}
	return list
}

func in(to string, from []string) []way {
	var list []way
	for _, f := range from {
		list = append(list, way{f, to})
	}
	return list
}

func both(host string, others []string) []way {
	return slices.Concat(out(host, others), in(host, others))
}
