package disk

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// maxDirect is the most that is written directly. The page cache serves what is
// larger well, and needs no second copy of it in this process.
const maxDirect = 128 << 10

// direct writes durably to a file, past the page cache. Writing to a page and
// syncing it costs a third more processor time and takes a sixth longer. Only whole
// blocks can be written directly, so that the block at the end of a log is kept, and
// written again with each addition, as its page would be.
type direct struct {
	file *os.File // the same file, opened once more; nil: not yet, or it cannot be
	off  bool     // it cannot be
	size int64    // the file has at least this
	buf  []byte   // aligned; begins with the block that end lies in
	end  int64    // of what was written here last; -1: buf does not hold its block
}

// open opens f once more.
func (d *direct) open(f *osFile) {
	d.off, d.end = true, -1
	file, err := os.OpenFile(f.Name(), os.O_WRONLY|syscall.O_DIRECT|syscall.O_DSYNC, 0)
	if err != nil {
		return
	}
	opened, err := file.Stat()
	known, errKnown := f.Stat()
	if err != nil || errKnown != nil || !os.SameFile(opened, known) { // renamed meanwhile
		_ = file.Close()
		return
	}
	raw := make([]byte, maxDirect+3*blockBytes)
	skip := -uintptr(unsafe.Pointer(&raw[0])) % blockBytes
	d.file, d.off, d.size, d.buf = file, false, opened.Size(), raw[skip:][:maxDirect+2*blockBytes]
}

// write does what [WriteSync] promises. When it reports false, that is still to be
// done, whatever of it was.
func (d *direct) write(f *osFile, p []byte, off int64) (done bool, err error) {
	if d.file == nil && !d.off {
		d.open(f)
	}
	first := off - off%blockBytes
	end := off + int64(len(p))
	last := (end + blockBytes - 1) / blockBytes * blockBytes
	if d.off || off < 0 || len(p) > maxDirect || last > d.size {
		return false, nil
	}
	head := d.buf[:off-first]
	if d.end != off {
		d.end = -1
		if _, err := f.ReadAt(head, first); err != nil {
			return false, err
		}
	}
	span := d.buf[:last-first]
	clear(span[len(head)+copy(span[len(head):], p):])
	switch _, err := d.file.WriteAt(span, first); {
	case errors.Is(err, syscall.EINVAL): // the file system opens such files and does not write to them
		d.off, d.end = true, -1
		return false, nil
	case err != nil:
		d.end = -1
		return false, err
	}
	copy(d.buf[:blockBytes], span[end-end%blockBytes-first:])
	d.end = end
	return true, nil
}

// changed says that somebody else has written to the file, or cut it to size.
func (d *direct) changed(size int64) { d.size, d.end = min(d.size, size), -1 }

func (d *direct) close() error {
	if d.file == nil {
		return nil
	}
	return d.file.Close()
}
