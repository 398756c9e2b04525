package disk

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Fault is a failure to come: the Nth operation from now of a kind fails.
type Fault struct {
	Kind   OpKind // which operations it counts
	Name   string // only those whose file name contains this; empty: all
	Nth    int    // which of them fails; 0 and 1: the next
	Err    error  // nil: EIO
	Short  int    // of a write: how many bytes are written before it fails
	Always bool   // all after the Nth fail too
}

// Inject adds a fault. Each happens once unless it is an Always.
func (m *Mem) Inject(f Fault) {
	if f.Err == nil {
		f.Err = syscall.EIO
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, &f)
}

// ClearFaults takes all faults back.
func (m *Mem) ClearFaults() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = nil
}

// fault returns the one that hits op, if any.
func (m *Mem) fault(op Op) *Fault {
	for i, f := range m.faults {
		if f.Kind != op.Kind || !strings.Contains(op.Name, f.Name) {
			continue
		}
		if f.Nth--; f.Nth > 0 {
			continue
		}
		if !f.Always {
			m.faults = slices.Delete(m.faults, i, i+1)
		}
		return f
	}
	return nil
}

// SetRoom lets the files grow by n bytes in all before writes fail with
// ENOSPC, keeping what fits; shrinking and removing files gives room back.
// A negative n is no limit.
func (m *Mem) SetRoom(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.room = n
}

// grow takes room for n more bytes, or gives it back.
func (m *Mem) grow(n int64) {
	if m.room >= 0 {
		m.room = max(0, m.room-n)
	}
}

// size is the length of all files.
func (m *Mem) size() int64 {
	var n int64
	for _, dir := range m.dirs {
		for _, node := range dir.files {
			n += int64(len(node.data))
		}
	}
	return n
}

// ReadFile returns a copy of the content of a file.
func (m *Mem) ReadFile(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.find(name)
	if node == nil {
		return nil, pathError(OpRead, name, fs.ErrNotExist)
	}
	return slices.Clone(node.data), nil
}

// WriteFile makes data the durable content of a file, whose name is durable
// too. It is no operation: neither hook nor fault sees it.
func (m *Mem) WriteFile(name string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir := m.dirs[filepath.Dir(filepath.Clean(name))]
	if dir == nil {
		return pathError(OpWrite, name, fs.ErrNotExist)
	}
	m.nodes++
	dir.files[filepath.Base(filepath.Clean(name))] = &memNode{id: m.nodes, data: slices.Clone(data)}
	clear(dir.pending)
	dir.pending = dir.pending[:0]
	return nil
}

// FlipBit turns over one bit (0 to 7) of the byte at off, on the disk.
func (m *Mem) FlipBit(name string, off int64, bit uint) error {
	return m.damage(name, off, 1, func(p []byte) { p[0] ^= 1 << (bit % 8) })
}

// ZeroSector makes all bytes of a sector zero, on the disk.
func (m *Mem) ZeroSector(name string, sector int64) error {
	return m.damage(name, sector*SectorBytes, SectorBytes, func(p []byte) { clear(p) })
}

// damage changes up to n bytes from off. It undoes nothing on a crash, so it
// is meant for files without unsynced changes there.
func (m *Mem) damage(name string, off, n int64, change func(p []byte)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.find(name)
	if node == nil {
		return pathError(OpWrite, name, fs.ErrNotExist)
	}
	size := int64(len(node.data))
	if off < 0 || off >= size {
		return pathError(OpWrite, name, fmt.Errorf("byte %d of %d: %w", off, size, fs.ErrInvalid))
	}
	change(node.data[off:min(off+n, size)])
	return nil
}

func (m *Mem) find(name string) *memNode {
	path := filepath.Clean(name)
	dir := m.dirs[filepath.Dir(path)]
	if dir == nil {
		return nil
	}
	return dir.files[filepath.Base(path)]
}
