package sim

import (
	"container/heap"
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"

	"github.com/conch-lock/conch/raftnode"
)

// Config says what is simulated.
type Config struct {
	Seed    uint64
	Nodes   int           // default 3
	Clients int           // default 6
	Length  time.Duration // of the time with faults; default 60 s
	Quiet   bool          // no faults
	Log     io.Writer     // what happens, line by line; nil: not told
}

// Report tells what happened in a run.
type Report struct {
	Seed    uint64
	Virtual time.Duration
	Events  uint64
	Entries uint64
	Trace   uint64 // equal for two runs that were the same
	Counts  map[string]int
}

// Violation is a property that did not hold.
type Violation struct {
	Seed uint64
	At   time.Duration
	What string
}

func (v *Violation) Error() string {
	return fmt.Sprintf("seed %d, at %v: %s", v.Seed, v.At, v.What)
}

// world is everything in a run.
type world struct {
	cfg    Config
	rng    *rand.Rand
	now    time.Duration
	queue  events
	events uint64
	trace  uint64
	counts map[string]int
	failed *Violation

	nodes   []*node
	clients []*client

	observers []*observer

	cut     map[[2]raftnode.NodeID]bool // one way
	healing bool                        // no new faults
	witness *witness
	net     struct{ loss, tail, double float64 }
}

// event is something that will happen.
type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = event{}
	*e = (*e)[:last]
	return x
}

// after makes something happen later.
func (w *world) after(d time.Duration, do func()) {
	w.events++
	heap.Push(&w.queue, event{w.now + max(d, 0), w.events, do})
}

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
// election timeouts from crypto/rand.Reader, which is replaced meanwhile.
func Run(cfg Config) (Report, error) {
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	if cfg.Clients == 0 {
		cfg.Clients = 6
	}
	if cfg.Length == 0 {
		cfg.Length = 60 * time.Second
	}
	w := &world{
		cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x636f6e6368)),
		counts: map[string]int{}, cut: map[[2]raftnode.NodeID]bool{},
	}
	reader := crand.Reader
	crand.Reader = seeded{rand.New(rand.NewPCG(cfg.Seed, 1))}
	defer func() { crand.Reader = reader }()

	w.witness = newWitness(w)
	w.net.loss, w.net.tail, w.net.double = 0.001, 0.001, 0.001
	for i := range cfg.Nodes {
		w.nodes = append(w.nodes, newNode(w, raftnode.NodeID(i+1)))
	}
	for _, n := range w.nodes {
		n.start()
	}
	for i := range cfg.Clients {
		w.clients = append(w.clients, newClient(w, i))
	}
	for i := range 2 {
		w.observers = append(w.observers, newObserver(w, i))
	}
	if !cfg.Quiet {
		w.after(w.between(500*time.Millisecond, 3*time.Second), w.nemesis)
	}
	w.run(cfg.Length)
	if w.failed == nil {
		w.heal()
		healed := w.now
		for w.now < healed+patience && w.failed == nil && w.owes() != "" {
			w.run(w.now + time.Second)
		}
		w.finish()
	}
	for _, n := range w.nodes {
		n.stop()
	}
	w.witness.close()
	r := Report{
		Seed: cfg.Seed, Virtual: w.now, Events: w.events, Entries: w.witness.index,
		Trace: w.trace, Counts: w.counts,
	}
	if w.failed != nil {
		return r, w.failed
	}
	return r, nil
}

// patience is how long a healed cell has until everybody must have got on. A
// client may still be paused for 8 s, and six may hold one lock for 5 s each.
const patience = time.Minute

func (w *world) run(until time.Duration) {
	for len(w.queue) > 0 && w.failed == nil && w.queue[0].at <= until {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
	}
	w.now = max(w.now, until)
}

// fail notes the first violation; the run ends with it.
func (w *world) fail(format string, args ...any) {
	if w.failed == nil {
		w.failed = &Violation{Seed: w.cfg.Seed, At: w.now, What: fmt.Sprintf(format, args...)}
		w.tell("VIOLATION %s", w.failed.What)
	}
}

// tell logs what happens and mixes it into the trace.
func (w *world) tell(format string, args ...any) {
	h := fnv.New64a()
	line := fmt.Sprintf(format, args...)
	_ = binary.Write(h, binary.LittleEndian, w.trace)
	_ = binary.Write(h, binary.LittleEndian, int64(w.now))
	_, _ = io.WriteString(h, line)
	w.trace = h.Sum64()
	if w.cfg.Log != nil {
		fmt.Fprintf(w.cfg.Log, "%12.6f  %s\n", w.now.Seconds(), line)
	}
}

// sometimes counts a situation that tests want to have happened.
func (w *world) sometimes(what string) { w.counts[what]++ }

func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

func (w *world) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.rng.Int64N(int64(to-from)+1))
}

// delay is how long a message takes on any link.
func (w *world) delay() time.Duration {
	if w.chance(w.net.tail) {
		return w.between(time.Millisecond, 3*time.Second)
	}
	return w.between(50*time.Microsecond, 2*time.Millisecond)
}

// leader is the node that leads in the highest term, nil when none does.
func (w *world) leader() *node {
	var best *node
	var term uint64
	for _, n := range w.nodes {
		if n.up && n.cell.Leading() {
			if t := n.replica.Status().Term; best == nil || t > term {
				best, term = n, t
			}
		}
	}
	return best
}
