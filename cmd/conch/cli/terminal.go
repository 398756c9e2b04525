//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminalDevice tells a terminal from other devices.
func terminalDevice(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}
