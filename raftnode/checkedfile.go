package raftnode

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"path"
	"strings"

	"github.com/conch-lock/conch/raftnode/disk"
)

// A checked file has two lines: a value as JSON, which a person can read, and the CRC32C of that line in hexadecimal.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// readChecked reads the file into v. It may have max bytes.
func readChecked(filesystem disk.FS, name string, max int64, v any) error {
	f, err := filesystem.Open(name)
	if err != nil {
		return fmt.Errorf("raftnode: read %s: %w", name, err)
	}
	defer f.Close()
	size, err := f.Size()
	if err == nil && size > max {
		err = fmt.Errorf("it has %d bytes; allowed are %d", size, max)
	}
	b := make([]byte, min(size, max))
	if err == nil && len(b) > 0 {
		_, err = f.ReadAt(b, 0)
	}
	if err != nil {
		return fmt.Errorf("raftnode: read %s: %w", name, err)
	}
	line, sum, _ := strings.Cut(string(b), "\n")
	if want := checksum(line); strings.TrimSpace(sum) != want {
		return fmt.Errorf("raftnode: %s is damaged: its checksum is %s and not the %.16q it states; restore the file from a copy, or remove the node from the cluster and let it join again with an empty directory under a new name",
			name, want, strings.TrimSpace(sum))
	}
	if err := json.Unmarshal([]byte(line), v); err != nil {
		return fmt.Errorf("raftnode: %s: %w", name, err)
	}
	return nil
}

// writeChecked writes the file whole or not at all, and durably.
func writeChecked(filesystem disk.FS, dir, file string, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("raftnode: write %s: %w", file, err)
	}
	name := path.Join(dir, file)
	temporary := name + ".new"
	f, err := filesystem.Create(temporary)
	if err != nil {
		return fmt.Errorf("raftnode: write %s: %w", name, err)
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
		return fmt.Errorf("raftnode: write %s: %w", name, err)
	}
	return nil
}

func checksum(line string) string {
	return fmt.Sprintf("%08x", crc32.Checksum([]byte(line), castagnoli))
}
