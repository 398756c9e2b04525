package cell

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/internal/planted"
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
	// Boot tells this run of the node from its earlier ones: it rises, and is
	// below 2^24.
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

	// MaxQueue bounds the bytes of this node's requests that await a reply, and
	// those of all nodes that wait to be proposed. Default 32 MiB.
	MaxQueue int
	// Patience is how long a request waits in all, over leader changes. After a
	// quarter of it without a reply, a request that was sent to the leader and
	// can be repeated is sent again. Default 10 s.
	Patience time.Duration
}

// Cell implements [raftnode.Machine].
type Cell struct {
	cfg     Config
	machine *machine.Machine
	now     time.Duration // the latest that it was told

	leading bool
	term    uint64
	leader  raftnode.NodeID
	ticker  ticker

	requests uint64     // the newest request's number
	pending  requests   // ours, wherever they are
	held     []*request // ours, in order, not sent to a leader yet
	stopped  bool

	queue   []byte                            // commands that wait to be proposed, only while leading
	outbox  []byte                            // commands for the leader, gathered since the last Flush
	sending []*request                        // ours, those in the outbox
	heard   map[sessions.ID]uint64            // keep-alives to send to the leader
	from    map[raftnode.NodeID]uint64        // the newest request of each node that has arrived here
	asked   map[raftnode.NodeID]time.Duration // when a node last sent requests or keep-alives
	refused map[raftnode.NodeID][]uint64      // to send back
	scratch []byte
}

var _ raftnode.Machine = (*Cell)(nil)

// numberBits is how many bits count the requests of one run of a node.
const numberBits = 40

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
		requests: uint64(cfg.Boot) << numberBits,
		pending:  requests{byNumber: map[uint64]*request{}},
		heard:    map[sessions.ID]uint64{},
		from:     map[raftnode.NodeID]uint64{},
		asked:    map[raftnode.NodeID]time.Duration{},
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
func (c *Cell) Pending() int { return len(c.pending.byNumber) }

// Submit takes a request; done is called once, maybe at once. Call Flush when no
// more are at hand.
func (c *Cell) Submit(now time.Duration, op machine.Op, done func(machine.Reply, error)) {
	c.now = max(c.now, now)
	command := machine.Command{Origin: uint64(c.cfg.Self), Request: c.requests + 1, Op: op}
	if err := command.Check(); err != nil {
		done(machine.Reply{Code: machine.InvalidArgument, Message: err.Error()}, nil)
		return
	}
	if c.stopped {
		done(machine.Reply{}, ErrStopped)
		return
	}
	if max(c.pending.bytes, len(c.queue)) > c.cfg.MaxQueue && !relief(op) {
		done(machine.Reply{}, ErrOverloaded)
		return
	}
	c.scratch = command.Append(c.scratch[:0])
	if n := len(c.scratch); n > machine.MaxCommand {
		done(tooLong(n, machine.MaxCommand), nil)
		return
	}
	c.requests++
	r := &request{number: c.requests, op: op, done: done, size: len(c.scratch), deadline: c.now + c.cfg.Patience}
	c.pending.add(r)
	c.place(r, c.scratch)
}

func tooLong(n, most int) machine.Reply {
	return machine.Reply{
		Code:    machine.InvalidArgument,
		Message: fmt.Sprintf("the request has %d bytes: at most %d are allowed", n, most),
	}
}

// target is the other node that leads, 0 for none.
func (c *Cell) target() raftnode.NodeID {
	if c.leading || c.leader == c.cfg.Self {
		return 0
	}
	return c.leader
}

// place puts a request where it can go now, spelt as a command.
func (c *Cell) place(r *request, command []byte) {
	r.asked = c.now
	switch {
	case c.leading:
		r.placed = true
		c.queue = append(c.queue, command...)
		if _, ok := r.op.(*machine.Release); ok && planted.On(planted.AnsweredBeforeCommit) {
			c.finish(r, machine.Reply{}, nil)
		}
	case c.target() != 0:
		r.placed = true
		c.outbox = append(c.outbox, command...)
		c.sending = append(c.sending, r)
		if len(c.outbox) >= maxMessage {
			c.flushOutbox()
		}
	default:
		c.hold(r)
	}
}

// replace places a held request again, under a number of its own, so that what
// is said of its earlier copies is not taken for an answer.
func (c *Cell) replace(r *request) {
	delete(c.pending.byNumber, r.number)
	c.requests++
	r.number = c.requests
	c.pending.byNumber[r.number] = r
	c.scratch = machine.Command{Origin: uint64(c.cfg.Self), Request: r.number, Op: r.op}.Append(c.scratch[:0])
	c.place(r, c.scratch)
}

// hold keeps a request until there is somebody to take it.
func (c *Cell) hold(r *request) {
	r.placed = false
	c.held = append(c.held, r)
}

func (c *Cell) finish(r *request, p machine.Reply, err error) {
	c.pending.remove(r)
	r.done(p, err)
}

// giveUp ends a request without a reply of the machine; nothing is what to say
// when it is sure that nothing happened.
func (c *Cell) giveUp(r *request, nothing error) {
	if r.unknown() {
		c.finish(r, machine.Reply{}, ErrUnknown)
		return
	}
	c.finish(r, machine.Reply{}, nothing)
}

// Hear takes a keep-alive of a session that is attached to this node.
func (c *Cell) Hear(id sessions.ID, n uint64) {
	if id == 0 {
		return
	}
	if planted.On(planted.AliveBeforeCommit) {
		c.cfg.Output(machine.Output{Events: []machine.Event{{Kind: machine.Alive, Session: id, Number: n}}})
	}
	if c.leading {
		c.ticker.hear(id, n)
		return
	}
	note(c.heard, id, n)
}

// Flush sends on what Submit and Hear gathered.
func (c *Cell) Flush() {
	c.flushOutbox()
	if to := c.target(); to != 0 && len(c.heard) > 0 && c.cfg.Send(to, appendHeard(c.heard)) {
		clear(c.heard)
	}
	if len(c.refused) == 0 {
		return
	}
	for _, to := range slices.Sorted(maps.Keys(c.refused)) {
		c.cfg.Send(to, appendRefused(c.refused[to]))
	}
	clear(c.refused)
}

// flushOutbox sends the gathered commands, or holds their requests again.
func (c *Cell) flushOutbox() {
	if len(c.outbox) == 0 {
		return
	}
	message := append([]byte{messageCommands}, c.outbox...)
	sending := c.sending
	c.outbox, c.sending = c.outbox[:0], nil
	if to := c.target(); to != 0 && c.cfg.Send(to, message) {
		clear(sending)
		c.sending = sending[:0]
		return
	}
	for _, r := range sending {
		if c.pending.has(r) {
			c.hold(r)
		}
	}
}

// Sweep gives up requests that have waited too long, and tries again those that
// wait for a leader or for an answer of one. It wants to be called every 100 ms
// or so.
func (c *Cell) Sweep(now time.Duration) {
	c.now = max(c.now, now)
	for r := c.pending.oldest; r != nil && c.now >= r.deadline; r = c.pending.oldest {
		c.giveUp(r, ErrNoLeader)
	}
	again := c.cfg.Patience / 4
	for r := c.pending.oldest; r != nil && c.now >= r.deadline-c.cfg.Patience+again; r = r.newer {
		if r.placed && c.target() != 0 && c.now >= r.asked+again && repeatable(r.op) {
			r.maybe = true
			c.hold(r)
		}
	}
	c.release()
	c.Flush()
}

// release places held requests once there is somebody to take them.
func (c *Cell) release() {
	if !c.leading && c.target() == 0 {
		c.held = slices.DeleteFunc(c.held, func(r *request) bool { return !c.pending.has(r) })
		return
	}
	held := c.held
	c.held = nil
	for _, r := range held {
		if c.pending.has(r) {
			c.replace(r)
		}
	}
}

// renew is called when what was sent to a leader may be lost. It is asked again
// when a repetition is harmless, and ends as unknown otherwise.
func (c *Cell) renew() {
	for _, r := range c.pending.all() {
		switch {
		case !r.placed || !c.pending.has(r):
		case repeatable(r.op):
			r.maybe = true
			c.hold(r)
		default:
			c.giveUp(r, nil)
		}
	}
}

// giveBack takes commands that will not be in the log: ours wait again, others
// are refused.
func (c *Cell) giveBack(commands []byte) {
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
		} else if r := c.pending.byNumber[cmd.Request]; r != nil && r.placed {
			c.hold(r)
		}
	}
}

func (c *Cell) refuse(to raftnode.NodeID, number uint64) {
	c.refused[to] = append(c.refused[to], number)
}

// Stop ends all requests: those that may be in a log as unknown. From then on
// none is taken.
func (c *Cell) Stop() {
	c.stopped = true
	for _, r := range c.pending.all() {
		switch {
		case !c.pending.has(r):
		case r.unknown():
			c.finish(r, machine.Reply{}, fmt.Errorf("%w: %w", ErrStopped, ErrUnknown))
		default:
			c.finish(r, machine.Reply{}, ErrStopped)
		}
	}
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
		if r := c.pending.byNumber[x.Request]; r != nil {
			c.finish(r, x.Reply, nil)
		}
	}
	c.cfg.Output(out)
}

// Applied implements [raftnode.Machine].
func (c *Cell) Applied() (index, term uint64) { return c.machine.Applied() }

// Lead implements [raftnode.Machine].
func (c *Cell) Lead(term uint64) {
	c.giveBackOutbox()
	c.leading, c.term, c.leader = true, term, c.cfg.Self
	c.ticker.start()
	for id, n := range c.heard {
		c.ticker.hear(id, n)
	}
	clear(c.heard)
	c.renew()
	c.release()
	c.cfg.Leadership(c.leader)
}

// Unlead implements [raftnode.Machine]. What waited to be proposed or sent did
// not happen; what was, may have.
func (c *Cell) Unlead(leader raftnode.NodeID) {
	if c.leading {
		for id, n := range c.ticker.heard {
			note(c.heard, id, n)
		}
	}
	c.leading, c.leader = false, leader
	queue := c.queue
	c.queue = nil
	c.giveBack(queue)
	c.giveBackOutbox()
	c.renew()
	c.release()
	c.Flush()
	c.cfg.Leadership(leader)
}

func (c *Cell) giveBackOutbox() {
	outbox := c.outbox
	c.outbox, c.sending = nil, nil
	c.giveBack(outbox)
}

// Propose implements [raftnode.Machine].
func (c *Cell) Propose(now time.Duration, maxBytes int) [][]byte {
	c.now = max(c.now, now)
	c.ticker.turn(now)
	if len(c.queue) == 0 && !c.ticker.due(now, c.machine) {
		return nil
	}
	var entries [][]byte
	rest := c.queue
	for first := true; first || len(c.queue)-len(rest) < maxRound && len(rest) > 0 || len(c.ticker.heard) > 0; first = false {
		h := c.ticker.header(now, c.cfg.Wall())
		b := h.Append(make([]byte, 0, min(maxBytes, len(rest)+64+8*len(h.Heard))))
		n := share(rest, maxBytes-len(b))
		for n == 0 && len(rest) > 0 && len(h.Heard) == 0 {
			rest = c.unfit(rest, maxBytes)
			n = share(rest, maxBytes-len(b))
		}
		b = append(b, rest[:n]...)
		rest = rest[n:]
		entries = append(entries, b)
	}
	if c.queue = append(c.queue[:0], rest...); len(rest) == 0 && cap(c.queue) > maxMessage {
		c.queue = nil // one burst does not hold memory for ever
	}
	return entries
}

// eagerFor is how long after a node's last request it is taken to have clients
// that wait. Those with sessions are heard of more often than that.
const eagerFor = 5 * time.Second

// Eager implements [raftnode.Machine]: a node has clients whose requests or
// keep-alives come from there.
func (c *Cell) Eager(node raftnode.NodeID) bool {
	at, ok := c.asked[node]
	return ok && c.now-at < eagerFor
}

// maxRound is how many bytes of commands are proposed at a time, or one larger
// command: some five thousand small ones. What is over waits where requests can
// still be refused, and the others' turns stay short.
const maxRound = 256 << 10

// share is how many bytes of whole commands go into an entry with so much room.
func share(commands []byte, room int) int {
	n := fitting(commands, min(room, maxRound))
	if n > 0 || len(commands) == 0 {
		return n
	}
	if one, _, err := machine.Split(commands); err == nil && 4+len(one) <= room {
		return 4 + len(one)
	}
	return 0
}

// fitting is how many bytes of whole commands fit into room.
func fitting(commands []byte, room int) int {
	if len(commands) <= room {
		return len(commands)
	}
	n := 0
	for n < len(commands) {
		one, _, err := machine.Split(commands[n:])
		if err != nil || n+4+len(one) > room {
			break
		}
		n += 4 + len(one)
	}
	return n
}

// unfit takes off the first command, which fits into no entry.
func (c *Cell) unfit(commands []byte, most int) (rest []byte) {
	one, rest, err := machine.Split(commands)
	if err != nil {
		return nil
	}
	if cmd, err := machine.Decode(one); err == nil {
		if raftnode.NodeID(cmd.Origin) != c.cfg.Self {
			c.refuse(raftnode.NodeID(cmd.Origin), cmd.Request)
		} else if r := c.pending.byNumber[cmd.Request]; r != nil {
			c.finish(r, tooLong(len(one), most), nil)
		}
	}
	return rest
}

// ProposalDropped implements [raftnode.Machine]: nothing of the payload will
// happen, so its commands wait again.
func (c *Cell) ProposalDropped(payload []byte) {
	if c.leading {
		c.ticker.dropped()
	}
	h, commands, err := machine.ReadHeader(payload)
	if err != nil {
		return
	}
	for _, x := range h.Heard {
		c.Hear(x.Session, x.Number)
	}
	c.giveBack(commands)
}

// Snapshot implements [raftnode.Machine].
func (c *Cell) Snapshot() raftnode.SnapshotSource { return c.machine.Snapshot() }

// Restore implements [raftnode.Machine].
func (c *Cell) Restore(r io.Reader, index, term uint64) error {
	if err := c.machine.Restore(r, index, term); err != nil {
		return err
	}
	c.renew() // replies to this node's requests may lie in what was skipped
	c.cfg.Restored()
	return nil
}
