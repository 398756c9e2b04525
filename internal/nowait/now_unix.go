//go:build unix

package nowait

import "syscall"

// possible: a write can be told not to wait.
const possible = true

// now writes as much as the kernel takes.
func (w *Writer) now(p []byte) (n int, err error) {
	failed := w.direct.Control(func(fd uintptr) { n, err = syscall.Write(int(fd), p) })
	n = max(n, 0)
	if w.wrote(n); failed != nil {
		return n, failed
	}
	if err == syscall.EAGAIN || err == syscall.EINTR {
		err = nil
	}
	return n, err
}
