package snapshot

import (
	"errors"

	"github.com/conch-lock/conch/raftnode/disk"
)

// Writer writes a new snapshot.
type Writer struct{}

// Create begins a snapshot in dir, in a temporary file.
func Create(fs disk.FS, dir string, m Meta) (*Writer, error) { return nil, errors.ErrUnsupported }

// Write adds to the content.
func (w *Writer) Write(p []byte) (int, error) { return 0, errors.ErrUnsupported }

// Commit makes the snapshot durable under its name, and returns its path.
func (w *Writer) Commit() (path string, err error) { return "", errors.ErrUnsupported }

// Abort gives the snapshot up. After Commit it does nothing.
func (w *Writer) Abort() {}

// Reader reads a snapshot's content.
type Reader struct{}

// Open opens a snapshot and checks its header.
func Open(fs disk.FS, path string) (*Reader, error) { return nil, errors.ErrUnsupported }

// Meta is what the snapshot is of.
func (r *Reader) Meta() Meta { return Meta{} }

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) { return 0, errors.ErrUnsupported }

// Close closes the file.
func (r *Reader) Close() error { return errors.ErrUnsupported }

// List returns the snapshots in dir, newest first.
func List(fs disk.FS, dir string) ([]Info, error) { return nil, errors.ErrUnsupported }

// Retain removes all but the newest keep snapshots.
func Retain(fs disk.FS, dir string, keep int) error { return errors.ErrUnsupported }

// Clean removes temporary files; call it before the first Create.
func Clean(fs disk.FS, dir string) error { return errors.ErrUnsupported }
