package cell

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/sessions"
)

// Outcomes other than a reply of the machine.
var (
	// ErrUnknown: the request may or may not have taken effect.
	ErrUnknown = errors.New("the outcome is unknown: the leader changed or did not answer in time")
	// ErrNoLeader: no leader took the request; nothing happened.
	ErrNoLeader = errors.New("no leader took the request in time, nothing happened")
	// ErrOverloaded: too much waits already; nothing happened.
	ErrOverloaded = errors.New("too many requests wait, nothing happened")
	// ErrStopped: the node stops.
	ErrStopped = errors.New("the node is stopping")
)

// Config is what a cell needs from around it. Its functions are called on the
// goroutine that drives the consensus and must not block.
type Config struct {
	// Self is this node. Its requests carry it.
	Self raftnode.NodeID
	// Boot tells this run of the node from its earlier ones: it rises.
	Boot uint32
	// Limits bound the state; they must be the same on all nodes.
	Limits machine.Limits
	// Wall is wall time in milliseconds, for people.
	Wall func() int64
	// Send sends a message to the same cell on another node; it may be lost.
	Send func(to raftnode.NodeID, payload []byte) bool
	// Output takes what applying entries gave, after the replies are delivered.
	Output func(machine.Output)
	// Leadership tells of every change of the known leader, 0 for none.
	Leadership func(leader raftnode.NodeID)
	// Restored says that the state was replaced by a snapshot: events may have
	// been missed.
	Restored func()

	// MaxQueue bounds the bytes of requests that wait to be proposed. Default
	// 32 MiB.
	MaxQueue int
	// Patience is how long a request waits in all, over leader changes. Default
	// 10 s.
	Patience time.Duration
}

// Cell implements [raftnode.Machine].
type Cell struct {
	cfg     Config
	machine *machine.Machine

	leading bool
	term    uint64
	leader  raftnode.NodeID
	ticker  ticker

	requests uint64              // the newest request's number
	pending  map[uint64]*request // ours, by number, wherever they are
	held     []*request          // ours, in order, not sent to a leader yet
	queue    [][]byte            // commands that wait to be proposed, only while leading
	queued   int                 // their bytes
	heldSize int
	heard    map[sessions.ID]uint64       // keep-alives to send to the leader
	from     map[raftnode.NodeID]uint64   // the newest request that each node sent us in this term
	refused  map[raftnode.NodeID][]uint64 // to send back
	outbox   []byte                       // commands for the leader, gathered since the last Flush
	scratch  []byte
}

// request is one that this node took.
type request struct {
	number   uint64
	op       machine.Op
	done     func(machine.Reply, error)
	deadline time.Duration
	size     int
	sent     bool // it may be in a log by now
}

var _ raftnode.Machine = (*Cell)(nil)

// New makes the cell of a new, empty state.
func New(cfg Config) *Cell {
	if cfg.MaxQueue == 0 {
		cfg.MaxQueue = 32 << 20
	}
	if cfg.Patience == 0 {
		cfg.Patience = 10 * time.Second
	}
	return &Cell{
		cfg: cfg, machine: machine.New(cfg.Limits),
		requests: uint64(cfg.Boot) << 32,
		pending:  map[uint64]*request{},
		heard:    map[sessions.ID]uint64{},
		from:     map[raftnode.NodeID]uint64{},
		refused:  map[raftnode.NodeID][]uint64{},
	}
}

// Machine is the state, to be read between calls.
func (c *Cell) Machine() *machine.Machine { return c.machine }

// Leading says whether this node leads.
func (c *Cell) Leading() bool { return c.leading }

// Leader is the node that leads as far as this one knows, 0 for none.
func (c *Cell) Leader() raftnode.NodeID { return c.leader }

// Pending is how many of this node's requests await a reply.
func (c *Cell) Pending() int { return len(c.pending) }

// Submit takes a request; done is called once, maybe at once. Call Flush when no
// more are at hand.
func (c *Cell) Submit(now time.Duration, op machine.Op, done func(machine.Reply, error)) {
	if err := (machine.Command{Op: op}).Check(); err != nil {
		done(machine.Reply{Code: machine.InvalidArgument, Message: err.Error()}, nil)
		return
	}
	r := &request{op: op, done: done, deadline: now + c.cfg.Patience}
	if c.queued+c.heldSize > c.cfg.MaxQueue && !relief(op) {
		done(machine.Reply{}, ErrOverloaded)
		return
	}
	c.place(r)
}

// relief: requests that make the load smaller are not refused for load.
func relief(op machine.Op) bool {
	switch op.(type) {
	case *machine.Release, *machine.Cancel, *machine.EndSession:
		return true
	}
	return false
}

// place gives a request a number of its own and puts it where it can go now.
func (c *Cell) place(r *request) {
	c.requests++
	r.number, r.sent = c.requests, false
	c.pending[r.number] = r
	if !c.leading && c.leader == 0 {
		c.hold(r)
		return
	}
	command := machine.Command{Origin: uint64(c.cfg.Self), Request: r.number, Op: r.op}
	if c.leading {
		b := command.Append(nil)
		if len(b) > machine.MaxCommand {
			c.tooLong(r, len(b))
			return
		}
		r.sent = true
		c.enqueue(b)
		return
	}
	before := len(c.outbox)
	c.outbox = command.Append(c.outbox)
	if n := len(c.outbox) - before; n > machine.MaxCommand {
		c.outbox = c.outbox[:before]
		c.tooLong(r, n)
		return
	}
	r.sent = true
	if len(c.outbox) >= maxMessage {
		c.flushOutbox()
	}
}

func (c *Cell) tooLong(r *request, n int) {
	c.finish(r, machine.Reply{
		Code:    machine.InvalidArgument,
		Message: fmt.Sprintf("the request has %d bytes: at most %d are allowed", n, machine.MaxCommand),
	}, nil)
}

func (c *Cell) hold(r *request) {
	b := machine.Command{Op: r.op}.Append(c.scratch[:0])
	c.scratch, r.size = b, len(b)
	c.heldSize += r.size
	c.held = append(c.held, r)
}

func (c *Cell) enqueue(command []byte) {
	c.queue = append(c.queue, command)
	c.queued += len(command)
}

func (c *Cell) finish(r *request, p machine.Reply, err error) {
	delete(c.pending, r.number)
	r.done(p, err)
}

// Hear takes a keep-alive of a session that is attached to this node.
func (c *Cell) Hear(id sessions.ID, n uint64) {
	switch {
	case c.leading:
		c.ticker.hear(id, n)
	case len(c.heard) < machine.MaxHeard || c.heard[id] > 0:
		c.heard[id] = max(n, c.heard[id])
	}
}

// Flush sends on what Submit and Hear gathered.
func (c *Cell) Flush() {
	c.flushOutbox()
	if len(c.heard) > 0 && c.leader != 0 && !c.leading && c.cfg.Send(c.leader, appendHeard(c.heard)) {
		clear(c.heard)
	}
	for _, to := range slices.Sorted(maps.Keys(c.refused)) {
		c.cfg.Send(to, appendRefused(c.refused[to]))
	}
	clear(c.refused)
}

func (c *Cell) flushOutbox() {
	if len(c.outbox) == 0 || c.leader == 0 {
		return
	}
	message := append([]byte{messageCommands}, c.outbox...)
	c.outbox = c.outbox[:0]
	if !c.cfg.Send(c.leader, message) {
		c.bounce(message[1:])
	}
}

// bounce holds again what could not be sent to the leader.
func (c *Cell) bounce(commands []byte) {
	for len(commands) > 0 {
		one, rest, err := machine.Split(commands)
		if err != nil {
			return
		}
		commands = rest
		if cmd, err := machine.Decode(one); err == nil {
			if r := c.pending[cmd.Request]; r != nil {
				r.sent = false
				c.hold(r)
			}
		}
	}
}

// Sweep gives up requests that have waited too long, and tries again those that
// wait for a leader. It wants to be called every 100 ms or so.
func (c *Cell) Sweep(now time.Duration) {
	c.release(now)
	var late []*request
	for _, r := range c.pending {
		if now >= r.deadline {
			late = append(late, r)
		}
	}
	sort.Slice(late, func(i, j int) bool { return late[i].number < late[j].number })
	for _, r := range late {
		if r.sent {
			c.finish(r, machine.Reply{}, ErrUnknown)
		} else {
			c.finish(r, machine.Reply{}, ErrNoLeader)
		}
	}
	c.Flush()
}

// release places held requests once there is somebody to take them.
func (c *Cell) release(now time.Duration) {
	if !c.leading && c.leader == 0 || len(c.held) == 0 {
		return
	}
	held := c.held
	c.held, c.heldSize = nil, 0
	for _, r := range held {
		if c.pending[r.number] == r {
			delete(c.pending, r.number)
			c.place(r)
		}
	}
}

// Stop ends all requests: those that may be in a log as unknown.
func (c *Cell) Stop() {
	for _, r := range c.sorted() {
		if r.sent {
			c.finish(r, machine.Reply{}, fmt.Errorf("%w: %w", ErrStopped, ErrUnknown))
		} else {
			c.finish(r, machine.Reply{}, ErrStopped)
		}
	}
}

func (c *Cell) sorted() []*request {
	l := make([]*request, 0, len(c.pending))
	for _, r := range c.pending {
		l = append(l, r)
	}
	sort.Slice(l, func(i, j int) bool { return l[i].number < l[j].number })
	return l
}

// Apply implements [raftnode.Machine].
func (c *Cell) Apply(entries []raftnode.Entry) {
	c.machine.Begin()
	for _, e := range entries {
		if err := c.machine.Apply(e.Index, e.Term, e.Data); err != nil {
			// Going on would make this node differ from the others.
			panic(err)
		}
		if c.leading && e.Term == c.term && len(e.Data) > 0 {
			c.ticker.applied()
		}
	}
	out := c.machine.Commit()
	for _, x := range out.Results {
		if x.Origin != uint64(c.cfg.Self) {
			continue
		}
		if r := c.pending[x.Request]; r != nil {
			c.finish(r, x.Reply, nil)
		}
	}
	c.cfg.Output(out)
}

// Applied implements [raftnode.Machine].
func (c *Cell) Applied() (index, term uint64) { return c.machine.Applied() }

// Lead implements [raftnode.Machine].
func (c *Cell) Lead(term uint64) {
	c.leading, c.term, c.leader = true, term, c.cfg.Self
	c.ticker.start()
	clear(c.from)
	for id, n := range c.heard {
		c.ticker.hear(id, n)
	}
	clear(c.heard)
	c.release(0)
	c.cfg.Leadership(c.leader)
}

// Unlead implements [raftnode.Machine]: what may be in a log under the old
// leader is asked again when a repetition is harmless, and ends as unknown
// otherwise.
func (c *Cell) Unlead(leader raftnode.NodeID) {
	c.leading, c.leader = false, leader
	c.queue, c.queued = nil, 0
	c.outbox = c.outbox[:0]
	for _, r := range c.sorted() {
		switch {
		case !r.sent:
		case repeatable(r.op):
			r.sent = false
			c.hold(r)
		default:
			c.finish(r, machine.Reply{}, ErrUnknown)
		}
	}
	c.release(0)
	c.Flush()
	c.cfg.Leadership(leader)
}

// repeatable: taking effect twice is the same as once, or cannot happen.
func repeatable(op machine.Op) bool {
	switch o := op.(type) {
	case *machine.OpenSession, *machine.Acquire, *machine.Release, *machine.Cancel, *machine.Hash:
		return true
	case *machine.Txn:
		return o.Sequence != 0
	}
	return false
}

// Propose implements [raftnode.Machine].
func (c *Cell) Propose(now time.Duration, maxBytes int) [][]byte {
	c.ticker.turn(now)
	if len(c.queue) == 0 && !c.ticker.due(now, c.machine) {
		return nil
	}
	var entries [][]byte
	var h machine.Header
	for first := true; first || len(c.queue) > 0; first = false {
		h = machine.Header{Millis: c.cfg.Wall()}
		if first {
			h = c.ticker.header(now, h.Millis)
		} else {
			c.ticker.under = append(c.ticker.under, underway{at: now})
		}
		b := h.Append(make([]byte, 0, min(maxBytes, c.queued+64+8*len(h.Heard))))
		n := 0
		for n < len(c.queue) && (n == 0 || len(b)+len(c.queue[n]) <= maxBytes) {
			b = append(b, c.queue[n]...)
			c.queued -= len(c.queue[n])
			n++
		}
		c.queue = c.queue[n:]
		entries = append(entries, b)
	}
	c.queue = nil
	return entries
}

// ProposalDropped implements [raftnode.Machine]: nothing of the payload will
// happen, so its commands wait again.
func (c *Cell) ProposalDropped(payload []byte) {
	if n := len(c.ticker.under); n > 0 {
		c.ticker.under = c.ticker.under[:n-1]
	}
	h, commands, err := machine.ReadHeader(payload)
	if err != nil {
		return
	}
	for _, x := range h.Heard {
		c.Hear(x.Session, x.Number)
	}
	for len(commands) > 0 {
		one, rest, err := machine.Split(commands)
		if err != nil {
			return
		}
		commands = rest
		cmd, err := machine.Decode(one)
		if err != nil {
			continue
		}
		if raftnode.NodeID(cmd.Origin) != c.cfg.Self {
			c.refuse(raftnode.NodeID(cmd.Origin), cmd.Request)
		} else if r := c.pending[cmd.Request]; r != nil {
			r.sent = false
			c.hold(r)
		}
	}
}

func (c *Cell) refuse(to raftnode.NodeID, number uint64) {
	c.refused[to] = append(c.refused[to], number)
}

// Snapshot implements [raftnode.Machine].
func (c *Cell) Snapshot() raftnode.SnapshotSource { return c.machine.Snapshot() }

// Restore implements [raftnode.Machine].
func (c *Cell) Restore(r io.Reader, index, term uint64) error {
	if err := c.machine.Restore(r, index, term); err != nil {
		return err
	}
	// Replies of this node's requests may lie in what was skipped.
	for _, q := range c.sorted() {
		if q.sent {
			if repeatable(q.op) {
				q.sent = false
				c.hold(q)
			} else {
				c.finish(q, machine.Reply{}, ErrUnknown)
			}
		}
	}
	c.cfg.Restored()
	return nil
}
