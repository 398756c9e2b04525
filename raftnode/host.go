package raftnode

import (
	"cmp"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/conch-lock/conch/raftnode/disk"
)

// lockFile in the data directory is locked while a process uses it.
const lockFile = "lock"

// cellsDir in the data directory has a directory for each cell.
const cellsDir = "cells"

// Host is one process's part in a cluster: a data directory, the connections to the other nodes, and its groups.
type Host struct {
	cfg       HostConfig
	lock      io.Closer
	transport Transport
	admission *admission
	dir       *dataDir // begin is called under mu
	now       func() time.Duration

	mu     sync.Mutex
	closed bool
	failed error // why no group can run here, from the first failure of the node as a whole
	rand   *rand.Rand
	groups map[GroupID]*Group
	// members are the members of each group as last told; the transport gets all of them.
	members map[GroupID][]Member
}

var _ Receiver = (*Host)(nil)

// NewHost takes the data directory, which no other process may use and which must be new or this node's, and starts the
// transport. Groups are started one by one afterwards.
func NewHost(cfg HostConfig) (*Host, error) {
	id := cfg.Identity
	if id.Cluster == 0 || id.Node == 0 || id.Node >= maxNodeID || len(id.Name) > maxName {
		return nil, fmt.Errorf("raftnode: cluster %x, node %v, name %q: neither may be 0, node ids end at %v, names have at most %d bytes",
			id.Cluster, id.Node, id.Name, maxNodeID-1, maxName)
	}
	cfg.FS = cmp.Or[disk.FS](cfg.FS, disk.OS{})
	h := &Host{cfg: cfg, now: cfg.Now, groups: map[GroupID]*Group{}, members: map[GroupID][]Member{}}
	if h.now == nil {
		begin := time.Now()
		h.now = func() time.Duration { return time.Since(begin) }
	}
	seed := cfg.Seed
	if seed == 0 {
		var b [8]byte
		if _, err := crand.Read(b[:]); err != nil {
			return nil, fmt.Errorf("raftnode: get a random seed: %w", err)
		}
		seed = binary.LittleEndian.Uint64(b[:])
	}
	h.rand = rand.New(rand.NewPCG(seed, uint64(id.Node)))
	if err := h.claim(); err != nil {
		return nil, err
	}
	var err error
	if h.transport, err = cfg.Transport(h.cfg.Identity, h); err != nil {
		_ = h.lock.Close()
		return nil, fmt.Errorf("raftnode: start the transport: %w", err)
	}
	h.setPeers()
	return h, nil
}

// claim locks the data directory and checks whose it is.
func (h *Host) claim() error {
	if err := h.cfg.FS.MkdirAll(h.cfg.Dir); err != nil {
		return fmt.Errorf("raftnode: make the data directory %s: %w", h.cfg.Dir, err)
	}
	lock, err := h.cfg.FS.Lock(path.Join(h.cfg.Dir, lockFile))
	if err != nil {
		return fmt.Errorf("raftnode: the data directory %s cannot be used: %w", h.cfg.Dir, err)
	}
	h.dir, err = claimDir(h.cfg.FS, h.cfg.Dir, h.cfg.Identity)
	if err == nil {
		h.cfg.Identity = h.dir.self
		h.admission, err = openAdmission(h.cfg.FS, h.cfg.Dir)
	}
	if err != nil {
		_ = lock.Close()
		return err
	}
	h.lock = lock
	return nil
}

// StartGroup brings a group up from its directory and starts it.
func (h *Host) StartGroup(cfg GroupConfig) (*Group, error) {
	if err := validateCell(cfg.Cell); err != nil {
		return nil, err
	}
	g := &Group{
		id: cfg.ID, cell: cfg.Cell, host: h, machine: cfg.Machine,
		dir:       path.Join(h.cfg.Dir, cellsDir, cfg.Cell),
		log:       h.cfg.Logger.With().Str("cell", cfg.Cell).Logger(),
		published: -1,
		baton:     make(chan struct{}, 1),
		timer:     time.NewTimer(time.Hour), // the first turn sets it
		stop:      make(chan struct{}),
		failure:   make(chan error, 1),
		ended:     make(chan struct{}),
		receiving: make(chan struct{}, 1),
	}
	g.inbox.signal = g.signal
	g.signal()
	rng, begun, err := h.reserve(g)
	if err != nil {
		return nil, err
	}
	g.replica, err = NewReplica(ReplicaConfig{
		Cluster: h.cfg.Identity.Cluster, Group: cfg.ID, Node: h.cfg.Identity.Node,
		FS: disk.Timed{FS: h.cfg.FS, Synced: g.syncs.synced}, Dir: g.dir, Initial: cfg.Initial, Begun: begun, Machine: cfg.Machine,
		Outbox:         hostOutbox{h, cfg.ID},
		MembersChanged: func(m []Member) { h.membersChanged(cfg.ID, m) },
		Tuning:         cfg.Tuning, Rand: rng, Background: g.background, Yield: yield, Logger: g.log,
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil && h.closed {
		err = errors.Join(ErrStopped, g.replica.Close())
	}
	if err == nil && h.failed != nil {
		err = errors.Join(h.failed, g.replica.Close())
	}
	if err == nil && g.replica.begun() {
		if err = h.dir.begin(g.cell); err != nil { // before the replica promises anything
			err = errors.Join(err, g.replica.Close())
		}
	}
	if err != nil {
		delete(h.groups, g.id)
		return nil, err
	}
	h.groups[g.id] = g
	g.publish()
	go g.run() // Stop waits for it
	return g, nil
}

// reserve takes the group's number and name, so that nobody else can start it meanwhile, and tells whether it
// has had data here.
func (h *Host) reserve(g *Group) (r *rand.Rand, begun bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, false, ErrStopped
	}
	if _, taken := h.groups[g.id]; taken {
		return nil, false, fmt.Errorf("raftnode: group %v runs already", g.id)
	}
	for _, other := range h.groups {
		if other != nil && other.cell == g.cell {
			return nil, false, fmt.Errorf("raftnode: the cell %q is served by group %v already", g.cell, other.id)
		}
	}
	h.groups[g.id] = nil
	return rand.New(rand.NewPCG(h.rand.Uint64(), h.rand.Uint64())), h.dir.begun(g.cell), nil
}

// validateCell keeps cell names usable as directory names everywhere.
func validateCell(name string) error {
	ok := len(name) >= 1 && len(name) <= 63
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return fmt.Errorf("raftnode: cell name %q: allowed are 1 to 63 lower-case letters, digits and hyphens", name)
	}
	return nil
}

// Group returns a running group, or nil.
func (h *Host) Group(id GroupID) *Group {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.groups[id]
}

// Close stops all groups, the transport, and lets go of the data directory.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	groups := h.running()
	h.mu.Unlock()
	for _, g := range groups {
		g.Stop()
	}
	return errors.Join(h.transport.Close(), h.lock.Close())
}

// running lists the groups; the caller holds mu.
func (h *Host) running() []*Group {
	var list []*Group
	for _, g := range h.groups {
		if g != nil {
			list = append(list, g)
		}
	}
	slices.SortFunc(list, func(a, b *Group) int { return cmp.Compare(a.id, b.id) })
	return list
}

// membersChanged takes notice of a group's members.
func (h *Host) membersChanged(id GroupID, members []Member) {
	h.mu.Lock()
	h.members[id] = members
	h.mu.Unlock()
	h.setPeers()
}

// setPeers tells the transport whom to reach.
func (h *Host) setPeers() {
	h.mu.Lock()
	defer h.mu.Unlock()
	addresses := map[NodeID]string{}
	for _, members := range h.members {
		for _, m := range members {
			addresses[m.ID] = m.Address
		}
	}
	for _, c := range h.cfg.Contacts {
		if c.Address != "" {
			addresses[c.ID] = c.Address
		}
	}
	delete(addresses, h.cfg.Identity.Node)
	h.transport.SetPeers(addresses)
}
