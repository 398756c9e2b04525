//go:build !linux

package transport

import (
	"net"
	"time"
)

// tune sets what decides how soon a silent machine is noticed. Without
// TCP_USER_TIMEOUT, unacknowledged data is noticed by the write deadline only.
func tune(c net.Conn, silence time.Duration) error {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil // a test's pipe
	}
	if err := tcp.SetNoDelay(true); err != nil {
		return err
	}
	return tcp.SetKeepAliveConfig(keepAlive(silence))
}
