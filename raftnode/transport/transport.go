package transport

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/conch-lock/conch/raftnode"
	"github.com/rs/zerolog"
	"go.etcd.io/raft/v3/raftpb"
)

// Transport is one node's connections to the others. Its methods may be called
// from any goroutine, and only Close waits.
type Transport struct {
	cfg      Config
	self     raftnode.Identity
	receiver raftnode.Receiver
	log      zerolog.Logger
	codec    *codec
	notices  *notices
	quiet    quiet
	start    time.Time // what pings count from

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // every goroutine of the transport

	accepted, limited, refused, panics, strangerBytes atomic.Uint64

	mu        sync.Mutex
	closed    bool
	open      bool // no peers are set: every node of the cluster may send
	peers     map[raftnode.NodeID]*peer
	flushing  []*peer            // the same, made anew with every change
	conns     map[*conn]struct{} // connections taken
	strangers list.List          // those of them in the handshake, the longest first
	receiving int                // snapshots being received
}

var _ raftnode.Transport = (*Transport)(nil)

// New makes the transport of the node self, which calls r. It takes connections
// from now on, and makes them once SetPeers has said to whom. It takes over
// cfg.Listener, also when it fails.
func New(cfg Config, self raftnode.Identity, r raftnode.Receiver) (*Transport, error) {
	cfg = cfg.withDefaults()
	err := cfg.validate()
	if self.Cluster == 0 || self.Node == 0 {
		err = errors.Join(err, errors.New("transport: the identity needs a cluster and a node that are not 0"))
	}
	if r == nil {
		err = errors.Join(err, errors.New("transport: a receiver is needed"))
	}
	if err != nil {
		if cfg.Listener != nil {
			_ = cfg.Listener.Close()
		}
		return nil, err
	}
	t := &Transport{
		cfg:      cfg,
		self:     self,
		receiver: r,
		log:      cfg.Logger,
		codec:    &codec{max: cfg.MaxMessageBytes},
		notices:  newNotices(),
		start:    time.Now(),
		open:     true,
		peers:    map[raftnode.NodeID]*peer{},
		conns:    map[*conn]struct{}{},
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.wg.Go(t.accept)
	t.wg.Go(t.notify)
	return t, nil
}

// Maker returns New in the form that a host calls.
func Maker(cfg Config) raftnode.NewTransport {
	return func(self raftnode.Identity, r raftnode.Receiver) (raftnode.Transport, error) {
		t, err := New(cfg, self, r)
		if err != nil {
			return nil, err // not a nil *Transport, which would not be nil
		}
		return t, nil
	}
}

// Send queues a Raft message; see raftnode.Transport. A message that no queue
// takes is reported by Unreachable from another goroutine.
func (t *Transport) Send(group raftnode.GroupID, m *raftpb.Message) {
	to := raftnode.NodeID(m.GetTo())
	p := t.peer(to)
	if p == nil || !p.put(laneOf(m.GetType()), frame{kind: kindRaft, group: group, msg: m, cost: costOf(m)}) {
		t.notices.add(group, to)
	}
}

// Flush sends what is queued; see raftnode.Transport.
func (t *Transport) Flush() {
	t.mu.Lock()
	peers := t.flushing
	t.mu.Unlock()
	for _, p := range peers {
		p.flush()
	}
}

// SendPayload queues an application message; see raftnode.Transport. It also
// reports false when the payload is larger than Config.MaxMessageBytes allows,
// or while there is no connection and none is being tried.
func (t *Transport) SendPayload(group raftnode.GroupID, to raftnode.NodeID, payload []byte) bool {
	p := t.peer(to)
	return p != nil && p.put(LaneApp, frame{kind: kindApp, group: group, data: payload, cost: 64 + len(payload)})
}

// SendSnapshot begins to send a snapshot; see raftnode.Transport. SnapshotSent is
// called from another goroutine, with an error that errors.Is finds to be
// ErrUnknownPeer or ErrBusy where that is so. On a closed transport it does
// nothing.
func (t *Transport) SendSnapshot(group raftnode.GroupID, m *raftpb.Message, open func() (io.ReadCloser, error)) {
	t.spawn(func() { t.sendSnapshot(group, m, open) })
}

// SetPeers replaces the peers; see raftnode.Transport. This node itself may be
// among the addresses, and is passed over.
func (t *Transport) SetPeers(addresses map[raftnode.NodeID]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.open = true
	for id := range addresses {
		if id != t.self.Node {
			t.open = false
		}
	}
	for id, p := range t.peers {
		if _, stays := addresses[id]; !stays && (!t.open || p.address() != "") {
			delete(t.peers, id)
			t.relist()
			p.remove()
		}
	}
	for id, address := range addresses {
		if id == t.self.Node {
			continue
		}
		if p := t.peers[id]; p != nil {
			p.setAddress(address)
		} else {
			t.addPeer(id, address)
		}
	}
}

// addPeer expects t.mu to be held.
func (t *Transport) addPeer(id raftnode.NodeID, address string) *peer {
	p := newPeer(t, id, address)
	t.peers[id] = p
	t.relist()
	t.wg.Go(p.run)
	return p
}

// relist expects t.mu to be held.
func (t *Transport) relist() {
	t.flushing = slices.SortedFunc(maps.Values(t.peers), func(a, b *peer) int { return cmp.Compare(a.id, b.id) })
}

// peer returns nil when there is none of that id.
func (t *Transport) peer(id raftnode.NodeID) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peers[id]
}

// admit returns the peer that a connection taken is from. While no peers are
// set every node may come; it becomes a peer without an address.
func (t *Transport) admit(id raftnode.NodeID) (*peer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	if p := t.peers[id]; p != nil {
		return p, nil
	}
	if !t.open || len(t.peers) >= t.cfg.MaxConnections {
		return nil, refuse(RefusedUnknown, "node %v is not a member known to node %v", id, t.self.Node)
	}
	return t.addPeer(id, ""), nil
}

// spawn runs f in a goroutine that Close waits for, unless closed.
func (t *Transport) spawn(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.wg.Go(f)
	return true
}

// Close ends all connections and waits for every goroutine of the transport,
// calls of the receiver included. It may be called more than once.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	for c := range t.conns {
		_ = c.Close()
	}
	t.mu.Unlock()
	err := t.cfg.Listener.Close()
	t.cancel()
	t.wg.Wait()
	if err != nil && !isClosed(err) {
		return err
	}
	return nil
}

// Stats returns a picture of now.
func (t *Transport) Stats() Stats {
	t.mu.Lock()
	peers := make([]*peer, 0, len(t.peers))
	for _, p := range t.peers {
		peers = append(peers, p)
	}
	s := Stats{Connections: len(t.conns)}
	t.mu.Unlock()
	s.Accepted = t.accepted.Load()
	s.Limited = t.limited.Load()
	s.Refused = t.refused.Load()
	s.Panics = t.panics.Load()
	s.ReceivedLost = t.strangerBytes.Load()
	for _, p := range peers {
		s.Peers = append(s.Peers, p.snapshot())
	}
	slices.SortFunc(s.Peers, func(a, b PeerStats) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

// guard runs a call of the receiver. A panic becomes an error.
func (t *Transport) guard(from raftnode.NodeID, call func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			t.panics.Add(1)
			t.log.Error().Stringer("peer", from).Interface("panic", r).Str("stack", stack()).Msg("the receiver of a message panicked: its connection is closed")
			err = refuse(RefusedFailed, "node %v failed on a message", t.self.Node)
		}
	}()
	call()
	return nil
}
