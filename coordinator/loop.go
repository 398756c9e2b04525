package coordinator

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/cell"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/sessions"
)

// maxDrain is how many requests are handled between two turns of the consensus.
const maxDrain = 4096

// maxStay is for how long requests are handled, or reads answered, before the
// consensus gets another turn: heartbeats must not wait behind large answers.
const maxStay = 10 * time.Millisecond

// promptStreams is to how many streams the loop writes itself at a time.
const promptStreams = 4

// sweepEvery is how often the loop looks after what time brings.
const sweepEvery = 100 * time.Millisecond

// group is what the loop needs of [raftnode.Group].
type group interface {
	Do(f func()) error
	ReadIndex(done func(error)) error
	Send(to raftnode.NodeID, payload []byte) bool
	Status() raftnode.Status
}

// loop is the server of one cell: what clients ask of it and what it tells them.
// Everything but the inbox belongs to whoever gives the group a turn; after
// the group has ended, to whoever ends the server.
type loop struct {
	name    string // of the cell
	node    string // name of this node
	self    raftnode.NodeID
	version string
	cfg     Config
	log     zerolog.Logger
	group   group // nil until the group runs
	server  *Server
	cell    *cell.Cell
	begin   time.Time
	wall    *wallClock
	load    *load

	inbox inbox
	work  []item // taken from the inbox, not handled yet
	spare []item // its space is used again
	reads []func(error)
	dirty []*stream // that got something to write

	stopping atomic.Bool   // new requests are refused
	opened   atomic.Uint64 // streams, ever

	streams    map[*stream]struct{} // those that said hello
	attached   map[sessions.ID]*stream
	waits      waits
	watches    watches
	nodes      nodes
	hashes     hashes
	transfers  []*transfer
	hint       *api.LeaderHint // as last pushed
	newsAt     time.Duration   // when this node last told the others of itself
	progressAt time.Duration   // when watches were last told how far everything has been delivered
	progressTo uint64          // how far that was

	pushed   uint64 // events told to sessions
	proposed uint64 // entries
}

// item is one thing for the loop to do: a command, or a function.
type item struct {
	call *call
	op   machine.Op
	run  func()
}

// inbox takes items from any goroutine.
type inbox struct {
	mu        sync.Mutex
	items     []item
	scheduled bool // drain will run
	dead      bool // the group has ended
}

// submit hands items over to the loop; they are copied. Those that come after
// the group has ended are refused.
func (l *loop) submit(items ...item) {
	if len(items) == 0 {
		return
	}
	l.inbox.mu.Lock()
	if l.inbox.dead {
		l.inbox.mu.Unlock()
		refuseItems(items, stopping())
		return
	}
	l.inbox.items = append(l.inbox.items, items...)
	wake := !l.inbox.scheduled
	l.inbox.scheduled = true
	l.inbox.mu.Unlock()
	if wake {
		l.schedule()
	}
}

// schedule has drain run in the group's next turn. When it cannot be, what is in
// the inbox is refused with the error that is returned: for good when the group
// has ended, for now when its queue is full.
func (l *loop) schedule() *api.Error {
	switch err := l.group.Do(l.drain); {
	case err == nil:
		return nil
	case errors.Is(err, raftnode.ErrBusy):
		e := overloaded("too much waits for the node's loop; nothing happened")
		l.refuseInbox(e, false)
		return e
	default:
		l.die()
		return stopping()
	}
}

// die refuses what nobody will handle any more.
func (l *loop) die() { l.refuseInbox(stopping(), true) }

func (l *loop) refuseInbox(e *api.Error, dead bool) {
	l.inbox.mu.Lock()
	l.inbox.dead = l.inbox.dead || dead
	l.inbox.scheduled = false
	items := l.inbox.items
	l.inbox.items = nil
	l.inbox.mu.Unlock()
	refuseItems(items, e)
}

func refuseItems(items []item, e *api.Error) {
	for _, it := range items {
		if it.call != nil {
			it.call.refuse(e)
		}
	}
}

// drain handles what has gathered in the inbox.
func (l *loop) drain() {
	defer l.settle()
	if len(l.work) == 0 {
		l.inbox.mu.Lock()
		l.work, l.inbox.items = l.inbox.items, l.spare[:0]
		l.inbox.mu.Unlock()
		l.spare = l.work
	}
	n := min(len(l.work), maxDrain)
	now := l.now()
	for i := range l.work[:n] {
		l.handle(now, &l.work[i])
		if i%16 == 15 && l.now()-now > maxStay {
			n = i + 1
			break
		}
	}
	clear(l.work[:n])
	l.work = l.work[n:]
	l.cell.Flush()

	l.inbox.mu.Lock()
	more := len(l.work) > 0 || len(l.inbox.items) > 0
	l.inbox.scheduled = more
	l.inbox.mu.Unlock()
	if more {
		if e := l.schedule(); e != nil {
			refuseItems(l.work, e)
			l.work = nil
		}
	}
}

// handle does one item; a panic in it is the server's defect and that call's end.
func (l *loop) handle(now time.Duration, it *item) {
	defer func() {
		if p := recover(); p != nil {
			l.panicked(p, it.call)
		}
	}()
	if it.run != nil {
		it.run()
		return
	}
	c, op := it.call, it.op
	if l.stopping.Load() && !c.method.relief() {
		l.refuse(c, stopping())
		return
	}
	l.command(now, c, op)
}

func (l *loop) panicked(p any, c *call) {
	e := l.log.Error().Interface("panic", p).Str("stack", stack())
	if c != nil {
		e = e.Stringer("method", c.method)
	}
	e.Msg("serving a request panicked")
	if c != nil {
		c.refuse(internal(p))
	}
}

// settle ends everything that the loop does at one go: it asks for the reads
// that have gathered, and sees to it that what streams got is written: by itself
// where that is little for few, which saves a waking on the way of an answer.
func (l *loop) settle() {
	if reads := l.reads; len(reads) > 0 {
		l.reads = nil
		if err := l.group.ReadIndex(func(err error) { l.confirmed(reads, err) }); err != nil {
			for _, f := range reads {
				l.guard(func() { f(err) })
			}
		}
	}
	few := len(l.dirty) <= promptStreams
	for i, st := range l.dirty {
		st.dirty = false
		if !few || !st.writeNow() {
			st.out.signal()
		}
		l.dirty[i] = nil
	}
	l.dirty = l.dirty[:0]
}

// confirmed calls reads that were confirmed, or failed. What a read sees may be newer
// than its confirmation, so that the rest of many can wait for another turn.
func (l *loop) confirmed(reads []func(error), err error) {
	defer l.settle()
	began := l.now()
	for i, f := range reads {
		l.guard(func() { f(err) })
		rest := reads[i+1:]
		if len(rest) > 0 && l.now()-began > maxStay && l.group.Do(func() { l.confirmed(rest, err) }) == nil {
			return
		}
	}
}

// guard runs f; a panic in it is logged.
func (l *loop) guard(f func()) {
	defer func() {
		if p := recover(); p != nil {
			l.panicked(p, nil)
		}
	}()
	f()
}

// read has f called when reading the state is linearizable, or with why it is
// not. It is for functions that run within drain.
func (l *loop) read(f func(error)) { l.reads = append(l.reads, f) }

// reading runs f on the state once that is linearizable; f answers the call. Nothing
// is read for a stream that has ended: who asks for much and goes away leaves no work.
func (l *loop) reading(c *call, f func()) {
	l.read(func(err error) {
		defer func() {
			if p := recover(); p != nil {
				l.panicked(p, c)
			}
		}()
		switch {
		case err != nil:
			l.refuse(c, l.unread(err))
		case c.stream != nil && c.stream.closed:
			c.finish(api.Code_UNAVAILABLE)
		default:
			f()
		}
	})
}

// unread is what a client is told of a read that was not done: nothing happened,
// whatever the reason. When it is that this node's group has failed, as with its
// disk, another node can answer.
func (l *loop) unread(err error) *api.Error {
	e := errorOf(err)
	switch e.Code {
	case api.Code_INTERNAL:
		e.Code, e.Definite = api.Code_UNAVAILABLE, true
	case api.Code_NO_LEADER, api.Code_UNKNOWN_OUTCOME:
		e.LeaderEndpoint = l.leaderHint().GetEndpoint()
	}
	return e
}

// now is the loop's clock.
func (l *loop) now() time.Duration { return time.Since(l.begin) }

// machine is the state, on the loop's goroutine.
func (l *loop) machine() *machine.Machine { return l.cell.Machine() }

// sweep does what time brings. It runs every 100 ms.
func (l *loop) sweep() {
	defer l.settle()
	now := l.now()
	l.wall.millis() // notices a jump, also where no entries are made
	l.guard(func() { l.cell.Sweep(now) })
	l.guard(func() { l.sweepWaits(now) })
	l.guard(func() { l.sweepHashes(now) })
	l.guard(func() { l.sweepTransfers(now) })
	l.guard(func() { l.sweepWatches(now) })
	l.guard(func() { l.sweepNodes(now) })
}

// ended settles everything after the group has ended: the goroutine of the
// caller owns the loop now.
func (l *loop) ended() {
	refuseItems(l.work, stopping())
	l.work = nil
	l.die()
	l.guard(l.cell.Stop)
	l.guard(l.stopWaits)
	for _, f := range l.reads {
		l.guard(func() { f(raftnode.ErrStopped) })
	}
	l.reads = nil
	for st := range l.streams {
		st.out.signal()
	}
}
