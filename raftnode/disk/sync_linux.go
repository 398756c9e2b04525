package disk

import (
	"os"
	"syscall"
)

// syncData writes back the data and what is needed to read it, not the times:
// over space that is allocated already it needs no journal commit. A call that
// a signal interrupted has not failed, and is made again.
func syncData(_ *os.File, fd uintptr) error {
	for {
		err := syscall.Fdatasync(int(fd))
		if err != syscall.EINTR {
			return err
		}
	}
}
