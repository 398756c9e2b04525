package floor

import (
	"io"
	"net"
	"time"
)

// Loopback sends 64 bytes over a connection on loopback and back, again and
// again, and returns how long each took, sorted.
func Loopback(length time.Duration) ([]time.Duration, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	echoed := make(chan struct{})
	go func() { // ends with the connection
		defer close(echoed)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 64)
		for {
			if _, err := io.ReadFull(conn, buf); err != nil {
				return
			}
			if _, err := conn.Write(buf); err != nil {
				return
			}
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	defer func() { conn.Close(); <-echoed }()
	buf := make([]byte, 64)
	return repeat(length, func() error {
		if _, err := conn.Write(buf); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, buf)
		return err
	})
}
