package zookeeper

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/conch-lock/conch/bench/system"
)

// idle is sessions that are spoken to directly: the client library takes 3 MB
// of buffers for each connection, which would be measured rather than the
// servers. They ping after a third of the time to live, as the libraries do.
type idle struct {
	conns   []net.Conn
	lost    atomic.Int64
	closing atomic.Bool
	pinging sync.WaitGroup
	stop    chan struct{}
}

// Idle opens sessions. A second recipe would be the same.
func (s *System) Idle(ctx context.Context, endpoints []string, recipe, sessions int, ttl time.Duration) (system.Sessions, error) {
	if recipe != sequential {
		return nil, system.ErrNotOffered
	}
	h := &idle{conns: make([]net.Conn, sessions), stop: make(chan struct{})}
	err := system.Parallel(ctx, sessions, atOnce, func(ctx context.Context, i int) error {
		conn, err := greet(ctx, endpoints[i%len(endpoints)], ttl)
		if err != nil {
			return err
		}
		h.conns[i] = conn
		h.pinging.Go(func() { h.ping(conn, ttl) })
		return nil
	})
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// greet opens a session with the first frame of ZooKeeper's protocol.
func greet(ctx context.Context, endpoint string, ttl time.Duration) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", endpoint)
	if err != nil {
		return nil, err
	}
	request := make([]byte, 48)                               // all else is zero: a new session
	binary.BigEndian.PutUint32(request, 44)                   // length of what follows
	binary.BigEndian.PutUint32(request[16:], uint32(ttl/1e6)) // after version and last transaction seen
	binary.BigEndian.PutUint32(request[28:], 16)              // of the password
	answer, err := exchange(conn, request)
	if err == nil && len(answer) < 16 {
		err = fmt.Errorf("an answer of %d bytes", len(answer))
	}
	if err == nil {
		if given := time.Duration(binary.BigEndian.Uint32(answer[4:])) * time.Millisecond; given != ttl {
			err = fmt.Errorf("time to live %v instead of %v", given, ttl)
		}
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("zookeeper: open a session at %s: %w", endpoint, err)
	}
	return conn, nil
}

// ping keeps a session alive until the end.
func (h *idle) ping(conn net.Conn, ttl time.Duration) {
	every := time.NewTicker(ttl / 3)
	defer every.Stop()
	request := []byte{0, 0, 0, 8, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 11} // length, number -2, operation 11
	for {
		select {
		case <-h.stop:
			return
		case <-every.C:
		}
		if _, err := exchange(conn, request); err != nil {
			if !h.closing.Load() {
				h.lost.Add(1)
			}
			return
		}
	}
}

// exchange sends a frame and reads the one that answers it.
func exchange(conn net.Conn, request []byte) ([]byte, error) {
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > 4<<10 {
		return nil, fmt.Errorf("an answer of %d bytes", size)
	}
	answer := make([]byte, size)
	_, err := io.ReadFull(conn, answer)
	return answer, err
}

func (h *idle) Lost(context.Context) (int, error) { return int(h.lost.Load()), nil }

func (h *idle) Close() {
	h.closing.Store(true)
	close(h.stop)
	for _, c := range h.conns {
		if c != nil {
			_ = c.Close()
		}
	}
	h.pinging.Wait()
}
