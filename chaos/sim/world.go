package sim

import (
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// world is everything in a run.
type world struct {
	cfg    Config
	set    setting
	now    time.Duration
	queue  queue
	events uint64
	trace  uint64
	tally  Tally
	failed *Violation

	net       network
	nodes     []*node // by id, from 1
	operator  *operator
	clients   []*client
	observers []*observer
	witness   *witness
	plan      []planned

	healed time.Duration // when all faults ended; 0: they go on
	probe  *probe        // since then
	ailing *ailing       // nil in most runs
}

// after makes something happen later.
func (w *world) after(d time.Duration, do func()) { w.later(d, action(do)) }

func (w *world) later(d time.Duration, do happening) {
	w.events++
	w.queue.push(event{at: w.now + max(d, 0), seq: w.events, do: do})
}

// stream is a source of chance of its own, so that what one part of the world
// draws does not change what the others draw.
func (w *world) stream(what, which uint64) *rand.Rand {
	return rand.New(rand.NewPCG(w.cfg.Seed, what<<32|which))
}

// The streams.
const (
	streamSetting = iota + 1
	streamPlan
	streamNet
	streamNode
	streamClient
	streamObserver
	streamOperator
	streamRaft
	streamProbe
)

// seeded is where raft takes its election jitter from during a run.
type seeded struct{ rng *rand.Rand }

func (s seeded) Read(p []byte) (int, error) {
	for i := 0; i < len(p); i += 8 {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], s.rng.Uint64())
		copy(p[i:], b[:])
	}
	return len(p), nil
}

// Run runs one seed. Runs of one process must not overlap: raft draws its
// election timeouts from crypto/rand.Reader, which is replaced meanwhile. A
// panic is a violation, too. An error that is no *Violation says that there is no
// such run: it was to have faults that are not in its plan.
func Run(cfg Config) (report Report, err error) {
	if err := cfg.unplanned(); err != nil {
		return Report{Config: cfg}, err
	}
	w := &world{cfg: cfg.withDefaults()}
	reader := crand.Reader
	crand.Reader = seeded{w.stream(streamRaft, 0)}
	defer func() {
		crand.Reader = reader
		if p := recover(); p != nil {
			w.fail(Panics, "%v\n%s", p, debug.Stack())
			w.failed.Config = cfg
			report, err = Report{Config: cfg, Virtual: w.now, Events: w.events, Trace: w.trace, Planned: len(w.plan), Tally: w.tally}, w.failed
		}
	}()

	w.create()
	w.run(w.cfg.Length)
	w.ailing.finish()
	if w.failed == nil {
		w.heal()
		for w.now < w.healed+patience && w.failed == nil && w.owes() != "" {
			w.run(w.now + 500*time.Millisecond)
		}
		w.finish()
	}
	for _, n := range w.nodes {
		n.stop()
	}
	w.witness.close()
	r := Report{
		Config: cfg, Virtual: w.now, Events: w.events, Entries: w.witness.index, Checked: w.witness.checked,
		Trace: w.trace, Planned: len(w.plan), Tally: w.tally,
	}
	if w.failed != nil {
		w.failed.Config = cfg
		return r, w.failed
	}
	return r, nil
}

// create makes everything that there is at the beginning.
func (w *world) create() {
	w.set = newSetting(w.stream(streamSetting, 0), w.cfg)
	w.net = newNetwork(w.stream(streamNet, 0))
	if w.set.work == Ailing {
		w.cfg.Length, w.cfg.Clients = ailingLength, ailingClients
		w.ailing = newAiling(w)
	}
	w.witness = newWitness(w)
	w.operator = newOperator(w)
	for range w.cfg.Nodes {
		w.newNode()
	}
	for _, n := range w.nodes {
		n.founder = true
		n.start()
	}
	for i := range w.cfg.Clients {
		w.clients = append(w.clients, newClient(w, i))
	}
	if w.set.work&Crowd != 0 {
		w.clients = append(w.clients, newClient(w, w.cfg.Clients))
		w.clients[w.cfg.Clients].idle = true
	}
	for i := range 2 {
		w.observers = append(w.observers, newObserver(w, i))
	}
	w.plan = newPlan(w.stream(streamPlan, 0), w.set, w.cfg.Length)
	w.schedule()
}

func (w *world) run(until time.Duration) {
	for w.failed == nil {
		e, n := w.next(until)
		if e.do == nil && n == nil {
			break
		}
		w.now = e.at
		w.mix(uint64(e.at) ^ e.seq<<40)
		if n != nil {
			n.turn()
		} else {
			e.do.happen()
		}
	}
	w.now = max(w.now, until)
}

// mix takes a number into the trace.
func (w *world) mix(n uint64) {
	w.trace = (w.trace ^ n) * 0x9e3779b97f4a7c15
	w.trace ^= w.trace >> 29
}

// fail notes the first violation; the run ends with it.
func (w *world) fail(p Property, format string, args ...any) {
	if w.failed == nil {
		w.failed = &Violation{Property: p, At: w.now, What: fmt.Sprintf(format, args...)}
		w.tell("VIOLATION %s: %s", p, w.failed.What)
	}
}

// check fails when an error says that a property does not hold.
func (w *world) check(p Property, err error) {
	if err != nil {
		w.fail(p, "%v", err)
	}
}

// tell logs what happens.
func (w *world) tell(format string, args ...any) {
	if w.cfg.Log != nil {
		fmt.Fprintf(w.cfg.Log, "%12.6f  %s\n", w.now.Seconds(), fmt.Sprintf(format, args...))
	}
}

// sometimes counts a situation.
func (w *world) sometimes(s Situation) { w.tally.Situations[s]++ }

// leader is the node that leads in the highest term, nil when none does.
func (w *world) leader() *node {
	var best *node
	var term uint64
	for _, n := range w.nodes {
		if n.up && n.cell.Leading() && (best == nil || n.term > term) {
			best, term = n, n.term
		}
	}
	return best
}

func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rng.Int64N(int64(to-from)+1))
}
