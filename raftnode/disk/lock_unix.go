//go:build unix

package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Lock implements [FS] with flock(2). The file holds the number of the process
// that has the lock, for the message only.
func (OS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w%s", name, ErrLocked, holder(f))
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	if err := stillNamed(f, name); err != nil {
		f.Close()
		return nil, err
	}
	// The number helps whoever is refused; the lock holds without it, also
	// when the disk is full.
	if err := f.Truncate(0); err == nil {
		f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EINTR {
			return err
		}
	}
}

// stillNamed refuses a lock on a file that was removed or replaced between
// opening and locking it: somebody else may hold the one that has the name now.
func stillNamed(f *os.File, name string) error {
	mine, err := f.Stat()
	if err != nil {
		return fmt.Errorf("lock %s: %w", name, err)
	}
	named, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("lock %s: removed while it was being locked: %w", name, err)
	}
	if !os.SameFile(mine, named) {
		return fmt.Errorf("lock %s: %w: the file was replaced while it was being locked", name, ErrLocked)
	}
	return nil
}

// holder names the process in the lock file, or nothing when it cannot be read.
func holder(f *os.File) string {
	buf := make([]byte, 20)
	n, _ := f.ReadAt(buf, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}
