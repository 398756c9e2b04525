//go:build linux

package child

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// boottime is a clock that also counts while the machine is suspended.
// It is the same for all processes of the machine.
func boottime() (int64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, fmt.Errorf("read CLOCK_BOOTTIME: %w", err)
	}
	return ts.Nano(), nil
}

// alarm rings at a boottime. A ring may be late news: the receiver compares
// with the deadline that is in force by then.
type alarm struct {
	C    <-chan struct{}
	fd   int
	file *os.File
}

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("create a timer: %w", err)
	}
	c := make(chan struct{}, 1)
	a := &alarm{C: c, fd: fd, file: os.NewFile(uintptr(fd), "timer")}
	go func() { // ends when close closes the file
		var expirations [8]byte
		for {
			if _, err := a.file.Read(expirations[:]); err != nil {
				return
			}
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}()
	return a, nil
}

// set makes it ring once at that boottime, in place of an earlier setting.
func (a *alarm) set(at int64) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(at, 1))} // zero would disarm it
	return unix.TimerfdSettime(a.fd, unix.TFD_TIMER_ABSTIME, &spec, nil)
}

func (a *alarm) close() { a.file.Close() }

// boottimeOf converts a time of this process. Suspension between the two
// readings can only make the result earlier.
func boottimeOf(t time.Time) (int64, error) {
	now, err := boottime()
	if err != nil {
		return 0, err
	}
	return now + int64(time.Until(t)), nil
}
