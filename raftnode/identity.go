package raftnode

import (
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"

	"github.com/conch-lock/conch/raftnode/disk"
)

// identityFile is the file in a data directory that says whose it is.
const identityFile = "identity"

const maxIdentityBytes = 4096

// storedIdentity is what is in the file; ids are hexadecimal strings, since they do not fit into a JSON number.
type storedIdentity struct {
	Version   int    `json:"version"`
	Cluster   string `json:"cluster"`
	Node      string `json:"node"`
	Name      string `json:"name"`
	Directory string `json:"directory"`
	// Begun are the cells whose log has a beginning here: one that is not there any more was lost.
	Begun []string `json:"begun,omitempty"`
}

// dataDir is a data directory that is this node's.
type dataDir struct {
	fs     disk.FS
	path   string
	self   Identity // with the number of the directory
	stored storedIdentity
}

// claimDir makes the data directory this node's, or checks that it is.
func claimDir(filesystem disk.FS, dir string, self Identity) (*dataDir, error) {
	d := &dataDir{fs: filesystem, path: dir, self: self}
	found, err := d.read()
	if errors.Is(err, fs.ErrNotExist) {
		return d, d.create()
	}
	if err != nil {
		return nil, err
	}
	if found.Cluster != self.Cluster || found.Node != self.Node {
		return nil, fmt.Errorf("%w: %s belongs to node %v (%q) of cluster %x; this is node %v (%q) of cluster %x; nothing was changed: check the directory, and the node's name and cluster",
			ErrWrongDir, dir, found.Node, found.Name, found.Cluster, self.Node, self.Name, self.Cluster)
	}
	d.self.Directory = found.Directory
	return d, nil
}

// create makes a new directory this node's and draws its number.
func (d *dataDir) create() error {
	_, err := d.fs.List(path.Join(d.path, cellsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("raftnode: look into %s: %w", d.path, err)
	}
	if err == nil {
		return fmt.Errorf("raftnode: %s has data in it, but not the file %q that says whose; nothing was changed: restore the file, or name another directory",
			d.path, identityFile)
	}
	var b [8]byte
	if _, err := crand.Read(b[:]); err != nil {
		return fmt.Errorf("raftnode: draw the number of a data directory: %w", err)
	}
	d.self.Directory = binary.LittleEndian.Uint64(b[:]) | 1
	d.stored = storedIdentity{
		Version: 1, Cluster: strconv.FormatUint(d.self.Cluster, 16), Node: d.self.Node.String(), Name: d.self.Name,
		Directory: strconv.FormatUint(d.self.Directory, 16),
	}
	return d.write()
}

func (d *dataDir) read() (Identity, error) {
	name := path.Join(d.path, identityFile)
	s := &d.stored
	if err := readChecked(d.fs, name, maxIdentityBytes, s); err != nil {
		return Identity{}, err
	}
	if s.Version != 1 {
		return Identity{}, fmt.Errorf("raftnode: %s is of version %d, this program knows version 1", name, s.Version)
	}
	cluster, err1 := strconv.ParseUint(s.Cluster, 16, 64)
	node, err2 := strconv.ParseUint(s.Node, 16, 64)
	directory, err3 := strconv.ParseUint(s.Directory, 16, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Identity{}, fmt.Errorf("raftnode: %s: %w", name, err)
	}
	return Identity{Cluster: cluster, Node: NodeID(node), Name: s.Name, Directory: directory}, nil
}

func (d *dataDir) write() error { return writeChecked(d.fs, d.path, identityFile, d.stored) }

// begun tells whether the cell has had data here.
func (d *dataDir) begun(cell string) bool { return slices.Contains(d.stored.Begun, cell) }

// begin notes, durably, that the cell has data here.
func (d *dataDir) begin(cell string) error {
	if d.begun(cell) {
		return nil
	}
	d.stored.Begun = append(d.stored.Begun, cell)
	return d.write()
}
