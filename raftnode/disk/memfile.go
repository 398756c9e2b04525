package disk

import (
	"fmt"
	"io"
	"io/fs"
	"syscall"
)

// memFile is a handle of a file in a [Mem].
type memFile struct {
	m      *Mem
	node   *memNode
	name   string
	gen    uint64
	closed bool
}

// begin starts an operation on the file; mu is held on return.
func (f *memFile) begin(op Op) (*Fault, error) {
	op.Name = f.name
	fault, err := f.m.begin(f.gen, op)
	if err == nil && f.closed {
		err = fs.ErrClosed
	}
	if err == nil && op.Offset < 0 {
		err = fmt.Errorf("offset %d: %w", op.Offset, fs.ErrInvalid)
	}
	if err != nil {
		return nil, pathError(op.Kind, f.name, err)
	}
	return fault, nil
}

// WriteAt implements [File].
func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	fault, err := f.begin(Op{Kind: OpWrite, Offset: off, Length: len(p)})
	defer f.m.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if fault != nil {
		p, err = p[:min(len(p), fault.Short)], fault.Err
	}
	if grown := off + int64(len(p)) - int64(len(f.node.data)); f.m.room >= 0 && grown > f.m.room {
		// What fits is written, as a real disk does.
		p = p[:max(0, int64(len(p))-(grown-f.m.room))]
		err = syscall.ENOSPC
	}
	if len(p) > 0 {
		f.m.grow(f.node.write(p, off))
		f.m.last = f.node
	}
	if err != nil {
		return len(p), pathError(OpWrite, f.name, err)
	}
	return len(p), nil
}

// ReadAt implements [File].
func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	fault, err := f.begin(Op{Kind: OpRead, Offset: off, Length: len(p)})
	defer f.m.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if fault != nil {
		return 0, pathError(OpRead, f.name, fault.Err)
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Sync implements [File].
func (f *memFile) Sync() error {
	fault, err := f.begin(Op{Kind: OpSync})
	defer f.m.mu.Unlock()
	if err != nil {
		return err
	}
	if fault != nil {
		f.node.lose()
		return pathError(OpSync, f.name, fault.Err)
	}
	f.node.sync()
	return nil
}

// writeSync implements [syncWriter], and refuses what a disk would not do.
func (f *memFile) writeSync(p []byte, off int64) error {
	if err := f.end(off + int64(len(p))); err != nil {
		return pathError(OpWrite, f.name, err)
	}
	if _, err := f.WriteAt(p, off); err != nil {
		return err
	}
	return f.Sync()
}

// end checks that a WriteSync up to byte end may be: a disk would make nothing
// else durable with it, and may write zeros over what follows in its block.
func (f *memFile) end(end int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed || f.gen != f.m.gen {
		return nil // WriteAt says so
	}
	if n := len(f.node.pending); n > 0 {
		return fmt.Errorf("%d changes of the file are not synced: %w", n, fs.ErrInvalid)
	}
	for i := end; i%blockBytes != 0 && i < int64(len(f.node.data)); i++ {
		if f.node.data[i] != 0 {
			return fmt.Errorf("byte %d, behind the end, is not zero: %w", i, fs.ErrInvalid)
		}
	}
	return nil
}

// Truncate implements [File].
func (f *memFile) Truncate(size int64) error {
	fault, err := f.begin(Op{Kind: OpTruncate, Offset: size})
	defer f.m.mu.Unlock()
	if err != nil {
		return err
	}
	if fault != nil {
		return pathError(OpTruncate, f.name, fault.Err)
	}
	if grown := size - int64(len(f.node.data)); f.m.room >= 0 && grown > f.m.room {
		return pathError(OpTruncate, f.name, syscall.ENOSPC)
	}
	f.m.grow(f.node.truncate(size))
	return nil
}

// Size implements [File].
func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	switch {
	case f.gen != f.m.gen:
		return 0, pathError(OpRead, f.name, ErrCrashed)
	case f.closed:
		return 0, pathError(OpRead, f.name, fs.ErrClosed)
	}
	return int64(len(f.node.data)), nil
}

// Close implements [File].
func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return fmt.Errorf("close %s: %w", f.name, fs.ErrClosed)
	}
	f.closed = true
	return nil
}
