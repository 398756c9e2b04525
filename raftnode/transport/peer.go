package transport

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/conch-lock/conch/raftnode"
	"github.com/rs/zerolog"
)

// peer is another node: what is sent to it, and the connection it is sent on.
type peer struct {
	t     *Transport
	id    raftnode.NodeID
	log   zerolog.Logger
	queue *queue
	kick  chan struct{} // has a token when dialing now is worth it
	counters

	ctx    context.Context // ends when the peer is removed or the transport closed
	cancel context.CancelFunc

	mu        sync.Mutex
	addr      string // empty: not known, nothing is dialed
	holding   bool   // messages are queued: there is a connection or one is being tried
	connected bool
	out       *conn              // the connection to the peer, also while shaking hands
	open      *outgoing          // the same once messages go over it; nil: none do
	in        *conn              // the connection from the peer that messages come on
	taken     map[*conn]struct{} // connections from the peer, those of snapshots too
	lastError string
	sending   map[raftnode.GroupID]struct{} // snapshots
	receiving map[raftnode.GroupID]struct{}
}

func newPeer(t *Transport, id raftnode.NodeID, address string) *peer {
	p := &peer{
		t:         t,
		id:        id,
		log:       t.log.With().Stringer("peer", id).Logger(),
		queue:     newQueue(t.cfg.Urgent, t.cfg.App, t.cfg.Bulk),
		kick:      make(chan struct{}, 1),
		addr:      address,
		holding:   address != "",
		taken:     map[*conn]struct{}{},
		sending:   map[raftnode.GroupID]struct{}{},
		receiving: map[raftnode.GroupID]struct{}{},
	}
	p.ctx, p.cancel = context.WithCancel(t.ctx)
	return p
}

// put queues a frame, or counts it as dropped and reports false.
func (p *peer) put(l Lane, f frame) bool {
	if least := f.atLeast(); least > p.t.cfg.MaxMessageBytes {
		p.tooLarge(&f, least)
		return false
	}
	// Under the lock, so that nothing is queued behind a clear.
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.holding {
		p.droppedLost.Add(1)
		return false
	}
	if !p.queue.put(l, f) {
		p.droppedFull.Add(1)
		return false
	}
	return true
}

// directBytes is how much is written at most by whoever calls flush.
const directBytes = 64 << 10

// flush writes what is queued, here and now when that needs no waiting: waking a goroutine for it takes longer than
// writing. Otherwise the writer does it.
func (p *peer) flush() {
	messages, bytes := p.queue.size()
	if messages == 0 {
		return
	}
	p.mu.Lock()
	o := p.open
	p.mu.Unlock()
	if o == nil || bytes > directBytes || !o.writeNow(p) {
		p.queue.wake()
	}
}

func (p *peer) tooLarge(f *frame, size int) {
	p.droppedTooLarge.Add(1)
	p.log.Error().Stringer("group", f.group).Int("bytes", size).Int("allowed", p.t.cfg.MaxMessageBytes).
		Msg("message dropped: too large")
}

// remove ends the connections to and from the peer.
func (p *peer) remove() {
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.taken {
		_ = c.Close()
	}
}

// run keeps a connection to the peer for as long as it is one.
func (p *peer) run() {
	pause := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(p.t.cfg.RetryMin),
		backoff.WithMaxInterval(p.t.cfg.RetryMax),
		backoff.WithMultiplier(2),
		backoff.WithMaxElapsedTime(0))
	var unexplained bool // a connection was lost in silence: being refused now explains it
	for p.ctx.Err() == nil {
		address := p.address()
		if address == "" {
			p.wait(0)
			continue
		}
		p.hold(true)
		ready, err := p.session(address)
		p.hold(false)
		switch {
		case p.ctx.Err() != nil:
		case ready:
			pause.Reset()
			unexplained = p.lost(err)
		default:
			p.dialFailures.Add(1)
			p.failed(err)
			p.expelled(err)
			if unexplained && errors.Is(err, syscall.ECONNREFUSED) {
				unexplained = false
				p.reportLost()
			}
		}
		if p.ctx.Err() == nil {
			p.wait(pause.NextBackOff())
		}
	}
	p.hold(false)
}

// wait returns after d, when dialing is worth it again, or when the peer is no
// more. A d of 0 stands for ever.
func (p *peer) wait(d time.Duration) {
	var expired <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-p.ctx.Done():
	case <-p.kick:
	case <-expired:
	}
}

// lost tells that a connection which was ready has ended. It reports whether
// that was in silence.
func (p *peer) lost(err error) (silent bool) {
	if closedByPeer(err) {
		p.broken.Add(1)
		p.reportLost()
		p.log.Warn().Err(err).Msg("connection to peer broken")
		p.setError(err)
		return false
	}
	p.setError(err)
	if errors.Is(err, errMoved) {
		p.log.Info().Err(err).Msg("connection to peer ended")
		return false
	}
	p.silent.Add(1)
	p.log.Warn().Err(err).Msg("connection to peer ended")
	return refusal(p.id, err) == nil
}

// failed logs an attempt that failed, unless the one before failed alike.
func (p *peer) failed(err error) {
	if p.setError(err) {
		p.log.Warn().Err(err).Str("address", p.address()).Msg("cannot connect to peer")
	}
}

// expelled tells the receiver when the peer will not have this node any more.
func (p *peer) expelled(err error) {
	var r *RefusedError
	if errors.As(err, &r) && r.Refusal == RefusedDirectory && p.ctx.Err() == nil {
		_ = p.t.guard(p.id, func() { p.t.receiver.Expelled(p.id, r) })
	}
}

// reportLost tells the receiver that the peer's process has probably ended.
func (p *peer) reportLost() {
	if p.ctx.Err() == nil {
		_ = p.t.guard(p.id, func() { p.t.receiver.PeerLost(p.id) })
	}
}

// hold says whether messages are queued from here on. What is queued when they
// no longer are is dropped: what is sent on one connection has no old messages
// before it.
func (p *peer) hold(on bool) {
	p.mu.Lock()
	p.holding = on
	p.mu.Unlock()
	if !on {
		n := p.queue.clear(func(g raftnode.GroupID) { p.t.notices.add(g, p.id) })
		p.droppedLost.Add(uint64(n))
	}
}

var errMoved = errors.New("the peer has a new address")

func (p *peer) setAddress(address string) {
	p.mu.Lock()
	changed := p.addr != address
	p.addr = address
	out := p.out
	p.mu.Unlock()
	if !changed {
		return
	}
	if out != nil {
		out.fail(errMoved)
		_ = out.Close()
	}
	p.dialNow()
}

// dialNow ends the pause before the next attempt to connect.
func (p *peer) dialNow() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

func (p *peer) address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// setError reports whether the error reads differently from the last one.
func (p *peer) setError(err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := p.lastError != err.Error()
	p.lastError = err.Error()
	return changed
}

func (p *peer) snapshot() PeerStats {
	messages, bytes := p.queue.size()
	p.mu.Lock()
	defer p.mu.Unlock()
	return PeerStats{
		ID:                p.id,
		Address:           p.addr,
		Connected:         p.connected,
		Receiving:         p.in != nil,
		RoundTrip:         time.Duration(p.roundTrip.Load()),
		QueuedMessages:    messages,
		QueuedBytes:       bytes,
		SentMessages:      p.sentMessages.Load(),
		ReceivedMessages:  p.receivedMessages.Load(),
		SentBytes:         p.sentBytes.Load(),
		ReceivedBytes:     p.receivedBytes.Load(),
		Flushes:           p.flushes.Load(),
		Connects:          p.connects.Load(),
		DialFailures:      p.dialFailures.Load(),
		Broken:            p.broken.Load(),
		Silent:            p.silent.Load(),
		DroppedFull:       p.droppedFull.Load(),
		DroppedLost:       p.droppedLost.Load(),
		DroppedTooLarge:   p.droppedTooLarge.Load(),
		SnapshotsSent:     p.snapshotsSent.Load(),
		SnapshotsReceived: p.snapshotsReceived.Load(),
		SnapshotsFailed:   p.snapshotsFailed.Load(),
		LastError:         p.lastError,
	}
}
