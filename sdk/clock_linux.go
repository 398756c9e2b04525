package sdk

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootClock reads CLOCK_BOOTTIME, which goes on while the machine is
// suspended: a laptop that slept must find its sessions over when it wakes.
func bootClock() (func() time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return nil, err
	}
	return func() time.Duration {
		var ts unix.Timespec
		// It was readable above, with the same arguments: it cannot fail now.
		_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
		return time.Duration(ts.Nano())
	}, nil
}
