package disk

import (
	"errors"
	"io"
)

// ErrLocked is returned by [FS.Lock] when somebody else has the lock.
var ErrLocked = errors.New("locked by another process")

// File is an open file. It is not safe for use by several goroutines at once,
// save that reads may run together.
type File interface {
	// WriteAt writes p at byte off, extending the file with zeros up to off
	// when it is shorter. n < len(p) only with an error; the first n bytes are
	// then written, and not durable.
	WriteAt(p []byte, off int64) (n int, err error)

	// ReadAt reads like [io.ReaderAt]: io.EOF with fewer bytes than asked for.
	ReadAt(p []byte, off int64) (n int, err error)

	// Sync makes the bytes and the size of the file durable (fdatasync: not
	// its times). An error is final, see the package comment.
	Sync() error

	// Truncate cuts the file to size bytes or extends it with zeros.
	Truncate(size int64) error

	// Size is the length in bytes.
	Size() (int64, error)

	// Close gives the file back. It does not sync.
	Close() error
}

// FS is a file system. Names are paths as the operating system has them.
// Errors wrap those of io/fs ([io/fs.ErrNotExist] and so on) and the system's
// error numbers (syscall.ENOSPC, syscall.EIO).
type FS interface {
	// Create makes an empty file, or empties the one that is there, and opens
	// it for reading and writing. The name is durable after SyncDir.
	Create(name string) (File, error)

	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)

	// Rename replaces the file to, if any, by from, at once. Both have to lie
	// in one directory; durable after SyncDir.
	Rename(from, to string) error

	// Remove removes a file; durable after SyncDir. Handles stay usable.
	Remove(name string) error

	// List returns the base names of the files in dir, sorted, without
	// directories.
	List(dir string) ([]string, error)

	// MkdirAll makes dir and its missing parents, durable on return.
	MkdirAll(dir string) error

	// SyncDir makes the names in dir durable: what was created, renamed and
	// removed in it.
	SyncDir(dir string) error

	// Lock takes an exclusive lock on a file, made when missing, without
	// waiting: an error that wraps ErrLocked, and says which process has it
	// when that is known, when it is taken. It ends with Close, and with the
	// process. The file stays: removing it would let two processes lock two
	// files of one name.
	Lock(name string) (io.Closer, error)
}
