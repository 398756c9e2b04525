package raftnode

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/conch-lock/conch/raftnode/disk"
)

// identityFile is the file in a data directory that says whose it is. It has two lines: the identity as JSON, which a
// person can read, and the CRC32C of that line in hexadecimal.
const identityFile = "identity"

const maxIdentityBytes = 4096

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// storedIdentity is the JSON in the file; ids are hexadecimal strings, since they do not fit into a JSON number.
type storedIdentity struct {
	Version int    `json:"version"`
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
	Name    string `json:"name"`
}

// claimDir makes the data directory this node's, or checks that it is.
func claimDir(filesystem disk.FS, dir string, self Identity) error {
	found, err := readIdentity(filesystem, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return writeIdentity(filesystem, dir, self)
	}
	if err != nil {
		return err
	}
	if found.Cluster != self.Cluster || found.Node != self.Node {
		return fmt.Errorf("%w: %s belongs to node %v (%q) of cluster %x; this is node %v (%q) of cluster %x; nothing was changed: check the directory, and the node's name and cluster",
			ErrWrongDir, dir, found.Node, found.Name, found.Cluster, self.Node, self.Name, self.Cluster)
	}
	return nil
}

func readIdentity(filesystem disk.FS, dir string) (Identity, error) {
	name := path.Join(dir, identityFile)
	f, err := filesystem.Open(name)
	if err != nil {
		return Identity{}, fmt.Errorf("raftnode: read the identity of %s: %w", dir, err)
	}
	defer f.Close()
	size, err := f.Size()
	if err == nil && size > maxIdentityBytes {
		err = fmt.Errorf("it has %d bytes; allowed are %d", size, maxIdentityBytes)
	}
	b := make([]byte, min(size, maxIdentityBytes))
	if err == nil {
		_, err = f.ReadAt(b, 0)
	}
	if err != nil {
		return Identity{}, fmt.Errorf("raftnode: read %s: %w", name, err)
	}
	line, sum, _ := strings.Cut(string(b), "\n")
	if want := checksum(line); strings.TrimSpace(sum) != want {
		return Identity{}, fmt.Errorf("raftnode: %s is damaged: its checksum is %s and not the %s it states; restore the file from a copy, or let the node join anew under another id with an empty directory",
			name, want, strings.TrimSpace(sum))
	}
	var s storedIdentity
	if err := json.Unmarshal([]byte(line), &s); err != nil || s.Version != 1 {
		return Identity{}, fmt.Errorf("raftnode: %s is of version %d, this program knows version 1 (%v)", name, s.Version, err)
	}
	cluster, err1 := strconv.ParseUint(s.Cluster, 16, 64)
	node, err2 := strconv.ParseUint(s.Node, 16, 64)
	if err := errors.Join(err1, err2); err != nil {
		return Identity{}, fmt.Errorf("raftnode: %s: %w", name, err)
	}
	return Identity{Cluster: cluster, Node: NodeID(node), Name: s.Name}, nil
}

// writeIdentity writes the file whole or not at all.
func writeIdentity(filesystem disk.FS, dir string, self Identity) error {
	line, err := json.Marshal(storedIdentity{1, strconv.FormatUint(self.Cluster, 16), self.Node.String(), self.Name})
	if err != nil {
		return fmt.Errorf("raftnode: write the identity: %w", err)
	}
	name := path.Join(dir, identityFile)
	temporary := name + ".new"
	f, err := filesystem.Create(temporary)
	if err != nil {
		return fmt.Errorf("raftnode: write the identity: %w", err)
	}
	_, err = f.WriteAt([]byte(string(line)+"\n"+checksum(string(line))+"\n"), 0)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = filesystem.Rename(temporary, name)
	}
	if err == nil {
		err = filesystem.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("raftnode: write the identity: %w", err)
	}
	return nil
}

func checksum(line string) string {
	return fmt.Sprintf("%08x", crc32.Checksum([]byte(line), castagnoli))
}
