package raftnode

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"sync"

	"github.com/conch-lock/conch/raftnode/disk"
)

// A node that lost its data directory has lost what it promised: which entries it has, and for whom it voted. Were it to
// take part with an empty one, it could help to elect a leader that lacks what was acknowledged. So every directory has
// a number, drawn when it was new, that its node tells when it connects, and every node keeps on disk with which number
// it knows each of the others. One that comes with another number is refused, and stops.
//
// A node notes another one before it takes the first message from it. Not noticed is therefore only the loss of a
// directory at a node that had never reached any of those it reaches now.

// peersFile is the file in a data directory with the directories of the other nodes. Without it the node takes the others
// as they come, once.
const peersFile = "peers"

const maxPeersBytes = 64 << 10

// storedPeers is what is in the file: node to directory, both hexadecimal.
type storedPeers struct {
	Version     int               `json:"version"`
	Directories map[string]string `json:"directories"`
}

// admission knows the data directories of the other nodes.
type admission struct {
	fs  disk.FS
	dir string

	mu    sync.Mutex
	known map[NodeID]uint64
}

// openAdmission reads what the data directory knows.
func openAdmission(filesystem disk.FS, dir string) (*admission, error) {
	a := &admission{fs: filesystem, dir: dir, known: map[NodeID]uint64{}}
	var s storedPeers
	name := dir + "/" + peersFile
	err := readChecked(filesystem, name, maxPeersBytes, &s)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	if s.Version != 1 {
		return nil, fmt.Errorf("raftnode: %s is of version %d, this program knows version 1", name, s.Version)
	}
	for node, directory := range s.Directories {
		id, err1 := strconv.ParseUint(node, 16, 64)
		number, err2 := strconv.ParseUint(directory, 16, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("raftnode: %s: %w", name, err)
		}
		a.known[NodeID(id)] = number
	}
	return a, nil
}

// admit notes a node that is new, durably, and returns ErrOtherDirectory for one that is known with another directory.
// Any other error is one of the disk.
func (a *admission) admit(node NodeID, directory uint64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, ok := a.known[node]
	if ok && known == directory {
		return nil
	}
	if ok {
		return ErrOtherDirectory
	}
	s := storedPeers{Version: 1, Directories: map[string]string{node.String(): strconv.FormatUint(directory, 16)}}
	for id, number := range a.known {
		s.Directories[id.String()] = strconv.FormatUint(number, 16)
	}
	if err := writeChecked(a.fs, a.dir, peersFile, s); err != nil {
		return err
	}
	a.known[node] = directory
	return nil
}

// Admit implements Receiver.
func (h *Host) Admit(from NodeID, directory uint64) error {
	err := h.admission.admit(from, directory)
	if err != nil && !errors.Is(err, ErrOtherDirectory) {
		h.fail(err)
	}
	return err
}

// Expelled implements Receiver.
func (h *Host) Expelled(by NodeID, reason error) {
	h.fail(fmt.Errorf("%w, and what it promised is lost with that one: node %v knows this node, %v (%q), but not %s. "+
		"Give it that directory back, or remove it from the cluster and let a node with a new name join with an empty one. "+
		"If those are nodes of another cluster, check the addresses; if the cluster has not served yet, empty the directories of all its nodes (%w)",
		ErrOtherDirectory, by, h.cfg.Identity.Node, h.cfg.Identity.Name, h.cfg.Dir, reason))
}

// fail ends all groups, those to come too, for a reason that concerns the node as a whole.
func (h *Host) fail(reason error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed == nil {
		h.failed = reason
	}
	for _, g := range h.running() {
		g.fail(reason)
	}
}
