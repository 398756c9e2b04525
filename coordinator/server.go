package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/cell"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/raftnode/disk"
	"github.com/conch-lock/conch/raftnode/transport"
	"github.com/conch-lock/conch/sessions"
)

// Server is a running node. Its methods may be called from any goroutine.
type Server struct {
	cfg       Config
	logs      *logWriter
	log       zerolog.Logger
	metrics   *serverMetrics
	host      *raftnode.Host
	transport *transport.Transport
	group     *raftnode.Group
	loop      *loop
	turn      turn // of the loop, for those who ask whether it has any
	listener  *listener
	http      *http.Server
	peer      string // where the peer port listens

	ctx     context.Context // ends when the node begins to end
	cancel  context.CancelFunc
	wg      sync.WaitGroup // goroutines of the server's own
	streams sync.WaitGroup
	ready   chan struct{}
	done    chan struct{}
	ending  atomic.Bool // somebody ends the node

	mu  sync.Mutex
	err error
}

// Start brings a node up: it opens the data directory, connects to the others,
// and listens for clients. It returns once the node listens; [Server.Ready] tells
// when it serves. An error names what could not be used; nothing is left running
// then, and listeners given are closed.
func Start(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	s := &Server{cfg: cfg, ready: make(chan struct{}), done: make(chan struct{})}
	if err := s.start(); err != nil {
		s.abandon()
		return nil, fmt.Errorf("start node %q: %w", cfg.Name, err)
	}
	return s, nil
}

// start takes what a node needs, one after the other. What it took before an
// error is given back by abandon.
func (s *Server) start() error {
	if err := s.cfg.validate(); err != nil {
		return err
	}
	// 1. The ports.
	if err := s.listen(); err != nil {
		return err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.logs = newLogWriter(s.cfg.Log)
	s.log = zerolog.New(s.logs).Level(s.cfg.LogLevel).With().Timestamp().Str("node", s.cfg.Name).Logger()
	s.metrics = newServerMetrics()
	// 2. The data directory and the other nodes.
	if err := s.startHost(); err != nil {
		return err
	}
	// 3. The cell.
	if err := s.startCell(); err != nil {
		return err
	}
	// 4. The clients.
	handler, err := newRPCHandler(service{loop: s.loop}, s.log, s.metrics.requests)
	if err != nil {
		return err
	}
	s.spareFiles(openFiles())
	s.listener = newListener(s.cfg.ClientListener, s.cfg, s.log, handler.serveRPC)
	s.metrics.registry.MustRegister(newCollector(s))
	s.http = s.newHTTP(handler)
	s.wg.Go(func() { _ = s.http.Serve(s.listener) }) // ends with the listener
	s.wg.Go(s.tick)
	s.wg.Go(s.awaitReady)
	go s.guard() // it ends with the group, which end waits for
	s.log.Info().Str("client", s.cfg.AdvertiseClient).Str("peer", s.peer).Str("data_dir", s.cfg.DataDir).
		Str("version", s.cfg.Version).Msg("the node has started")
	return nil
}

// listen takes the two ports.
func (s *Server) listen() error {
	take := func(l net.Listener, name, address string) (net.Listener, error) {
		if l != nil {
			return l, nil
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("the %s port cannot listen on %s: %w", name, address, err)
		}
		return l, nil
	}
	var err error
	if s.cfg.ClientListener, err = take(s.cfg.ClientListener, "client", s.cfg.ListenClient); err != nil {
		return err
	}
	if s.cfg.PeerListener, err = take(s.cfg.PeerListener, "peer", s.cfg.ListenPeer); err != nil {
		return err
	}
	s.peer = s.cfg.PeerListener.Addr().String()
	if s.cfg.AdvertiseClient == "" {
		s.cfg.AdvertiseClient = s.cfg.ClientListener.Addr().String()
		if err := checkAddress(s.cfg.AdvertiseClient, false); err != nil {
			return fmt.Errorf("configuration: AdvertiseClient is not set, and the client port listens on every address (%s): say at which one clients reach the node",
				s.cfg.AdvertiseClient)
		}
	}
	if s.cfg.ClientTLS != nil {
		s.cfg.ClientTLS = s.cfg.ClientTLS.Clone()
		s.cfg.ClientTLS.NextProtos = []string{"http/1.1"}
	}
	return nil
}

// filesOfNode is how many of the files that the process may open are not for
// clients: connections of other nodes, the log and snapshots. A log that cannot
// open its next file ends the node.
const filesOfNode = 384

// spareFiles lowers the bound of connections to what the process may open.
func (s *Server) spareFiles(limit uint64) {
	most := int64(max(limit/4, limit-min(limit, filesOfNode)))
	if limit == 0 || limit > 1<<40 || int64(s.cfg.MaxConnections) <= most {
		return
	}
	s.log.Warn().Uint64("files_allowed", limit).Int("wanted", s.cfg.MaxConnections).Int64("connections_allowed", most).
		Msg("the process may not open enough files for as many clients as are allowed: raise its limit (ulimit -n)")
	s.cfg.MaxConnections = int(most)
}

func (s *Server) startHost() error {
	self := raftnode.Identity{Cluster: clusterID(s.cfg.Cluster), Node: nodeID(s.cfg.Cluster, s.cfg.Name), Name: s.cfg.Name}
	var contacts []raftnode.Member
	for _, m := range s.members() {
		if m.ID != self.Node {
			contacts = append(contacts, m)
		}
	}
	s.cfg.FS = disk.Timed{FS: s.cfg.FS, Synced: func(_ string, took time.Duration) { s.metrics.fsync.Observe(took.Seconds()) }}
	var err error
	s.host, err = raftnode.NewHost(raftnode.HostConfig{
		Identity: self, Dir: s.cfg.DataDir, FS: s.cfg.FS, Contacts: contacts, Logger: s.log,
		Transport: func(self raftnode.Identity, r raftnode.Receiver) (raftnode.Transport, error) {
			t, err := transport.New(transport.Config{
				Listener: s.cfg.PeerListener, ServerTLS: s.cfg.PeerServerTLS, ClientTLS: s.cfg.PeerClientTLS, Dial: s.cfg.DialPeer,
				Logger: s.log,
			}, self, r)
			if err != nil {
				return nil, err
			}
			s.transport = t
			return t, nil
		},
	})
	return err
}

// members is the initial cluster as the consensus knows it.
func (s *Server) members() []raftnode.Member {
	var list []raftnode.Member
	for _, m := range s.cfg.InitialCluster {
		list = append(list, raftnode.Member{ID: nodeID(s.cfg.Cluster, m.Name), Name: m.Name, Address: m.Peer})
	}
	return list
}

func (s *Server) startCell() error {
	boot, err := nextBoot(s.cfg.FS, s.cfg.DataDir)
	if err != nil {
		return err
	}
	l := &loop{
		name: DefaultCell, node: s.cfg.Name, self: nodeID(s.cfg.Cluster, s.cfg.Name), version: s.cfg.Version,
		cfg: s.cfg, log: s.log, server: s, begin: time.Now(), load: &load{metrics: s.metrics.requests},
		streams: map[*stream]struct{}{}, attached: map[sessions.ID]*stream{},
		waits:   waits{claims: map[sessions.ID]map[sessions.Sequence][]*claimWait{}, beats: map[sessions.ID][]*beatWait{}},
		watches: newWatches(),
		nodes:   nodes{news: map[raftnode.NodeID]news{}},
		hashes:  hashes{others: map[uint64]map[raftnode.NodeID]machine.Hashed{}},
	}
	l.wall = &wallClock{read: time.Now, run: func() time.Duration { return time.Since(l.begin) }, log: s.log}
	l.cell = cell.New(cell.Config{
		Self: l.self, Boot: boot, Limits: s.cfg.Limits, Patience: s.cfg.Patience,
		Wall:   l.wall.millis,
		Send:   func(to raftnode.NodeID, payload []byte) bool { return l.group != nil && l.group.Send(to, payload) },
		Output: l.output, Leadership: l.leadership, Restored: l.restored,
	})
	s.loop = l
	initial := s.members()
	if s.cfg.Join {
		initial = nil
	}
	s.group, err = s.host.StartGroup(raftnode.GroupConfig{
		ID: groupOfDefault, Cell: DefaultCell, Initial: initial, Machine: &member{l.cell, l}, Tuning: s.cfg.Tuning,
	})
	if err != nil {
		return err
	}
	// The loop gets to know its group on its own goroutine.
	known := make(chan struct{})
	err = s.group.Do(func() {
		defer close(known)
		l.group = s.group
		l.leadership(l.cell.Leader())
	})
	if err != nil {
		return errors.Join(s.group.Err(), err)
	}
	<-known
	return nil
}

// abandon gives back what a start that failed took.
func (s *Server) abandon() {
	if s.cancel != nil {
		s.cancel()
	}
	if s.listener != nil {
		s.listener.end()
	}
	if s.cfg.ClientListener != nil {
		_ = s.cfg.ClientListener.Close()
	}
	if s.host != nil {
		_ = s.host.Close()
	}
	if s.loop != nil {
		s.loop.cell.Machine().Close()
	}
	if s.cfg.PeerListener != nil {
		_ = s.cfg.PeerListener.Close()
	}
	if s.logs != nil {
		s.logs.close()
	}
}

// tick has the loop look after what time brings.
func (s *Server) tick() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	swept := make(chan struct{}, 1)
	swept <- struct{}{}
	for {
		select {
		case <-ticker.C:
		case <-s.ctx.Done():
			return
		}
		select {
		case <-swept:
			switch err := s.group.Do(func() { s.loop.sweep(); swept <- struct{}{} }); {
			case errors.Is(err, raftnode.ErrBusy):
				swept <- struct{}{}
			case err != nil:
				return
			}
		default: // the last one has not had its turn
		}
	}
}

// awaitReady closes ready once a linearizable read has succeeded.
func (s *Server) awaitReady() {
	for s.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
		err := s.CheckReady(ctx)
		cancel()
		if err == nil {
			s.log.Info().Msg("the node is ready")
			close(s.ready)
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-s.ctx.Done():
		}
	}
}

// background runs f on a goroutine that the end of the server waits for.
func (s *Server) background(f func(ctx context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() == nil {
		s.wg.Go(func() { f(s.ctx) })
	}
}

// Name is the node's name.
func (s *Server) Name() string { return s.cfg.Name }

// ClientAddress is where clients reach the node.
func (s *Server) ClientAddress() string { return s.cfg.AdvertiseClient }

// PeerAddress is where the node listens for the other nodes.
func (s *Server) PeerAddress() string { return s.peer }

// Leader is the name of the node that leads as far as this one knows; empty for
// none.
func (s *Server) Leader() string {
	st := s.group.Status()
	for _, m := range st.Members {
		if m.ID == st.Leader {
			return m.Name
		}
	}
	return ""
}

// Ready is closed once the node has seen a leader and caught up with it, so that
// a lock can be taken. It stays closed.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// CheckReady says why the node does not serve now; nil when it sees a leader and
// has caught up with it.
func (s *Server) CheckReady(ctx context.Context) error {
	if s.loop.stopping.Load() {
		return errors.New("the node is stopping")
	}
	answer := make(chan error, 1)
	if err := s.group.ReadIndex(func(err error) { answer <- err }); err != nil {
		return err
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no leader has confirmed a read in time: %w", context.Cause(ctx))
	}
}

// Done is closed when the node has ended, by itself or by Stop or Close, and
// nothing of it runs any more.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err says, once Done is closed, why the node ended by itself: a failed log, a
// full disk, damaged data. It is nil after Stop and Close, and before.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// guard ends the server when its group fails.
func (s *Server) guard() {
	<-s.group.Done()
	if err := s.group.Err(); !errors.Is(err, raftnode.ErrStopped) {
		s.shutdown(context.Background(), false, err)
	}
}

var errStoppingNode = &api.Error{
	Code: api.Code_UNAVAILABLE, Definite: true, Message: "the node is stopping: connect to another one",
}
