package raftnode

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"go.etcd.io/raft/v3/raftpb"
)

// Group runs one replica: a goroutine that gives it its turns. All methods may be called from any goroutine, none of them
// waits for the disk or the network unless it takes a context.
type Group struct {
	id   GroupID
	cell string
	host *Host
	dir  string
	log  zerolog.Logger

	// Owned by the goroutine.
	replica *Replica
	machine Machine

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
func (g *Group) Wake() { g.inbox.signal() }

// Do runs f on the group's goroutine, before its next turn. ErrBusy: too much waits already; ErrStopped: the group has
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

// ReadIndex has done called with nil on the group's goroutine when everything that was committed before this call, by
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
// be modified afterwards. It is for the group's goroutine.
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

// run gives the replica its turns.
func (g *Group) run() {
	var in Inputs
	var do []func()
	var out Outputs
	var err error
	timer := time.NewTimer(0)
	defer timer.Stop()
	lastStatus := time.Duration(-1)
	for !g.stopped() {
		if err = g.failed(); err != nil {
			break
		}
		// 1. What has arrived, once all who are about to hand something over have done so.
		runtime.Gosched()
		in, do = g.inbox.take(in, do)
		for _, f := range do {
			f()
		}
		// 2. The turn.
		now := g.host.now()
		in.Synced = g.syncs.take()
		if out, err = g.replica.Turn(now, in); err != nil {
			break
		}
		// 3. What can be seen from outside.
		if s := g.replica; lastStatus < 0 || now-lastStatus >= statusEvery || g.outdated(s) {
			lastStatus = now
			g.publish()
		}
		if out.Busy {
			continue
		}
		// 4. Wait for more.
		timer.Reset(max(0, out.Next-g.host.now()))
		select {
		case <-g.inbox.wake:
		case <-timer.C:
		case <-g.stop:
		}
	}
	g.end(in, do, err)
}

// fail ends the group for a reason that is not its own.
func (g *Group) fail(reason error) {
	select {
	case g.failure <- reason:
		g.inbox.signal()
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
func (g *Group) end(in Inputs, do []func(), err error) {
	if err != nil {
		g.log.Error().Err(err).Msg("the group has stopped because of a failure")
	}
	g.inbox.close()
	in, do = g.inbox.take(in, do)
	for _, f := range do {
		f()
	}
	if closeErr := g.replica.Close(); err == nil {
		err = ErrStopped
		if closeErr != nil {
			err = fmt.Errorf("%w, and closing the log failed: %w", ErrStopped, closeErr)
		}
	}
	in.fail(err)
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

// background runs slow work on files away from the group's goroutine, which gets a turn afterwards.
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
