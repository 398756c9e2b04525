package snapshot

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"path/filepath"
	"strings"

	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/raftnode/disk"
)

// ErrFinished is returned by a Writer after Commit or Abort.
var ErrFinished = errors.New("snapshot: the writer is finished")

// Writer writes a new snapshot. It is not safe for use by several goroutines.
type Writer struct {
	fs    disk.FS
	dir   string
	temp  string // path while it is written
	final string // and when it is whole
	file  disk.File
	pos   int64
	block []byte // header and bytes of the block that is being filled
	count uint64 // blocks written
	total uint64 // bytes of content
	sum   hash.Hash
	err   error // the first; nothing is written after it
}

// Create begins a snapshot in dir, in a temporary file that nobody takes for a
// snapshot. Dir has to exist. Two writers of the same index and term at a time
// are not allowed in one directory: they would write one file. Either Commit or
// Abort has to be called.
func Create(fs disk.FS, dir string, m Meta) (*Writer, error) {
	return create(fs, dir, m, tempSuffix, suffix)
}

// Receive begins a snapshot that comes from another node, as Create does. It may
// be of the same index and term as one that this node writes at that time, so it
// has other names: what Commit returns is no snapshot yet, but what Adopt takes.
func Receive(fs disk.FS, dir string, m Meta) (*Writer, error) {
	return create(fs, dir, m, receivingSuffix, receivedSuffix)
}

// Adopt makes what was received a snapshot, durably, and returns its path. It
// takes the place of one of the same index and term.
func Adopt(fs disk.FS, path string) (string, error) {
	base, ok := strings.CutSuffix(path, receivedSuffix)
	if !ok {
		return "", fmt.Errorf("snapshot: %s was not received; nothing was done", path)
	}
	err := fs.Rename(path, base+suffix)
	if err == nil {
		err = fs.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return "", fmt.Errorf("snapshot: adopt %s: %w", path, err)
	}
	return base + suffix, nil
}

func create(fs disk.FS, dir string, m Meta, temp, final string) (*Writer, error) {
	if len(m.Conf) > MaxConfBytes {
		return nil, fmt.Errorf("snapshot: conf of %d bytes, at most %d are allowed; nothing was written", len(m.Conf), MaxConfBytes)
	}
	base := filepath.Join(dir, baseName(m.Index, m.Term))
	w := &Writer{
		fs: fs, dir: dir, temp: base + temp, final: base + final,
		block: make([]byte, blockHeader, 4<<10),
		sum:   sha256.New(),
	}
	file, err := fs.Create(w.temp)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	w.file = file
	header := encodeHeader(m)
	w.sum.Write(header)
	if w.put(header); w.err != nil {
		w.Abort()
		return nil, w.err
	}
	return w, nil
}

// Write adds p to the content. How the content is cut into writes does not
// show in the file. An error is final: all that is left is Abort.
func (w *Writer) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) && w.err == nil {
		room := blockHeader + BlockBytes - len(w.block)
		piece := p[n:min(len(p), n+room)]
		w.block = append(w.block, piece...)
		n += len(piece)
		if len(w.block) == blockHeader+BlockBytes {
			w.flush()
		}
	}
	return n, w.err
}

// flush writes the block that is being filled.
func (w *Writer) flush() {
	p := w.block[blockHeader:]
	if len(p) == 0 {
		return
	}
	le.PutUint32(w.block, uint32(len(p)))
	le.PutUint32(w.block[4:], blockCheck(w.count, p))
	w.sum.Write(p)
	w.put(w.block)
	w.count++
	w.total += uint64(len(p))
	w.block = w.block[:blockHeader]
}

// put writes p at the end of the file, unless an error came before.
func (w *Writer) put(p []byte) {
	if w.err != nil {
		return
	}
	if _, err := w.file.WriteAt(p, w.pos); err != nil {
		w.err = fmt.Errorf("snapshot: write %s: %w", w.temp, err)
	}
	w.pos += int64(len(p))
}

// Sync makes durable what has been written so far, so that Commit need not have
// the disk do all of it at once, with the syncs of other files behind it. An
// error is final, as one of Write.
func (w *Writer) Sync() error {
	if w.file == nil {
		return ErrFinished
	}
	if w.err == nil {
		if err := w.file.Sync(); err != nil {
			w.err = fmt.Errorf("snapshot: %w", err)
		}
	}
	return w.err
}

// Commit makes the snapshot durable and gives it its name, replacing one of the
// same index and term. It returns the path. After an error there may or may not
// be a snapshot of that name, but never half of one; the temporary file is
// removed as far as that is possible.
func (w *Writer) Commit() (path string, err error) {
	if w.file == nil {
		return "", ErrFinished
	}
	w.flush()
	trailer := make([]byte, trailerBytes)
	le.PutUint64(trailer[8:], w.total)
	w.sum.Sum(trailer[:16])
	le.PutUint32(trailer[4:], trailerCheck(trailer))
	w.put(trailer)
	if w.err == nil && !planted.On(planted.SnapshotNotSynced) {
		if err := w.file.Sync(); err != nil {
			w.err = fmt.Errorf("snapshot: %w", err)
		}
	}
	if w.err != nil {
		err := w.err
		w.Abort()
		return "", err
	}
	err = w.file.Close()
	w.file, w.err = nil, ErrFinished
	if err == nil {
		err = w.fs.Rename(w.temp, w.final)
	}
	if err == nil && !planted.On(planted.SnapshotNameNotSynced) {
		err = w.fs.SyncDir(w.dir)
	}
	if err != nil {
		return "", fmt.Errorf("snapshot: commit %s: %w", w.final, err)
	}
	return w.final, nil
}

// Abort gives the snapshot up and removes the temporary file. After Commit or
// Abort it does nothing.
func (w *Writer) Abort() {
	if w.file == nil {
		return
	}
	w.file.Close()
	w.file = nil
	if w.err == nil {
		w.err = ErrFinished
	}
	// What cannot be removed now goes with Clean.
	w.fs.Remove(w.temp)
}
