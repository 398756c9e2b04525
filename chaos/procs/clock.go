//go:build linux

package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// instant is a moment on the clock that all processes of this machine share
// and that counts suspension: the one that the SDK goes by.
type instant = time.Duration

// now reads it.
func now() instant {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err) // every Linux since 2.6.39 has it
	}
	return time.Duration(ts.Nano())
}

// at is the instant of a time that the SDK tells.
func at(t time.Time) instant { return now() + time.Until(t) }
