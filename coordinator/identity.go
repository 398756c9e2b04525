package coordinator

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/raftnode/disk"
)

// groupOfDefault is the group of the default cell. Further cells get further
// numbers.
const groupOfDefault raftnode.GroupID = 1

// clusterID and nodeID follow from names, so that every node knows them of all
// others without asking.
func clusterID(cluster string) uint64 { return idOf("cluster", cluster) }

func nodeID(cluster, node string) raftnode.NodeID {
	return raftnode.NodeID(idOf("node", cluster, node))
}

// idOf hashes names to a number from 1 up to 62 bits.
func idOf(names ...string) uint64 {
	h := sha256.New()
	for _, n := range names {
		h.Write(binary.AppendUvarint(nil, uint64(len(n))))
		h.Write([]byte(n))
	}
	return binary.BigEndian.Uint64(h.Sum(nil))>>2 | 1
}

// bootFile in the data directory counts the starts of the node.
const bootFile = "boot"

// nextBoot counts a start: the number is above those of all earlier ones, and on
// disk when it is returned. Requests carry it, so that one of an earlier run is
// never taken for one of this run.
func nextBoot(filesystem disk.FS, dir string) (uint32, error) {
	boot, err := readBoot(filesystem, dir)
	if err == nil && boot == 1<<32-1 {
		err = errors.New("it was started too often")
	}
	if err == nil {
		boot++
		err = writeBoot(filesystem, dir, boot)
	}
	if err != nil {
		return 0, fmt.Errorf("count the start of the node in %s: %w", path.Join(dir, bootFile), err)
	}
	return boot, nil
}

func readBoot(filesystem disk.FS, dir string) (uint32, error) {
	f, err := filesystem.Open(path.Join(dir, bootFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	b := make([]byte, min(size, 64))
	if len(b) > 0 {
		if _, err := f.ReadAt(b, 0); err != nil {
			return 0, err
		}
	}
	var boot uint32
	if _, err := fmt.Sscanf(string(b), "%d\n", &boot); err != nil {
		return 0, fmt.Errorf("%q is not a number; write into it a number above the starts so far: %w", b, err)
	}
	return boot, nil
}

// writeBoot replaces the file whole.
func writeBoot(filesystem disk.FS, dir string, boot uint32) error {
	name := path.Join(dir, bootFile)
	f, err := filesystem.Create(name + ".new")
	if err != nil {
		return err
	}
	_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", boot), 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := filesystem.Rename(name+".new", name); err != nil {
		return err
	}
	return filesystem.SyncDir(dir)
}
