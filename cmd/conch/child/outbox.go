//go:build linux

package child

import (
	"encoding/json"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// outboxRetry is the time between attempts to send what the guard did not take.
const outboxRetry = 50 * time.Millisecond

// outbox sends orders and never waits for the guard: one that was stopped does
// not read, and conch has to notice the loss of the lock all the same. What
// does not fit into the socket is sent later, and is bounded: an order takes
// the place of one of its kind that was not sent.
type outbox struct {
	socket  *os.File
	rest    []byte  // of an order of which a part was sent, or nothing yet
	waiting []order // those after it
}

// send sends o, now or later.
func (b *outbox) send(o order) {
	b.waiting = append(slices.DeleteFunc(b.waiting, o.replaces), o)
	b.flush()
}

// full says whether something waits to be sent by a later flush.
func (b *outbox) full() bool { return len(b.rest) > 0 || len(b.waiting) > 0 }

// flush sends as much as the socket takes. When the guard is dead that is
// nothing, and the notices end, which loop sees.
func (b *outbox) flush() {
	for b.full() {
		if len(b.rest) == 0 {
			text, err := json.Marshal(b.waiting[0])
			if err != nil {
				panic(err) // an order has nothing that cannot be encoded
			}
			b.rest, b.waiting = append(text, '\n'), b.waiting[1:]
		}
		n, err := b.write(b.rest)
		b.rest = b.rest[n:]
		if err != nil {
			return
		}
	}
}

// write writes what fits. n is 0 when err is not nil.
func (b *outbox) write(p []byte) (n int, err error) {
	conn, err := b.socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	broken := conn.Write(func(fd uintptr) bool {
		for {
			n, err = unix.SendmsgN(int(fd), p, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			if err != unix.EINTR {
				return true // never ask to be called again: that would wait
			}
		}
	})
	if broken != nil {
		err = broken
	}
	if err != nil {
		n = 0
	}
	return n, err
}
