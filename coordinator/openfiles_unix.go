//go:build unix

package coordinator

import "golang.org/x/sys/unix"

// openFiles is how many files and connections the process may have open; 0: that
// is not known.
func openFiles() uint64 {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return 0
	}
	return uint64(r.Cur)
}
