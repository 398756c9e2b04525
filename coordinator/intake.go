package coordinator

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// freeIntake is what a message of any connection may have without being
	// reckoned.
	freeIntake = 64 << 10
	// intakeRest is how long ago a connection must have had its last large
	// message to be closed for the sake of another one.
	intakeRest = 10 * time.Second
)

var errIntake = errors.New("too much of unfinished messages is kept: the connection is closed")

// intake bounds what is kept of messages that clients are sending. A connection
// keeps buffers of up to some four times its largest message until it ends, so
// that it is reckoned with that message until then.
//
// When there is no room, the connection whose last large message is the longest
// ago is closed, if that is ten seconds; otherwise the one that asks. A client
// loses nothing by it but time: it connects again.
type intake struct {
	limit  int64
	rest   time.Duration
	closed atomic.Uint64 // connections, for want of room

	mu    sync.Mutex
	used  int64
	large map[*conn]*largeIntake
}

// largeIntake is a connection that had a large message.
type largeIntake struct {
	bytes int64
	at    time.Time // when one last grew
}

func newIntake(limit int64) *intake {
	return &intake{limit: limit, rest: intakeRest, large: map[*conn]*largeIntake{}}
}

// grow says how large a message of the connection may become that has need bytes
// already; 0: it may not.
func (in *intake) grow(c *conn, need int64) int64 {
	allowed := int64(freeIntake)
	for allowed < need {
		allowed *= 2
	}
	now := time.Now()
	in.mu.Lock()
	mine := in.large[c]
	if mine == nil {
		mine = &largeIntake{}
		in.large[c] = mine
	}
	mine.at = now
	var victims []*conn
	for in.used+allowed-mine.bytes > in.limit {
		victim := in.oldest(c, now)
		if victim == nil {
			in.drop(c)
			in.closed.Add(1)
			in.mu.Unlock()
			closeAll(victims)
			return 0
		}
		in.drop(victim)
		in.closed.Add(1)
		victims = append(victims, victim)
	}
	in.used += allowed - mine.bytes
	mine.bytes = allowed
	in.mu.Unlock()
	closeAll(victims)
	return allowed
}

func closeAll(list []*conn) {
	for _, c := range list {
		_ = c.Close()
	}
}

// oldest is the connection to close for c; nil: none.
func (in *intake) oldest(c *conn, now time.Time) (found *conn) {
	var at time.Time
	for other, l := range in.large {
		last := l.at
		if complete := time.Unix(0, other.lately.Load()); complete.After(last) {
			last = complete
		}
		if other != c && now.Sub(last) >= in.rest && (found == nil || last.Before(at)) {
			found, at = other, last
		}
	}
	return found
}

func (in *intake) drop(c *conn) {
	if l := in.large[c]; l != nil {
		in.used -= l.bytes
		delete(in.large, c)
	}
}

// release forgets a connection.
func (in *intake) release(c *conn) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.drop(c)
}
