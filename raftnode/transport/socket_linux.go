package transport

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// notSentLowBytes bounds what the kernel takes from us and has not sent yet: a
// heartbeat should wait in our queue, where it can overtake.
const notSentLowBytes = 256 << 10

// tune sets what decides how soon a silent machine is noticed.
func tune(c net.Conn, silence time.Duration) error {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil // a test's pipe
	}
	if err := tcp.SetNoDelay(true); err != nil {
		return err
	}
	if err := tcp.SetKeepAliveConfig(keepAlive(silence)); err != nil {
		return err
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		if failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds())); failed != nil {
			return
		}
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSentLowBytes)
	})
	if err != nil {
		return err
	}
	return failed
}
