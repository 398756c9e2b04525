package raftnode

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"go.etcd.io/raft/v3/raftpb"
)

// Group runs one replica: it gives it its turns, one at a time, most of them on a goroutine of its own. All methods may be
// called from any goroutine, none of them waits for the disk or the network unless it takes a context.
type Group struct {
	id   GroupID
	cell string
	host *Host
	dir  string
	log  zerolog.Logger

	// Of whoever gives the turn.
	replica   *Replica
	machine   Machine
	in        Inputs
	do        []func()
	published time.Duration // when status was; negative: never
	over      bool
	why       error // it is over, unless it was stopped

	wanted  atomic.Int64  // turns asked for since somebody has claimed to give them; 0: nobody has
	baton   chan struct{} // has a token when the group's goroutine is to give them
	timer   *time.Timer   // of the next one that is due
	follows atomic.Bool

	syncs   logTime
	inbox   inbox
	stop    chan struct{}
	failure chan error    // holds why the node as a whole cannot go on
	ended   chan struct{} // closed when the goroutine is gone
	once    sync.Once
	work    sync.WaitGroup // slow work on files, and snapshots being received

	receiving chan struct{} // holds a token while a snapshot is received

	mu     sync.Mutex
	status Status
	err    error // why the group ended
}

// statusEvery is how old a Status may be.
const statusEvery = 100 * time.Millisecond

// ID returns the group's number.
func (g *Group) ID() GroupID { return g.id }

// Cell returns the name of the cell the group serves.
func (g *Group) Cell() string { return g.cell }

// Wake gives the replica a turn soon: the machine has something to propose.
func (g *Group) Wake() { g.signal() }

// Do runs f in the group's next turn, before all else. ErrBusy: too much waits already; ErrStopped: the group has
// ended; in both cases f is not run. Otherwise it is run, be it the last thing the group does.
func (g *Group) Do(f func()) error {
	return g.inbox.put(func() error {
		if len(g.inbox.do) >= maxInboxDo {
			return ErrBusy
		}
		g.inbox.do = append(g.inbox.do, f)
		return nil
	})
}

// ReadIndex has done called with nil in a turn of the group when everything that was committed before this call, by
// whomever, has been applied on this node: reading the machine there and then is linearizable. It works on every member,
// as long as there is a leader with a majority. With an error (ErrReadTimeout, ErrStopped) nothing is known. ErrBusy and
// ErrStopped can also be returned, in which case done is not called.
func (g *Group) ReadIndex(done func(err error)) error {
	return g.inbox.put(func() error {
		if len(g.inbox.in.Reads) >= g.replica.cfg.Tuning.MaxReads {
			return ErrBusy
		}
		g.inbox.in.Reads = append(g.inbox.in.Reads, done)
		return nil
	})
}

// Send sends an application message to this group on another node, where Machine.Receive gets it, at the end of the
// group's turn. It may be lost. It reports false when it is sure that the message will not arrive. The payload must not
// be modified afterwards. It is for what runs in a turn.
func (g *Group) Send(to NodeID, payload []byte) bool {
	if to == g.host.cfg.Identity.Node {
		return g.inbox.payload(PeerPayload{to, payload}) == nil
	}
	return g.host.transport.SendPayload(g.id, to, payload)
}

// TransferLeader hands leadership to a member; 0 is the one that is furthest along. It returns when that node leads, or
// with the reason why it does not. When ctx ends first, the transfer may still happen.
func (g *Group) TransferLeader(ctx context.Context, to NodeID) error {
	result := make(chan error, 1)
	req := TransferRequest{To: to, Done: func(err error) { result <- err }}
	return g.request(ctx, result, func() error {
		if len(g.inbox.in.Transfers) >= maxInboxRequests {
			return ErrBusy
		}
		g.inbox.in.Transfers = append(g.inbox.in.Transfers, req)
		return nil
	})
}

// ChangeMembers makes one change of members and returns when it is complete. Only the leader does this. When ctx ends
// first, the change may still happen.
func (g *Group) ChangeMembers(ctx context.Context, kind ChangeKind, m Member) error {
	result := make(chan error, 1)
	req := ChangeRequest{Kind: kind, Member: m, Done: func(err error) { result <- err }}
	return g.request(ctx, result, func() error {
		if len(g.inbox.in.Changes) >= maxInboxRequests {
			return ErrBusy
		}
		g.inbox.in.Changes = append(g.inbox.in.Changes, req)
		return nil
	})
}

// request puts a request in and waits for its answer.
func (g *Group) request(ctx context.Context, result <-chan error, add func() error) error {
	if err := g.inbox.put(add); err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, context.Cause(ctx))
	}
}

// Status returns what the replica was at most some ticks ago.
func (g *Group) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.status
}

// Done is closed when the group has ended: it was stopped, or its replica failed; Err tells why.
func (g *Group) Done() <-chan struct{} { return g.ended }

// Err returns why the group ended: ErrStopped, or the failure of its replica; nil while it runs.
func (g *Group) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// Stop ends the group and waits until it has ended. Whatever waits is answered with ErrStopped.
func (g *Group) Stop() {
	g.once.Do(func() { close(g.stop) })
	<-g.ended
}

// run gives the replica its turns, save those that are given elsewhere, and ends the group.
func (g *Group) run() {
	for over := false; !over; {
		select {
		case <-g.baton:
		case <-g.timer.C:
			if !g.claim() {
				continue
			}
		case <-g.stop:
			if !g.claim() {
				<-g.baton
			}
		}
		over = g.drive()
	}
	g.timer.Stop()
	g.end()
}

// claim asks for a turn. Whoever is told true has to see to it that it is given, and that baton is filled unless he
// gives it himself; nobody else gives any until then. Otherwise whoever is at it gives one more.
func (g *Group) claim() bool { return g.wanted.Add(1) == 1 }

// signal asks for a turn on the group's goroutine.
func (g *Group) signal() {
	if g.claim() {
		g.baton <- struct{}{}
	}
}

// hand has a message that was put in taken up: here, if whoever read it has nothing else to read meanwhile. What comes to
// a follower is mostly its leader's next round, and nothing else: the goroutine that read it gives the turn then, for
// waking another one takes longer than much of what is done in it. A leader gathers what many bring.
func (g *Group) hand(here bool) {
	if !g.claim() {
		return
	}
	if !here || !g.follows.Load() || !g.turnHere() {
		g.baton <- struct{}{}
	}
}

// turnHere is turn where a panic would be taken for that of a message, and survived.
func (g *Group) turnHere() (done bool) {
	defer func() {
		if p := recover(); p != nil {
			failure := fmt.Sprintf("%v\n\n%s", p, debug.Stack())
			go func() { panic(failure) }()
			select {}
		}
	}()
	return g.turn()
}

// drive gives turns until no more are asked for. It reports whether the group is over.
func (g *Group) drive() (over bool) {
	for !g.over && !g.stopped() {
		// All who are about to hand something over do so first.
		runtime.Gosched()
		if g.turn() {
			return false
		}
	}
	return true
}

// turn gives the replica a turn. It reports whether that was all, and the next one can be claimed.
func (g *Group) turn() (done bool) {
	wanted := g.wanted.Load()
	if g.stopped() { // after what was asked for is known: run waits for the baton then
		return false
	}
	if err := g.failed(); err != nil {
		return g.ends(err)
	}
	// 1. What has arrived.
	g.in, g.do = g.inbox.take(g.in, g.do)
	for _, f := range g.do {
		f()
	}
	// 2. The turn.
	now := g.host.now()
	g.in.Synced = g.syncs.take()
	out, err := g.replica.Turn(now, g.in)
	if err != nil {
		return g.ends(err)
	}
	g.follows.Store(g.replica.role == Follower || g.replica.role == Learner)
	// 3. What can be seen from outside.
	if g.published < 0 || now-g.published >= statusEvery || g.outdated(g.replica) {
		g.published = now
		g.publish()
	}
	if out.Busy {
		return false
	}
	// 4. Wait for more.
	g.timer.Reset(max(0, out.Next-g.host.now()))
	return g.wanted.CompareAndSwap(wanted, 0)
}

// ends has the group's goroutine end it.
func (g *Group) ends(why error) (done bool) {
	g.over, g.why = true, why
	return false
}

// fail ends the group for a reason that is not its own.
func (g *Group) fail(reason error) {
	select {
	case g.failure <- reason:
		g.signal()
	default: // there is one already
	}
}

func (g *Group) failed() error {
	select {
	case err := <-g.failure:
		return err
	default:
		return nil
	}
}

func (g *Group) stopped() bool {
	select {
	case <-g.stop:
		return true
	default:
		return false
	}
}

// end answers all that waits and lets go of the disk.
func (g *Group) end() {
	err := g.why
	if err != nil {
		g.log.Error().Err(err).Msg("the group has stopped because of a failure")
	}
	g.inbox.close()
	g.in, g.do = g.inbox.take(g.in, g.do)
	for _, f := range g.do {
		f()
	}
	if closeErr := g.replica.Close(); err == nil {
		err = ErrStopped
		if closeErr != nil {
			err = fmt.Errorf("%w, and closing the log failed: %w", ErrStopped, closeErr)
		}
	}
	g.in.fail(err)
	g.work.Wait()
	g.publish()
	g.mu.Lock()
	g.err = err
	g.mu.Unlock()
	close(g.ended)
}

// outdated tells whether something changed that others wait to see.
func (g *Group) outdated(r *Replica) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &g.status
	return s.Role != r.role || s.Leader != r.leader || s.Leading != r.leading || s.Joint != r.members.joint()
}

func (g *Group) publish() {
	s := g.replica.Status()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status = s
}

// background runs slow work on files beside the turns, one of which comes afterwards.
func (g *Group) background(work func()) {
	g.work.Go(func() {
		work()
		g.Wake()
	})
}

// receiveSnapshot takes a snapshot from the network to the disk and has the replica look at it.
func (g *Group) receiveSnapshot(from NodeID, m *raftpb.Message, r io.Reader) error {
	select {
	case g.receiving <- struct{}{}:
		defer func() { <-g.receiving }()
	default:
		return fmt.Errorf("%w: another snapshot is being received", ErrBusy)
	}
	// Stop waits for this, so it must not begin after that.
	if err := g.inbox.put(func() error { g.work.Add(1); return nil }); err != nil {
		return err
	}
	defer g.work.Done()
	path, err := Spool(g.host.cfg.FS, g.dir, g.host.cfg.Identity.Cluster, g.id, m, r)
	if err != nil {
		return err
	}
	result := make(chan error, 1)
	s := ReceivedSnapshot{From: from, Message: m, Path: path, Done: func(err error) { result <- err }}
	err = g.inbox.put(func() error {
		g.inbox.in.Snapshots = append(g.inbox.in.Snapshots, s)
		return nil
	})
	if err != nil {
		return err
	}
	return <-result
}

// hostOutbox hands the messages of one group to the transport.
type hostOutbox struct {
	host  *Host
	group GroupID
}

func (o hostOutbox) Send(m *raftpb.Message) { o.host.transport.Send(o.group, m) }

func (o hostOutbox) Flush() { o.host.transport.Flush() }

func (o hostOutbox) SendSnapshot(m *raftpb.Message, open func() (io.ReadCloser, error)) {
	o.host.transport.SendSnapshot(o.group, m, open)
}
