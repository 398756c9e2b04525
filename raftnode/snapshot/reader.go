package snapshot

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/raftnode/disk"
)

// Reader reads the content of a snapshot and checks it on the way. It is not
// safe for use by several goroutines.
type Reader struct {
	path  string
	file  disk.File
	meta  Meta
	size  int64 // of the file
	pos   int64 // of the next block
	buf   []byte
	block []byte // checked bytes not yet handed out
	count uint64
	total uint64
	sum   hash.Hash
	err   error // what the next Read returns once block is empty
}

// Open opens a snapshot and checks its header. The error is a *CorruptError
// when the file is not a whole header, and that of the disk otherwise.
func Open(fs disk.FS, path string) (*Reader, error) {
	file, err := fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	r := &Reader{path: path, file: file, sum: sha256.New()}
	if err := r.readHeader(); err != nil {
		file.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) readHeader() error {
	size, err := r.file.Size()
	if err != nil {
		return fmt.Errorf("snapshot: size of %s: %w", r.path, err)
	}
	r.size = size
	fixed := make([]byte, headerBytes)
	if err := r.read(fixed, 0); err != nil {
		return err
	}
	if !bytes.HasPrefix(fixed, []byte(magic)) {
		return r.corrupt(0, "it does not begin like a snapshot")
	}
	n := int64(le.Uint32(fixed[12:]))
	if n > MaxConfBytes {
		return r.corrupt(12, fmt.Sprintf("its conf would have %d bytes", n))
	}
	header := make([]byte, headerBytes+n+checkBytes)
	if err := r.read(header, 0); err != nil {
		return err
	}
	body := header[:headerBytes+n]
	if crc32.Checksum(body, castagnoli) != le.Uint32(header[len(body):]) {
		return r.corrupt(0, "the header does not check")
	}
	if v := le.Uint32(header[8:]); v != formatVersion {
		return fmt.Errorf("snapshot: %s has format version %d, this program reads %d", r.path, v, formatVersion)
	}
	r.meta = Meta{
		Index: le.Uint64(header[16:]), Term: le.Uint64(header[24:]),
		Cluster: le.Uint64(header[32:]), Group: le.Uint64(header[40:]),
	}
	if n > 0 {
		r.meta.Conf = body[headerBytes:]
	}
	r.sum.Write(header)
	r.pos = int64(len(header))
	return nil
}

// Meta is what the snapshot is of.
func (r *Reader) Meta() Meta { return r.meta }

// Size is the length of the file in bytes.
func (r *Reader) Size() int64 { return r.size }

// Read hands out the content. Each block has been checked before; io.EOF comes
// only when the whole was complete and had its hash. Errors are a *CorruptError
// or those of the disk, and stay.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.block) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.err = r.nextBlock()
	}
	n := copy(p, r.block)
	r.block = r.block[n:]
	return n, nil
}

// nextBlock reads and checks a block, or the trailer: then it returns io.EOF.
func (r *Reader) nextBlock() error {
	var header [blockHeader]byte
	if err := r.read(header[:], r.pos); err != nil {
		return err
	}
	n := int(le.Uint32(header[:]))
	if n == 0 {
		return r.readTrailer()
	}
	if n > BlockBytes {
		return r.corrupt(r.pos, fmt.Sprintf("a block would have %d bytes", n))
	}
	if r.total%BlockBytes != 0 {
		return r.corrupt(r.pos, "a block follows one that is not full")
	}
	if n > len(r.buf) {
		r.buf = make([]byte, n) // the first block is the largest
	}
	block := r.buf[:n]
	if err := r.read(block, r.pos+blockHeader); err != nil {
		return err
	}
	if blockCheck(r.count, block) != le.Uint32(header[4:]) && !planted.On(planted.SnapshotBlockUnchecked) {
		return r.corrupt(r.pos, fmt.Sprintf("block %d does not check", r.count))
	}
	r.sum.Write(block)
	r.pos += int64(blockHeader + n)
	r.count++
	r.total += uint64(n)
	r.block = block
	return nil
}

func (r *Reader) readTrailer() error {
	trailer := make([]byte, trailerBytes)
	if err := r.read(trailer, r.pos); err != nil {
		return err
	}
	switch {
	case trailerCheck(trailer) != le.Uint32(trailer[4:]):
		return r.corrupt(r.pos, "the trailer does not check")
	case le.Uint64(trailer[8:]) != r.total:
		return r.corrupt(r.pos, fmt.Sprintf("the content has %d bytes, it was written with %d", r.total, le.Uint64(trailer[8:])))
	case !bytes.Equal(r.sum.Sum(nil), trailer[16:]):
		return r.corrupt(r.pos, "the hash of the whole is another one")
	case r.pos+trailerBytes != r.size:
		return r.corrupt(r.pos+trailerBytes, "there are bytes after the end")
	}
	return io.EOF
}

// read fills p from byte off of the file.
func (r *Reader) read(p []byte, off int64) error {
	n, err := r.file.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return r.corrupt(off+int64(n), "the file ends here, too early")
	}
	return fmt.Errorf("snapshot: read %s at byte %d: %w", r.path, off, err)
}

func (r *Reader) corrupt(at int64, reason string) error {
	return &CorruptError{File: r.path, Offset: at, Reason: reason}
}

// Close closes the file.
func (r *Reader) Close() error {
	if r.err == nil {
		r.err = ErrFinished
	}
	r.block = nil
	return r.file.Close()
}

// Verify reads a snapshot to its end and returns what it is of, or what is
// wrong with it.
func Verify(fs disk.FS, path string) (Meta, error) {
	r, err := Open(fs, path)
	if err != nil {
		return Meta{}, err
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		return Meta{}, err
	}
	return r.Meta(), nil
}
