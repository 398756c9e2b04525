package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sort"
	"sync"
)

// ErrCrashed is returned by handles and locks of a [Mem] from before a crash.
var ErrCrashed = errors.New("the machine crashed under this handle")

// Mem is a file system in memory that knows what is durable. It is
// deterministic: the same calls have the same effects, and all chance is in the
// [Survival] handed to [Mem.Crash]. Create one with [NewMem].
//
// A write costs a copy of its own bytes and of those it replaces; a sync costs
// nothing. It is safe for use by several goroutines.
type Mem struct {
	mu     sync.Mutex
	gen    uint64 // rises with every crash; handles of an older one are dead
	ops    uint64 // operations so far
	nodes  uint64 // files made so far: their identities
	dirs   map[string]*memDir
	locks  map[string]*memLock
	hook   func(Op) error
	faults []*Fault
	room   int64 // bytes that files may still grow by; negative: any number
	last   *memNode
}

var _ FS = (*Mem)(nil)

// memDir is a directory: its names as they are, and how to take back what
// happened to them since they were last synced.
type memDir struct {
	files   map[string]*memNode
	pending []dirChange
}

// dirChange is one unsynced change of names. A creation has only to, a removal
// only from, a rename both.
type dirChange struct {
	from, to string
	node     *memNode // the file created, removed or renamed
	replaced *memNode // what to named before
}

// NewMem returns an empty file system of unlimited size.
func NewMem() *Mem {
	return &Mem{
		dirs:  map[string]*memDir{"/": newMemDir(), ".": newMemDir()},
		locks: map[string]*memLock{},
		room:  -1,
	}
}

func newMemDir() *memDir {
	return &memDir{files: map[string]*memNode{}}
}

// SetHook installs a function that is called before every operation, nil for
// none. An error from it fails the operation, which then has not happened; of
// a Sync this counts as a failed sync, after which the bytes are lost. The
// hook may call any method of the Mem, Crash too: then the operation fails
// with ErrCrashed.
func (m *Mem) SetHook(hook func(Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = hook
}

// Ops is the number of operations so far.
func (m *Mem) Ops() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// begin counts an operation of a handle of generation gen, asks the hook and
// the faults, and returns with mu held. The fault is nil when the operation is
// to go on; its Err is what fails it.
func (m *Mem) begin(gen uint64, op Op) (fault *Fault, err error) {
	m.mu.Lock()
	m.ops++
	op.Seq = m.ops
	if hook := m.hook; hook != nil {
		m.mu.Unlock()
		err = hook(op)
		m.mu.Lock()
	}
	if gen != m.gen {
		return nil, ErrCrashed
	}
	if err != nil {
		return &Fault{Kind: op.Kind, Err: err}, nil
	}
	return m.fault(op), nil
}

// name begins an operation on names and finds the directory.
func (m *Mem) name(op Op) (*memDir, string, error) {
	m.mu.Lock()
	gen := m.gen
	m.mu.Unlock()
	fault, err := m.begin(gen, op)
	if err == nil && fault != nil {
		err = fault.Err
	}
	if err != nil {
		return nil, "", pathError(op.Kind, op.Name, err)
	}
	path := filepath.Clean(op.Name)
	dir := m.dirs[filepath.Dir(path)]
	if dir == nil {
		return nil, "", pathError(op.Kind, op.Name, fs.ErrNotExist)
	}
	return dir, filepath.Base(path), nil
}

func pathError(kind OpKind, name string, err error) error {
	return &fs.PathError{Op: kind.String(), Path: name, Err: err}
}

// Create implements [FS].
func (m *Mem) Create(name string) (File, error) {
	dir, base, err := m.name(Op{Kind: OpCreate, Name: name})
	defer m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	node := dir.files[base]
	if node != nil {
		m.grow(-node.truncate(0))
	} else {
		node = m.add(dir, base)
	}
	return &memFile{m: m, node: node, name: name, gen: m.gen}, nil
}

// add makes an empty file and notes its unsynced name.
func (m *Mem) add(dir *memDir, base string) *memNode {
	m.nodes++
	node := &memNode{id: m.nodes}
	dir.files[base] = node
	dir.pending = append(dir.pending, dirChange{to: base, node: node})
	return node
}

// Open implements [FS].
func (m *Mem) Open(name string) (File, error) {
	dir, base, err := m.name(Op{Kind: OpOpen, Name: name})
	defer m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	node := dir.files[base]
	if node == nil {
		return nil, pathError(OpOpen, name, fs.ErrNotExist)
	}
	return &memFile{m: m, node: node, name: name, gen: m.gen}, nil
}

// Rename implements [FS].
func (m *Mem) Rename(from, to string) error {
	if err := sameDir(filepath.Clean(from), filepath.Clean(to)); err != nil {
		return err
	}
	dir, base, err := m.name(Op{Kind: OpRename, Name: from, To: to})
	defer m.mu.Unlock()
	if err != nil {
		return err
	}
	c := dirChange{from: base, to: filepath.Base(filepath.Clean(to)), node: dir.files[base]}
	if c.node == nil {
		return pathError(OpRename, from, fs.ErrNotExist)
	}
	if c.from == c.to {
		return nil
	}
	if c.replaced = dir.files[c.to]; c.replaced != nil {
		m.grow(-int64(len(c.replaced.data)))
	}
	dir.pending = append(dir.pending, c)
	dir.redo(c)
	return nil
}

// Remove implements [FS].
func (m *Mem) Remove(name string) error {
	dir, base, err := m.name(Op{Kind: OpRemove, Name: name})
	defer m.mu.Unlock()
	if err != nil {
		return err
	}
	c := dirChange{from: base, node: dir.files[base]}
	if c.node == nil {
		return pathError(OpRemove, name, fs.ErrNotExist)
	}
	m.grow(-int64(len(c.node.data)))
	dir.pending = append(dir.pending, c)
	dir.redo(c)
	return nil
}

// List implements [FS].
func (m *Mem) List(dir string) ([]string, error) {
	_, _, err := m.name(Op{Kind: OpList, Name: dir})
	defer m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	d := m.dirs[filepath.Clean(dir)]
	if d == nil {
		return nil, pathError(OpList, dir, fs.ErrNotExist)
	}
	names := make([]string, 0, len(d.files))
	for name := range d.files {
		names = append(names, name)
	}
	sort.Strings(names)
	return names, nil
}

// MkdirAll implements [FS].
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	gen := m.gen
	m.mu.Unlock()
	fault, err := m.begin(gen, Op{Kind: OpMkdir, Name: dir})
	defer m.mu.Unlock()
	if err == nil && fault != nil {
		err = fault.Err
	}
	if err != nil {
		return pathError(OpMkdir, dir, err)
	}
	for path := filepath.Clean(dir); m.dirs[path] == nil; path = filepath.Dir(path) {
		if parent := m.dirs[filepath.Dir(path)]; parent != nil && parent.files[filepath.Base(path)] != nil {
			return pathError(OpMkdir, path, errors.New("exists and is not a directory"))
		}
		m.dirs[path] = newMemDir()
	}
	return nil
}

// SyncDir implements [FS].
func (m *Mem) SyncDir(dir string) error {
	_, _, err := m.name(Op{Kind: OpSyncDir, Name: dir})
	defer m.mu.Unlock()
	if err != nil {
		return err
	}
	d := m.dirs[filepath.Clean(dir)]
	if d == nil {
		return pathError(OpSyncDir, dir, fs.ErrNotExist)
	}
	clear(d.pending)
	d.pending = d.pending[:0]
	return nil
}

// Lock implements [FS]. A crash ends all locks.
func (m *Mem) Lock(name string) (io.Closer, error) {
	dir, base, err := m.name(Op{Kind: OpLock, Name: name})
	defer m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	path := filepath.Clean(name)
	if m.locks[path] != nil {
		return nil, fmt.Errorf("lock %s: %w", name, ErrLocked)
	}
	if dir.files[base] == nil {
		m.add(dir, base)
	}
	lock := &memLock{m: m, path: path}
	m.locks[path] = lock
	return lock, nil
}

// memLock is a held lock.
type memLock struct {
	m    *Mem
	path string
}

// Close ends the lock; one that a crash ended is closed already.
func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.m.locks[l.path] != l {
		return fmt.Errorf("unlock %s: %w", l.path, fs.ErrClosed)
	}
	delete(l.m.locks, l.path)
	return nil
}

// redo makes a change of names.
func (d *memDir) redo(c dirChange) {
	if c.from != "" {
		delete(d.files, c.from)
	}
	if c.to != "" {
		d.files[c.to] = c.node
	}
}

// undo takes a change back; those after it have been.
func (d *memDir) undo(c dirChange) {
	if c.to != "" {
		if c.replaced != nil {
			d.files[c.to] = c.replaced
		} else {
			delete(d.files, c.to)
		}
	}
	if c.from != "" {
		d.files[c.from] = c.node
	}
}
