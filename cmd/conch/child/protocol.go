//go:build linux

package child

import "time"

// What conch and its guard say to each other over their socket, one JSON
// object after the other. The end of the stream means that the other is dead.

// order is said by conch. One field is set, but for the first order.
type order struct {
	Start    *start `json:",omitempty"` // in the first order only, which may have a deadline too
	Signal   int    `json:",omitempty"` // send it to CMD's process group
	Deadline int64  `json:",omitempty"` // stop CMD at this CLOCK_BOOTTIME nanosecond, unless told another one
	Stop     bool   `json:",omitempty"` // the lock is lost
}

// replaces says whether old, when it was not sent, need not be after o: a later
// deadline is the one that counts, and of the same signal twice one is enough.
// The place that matters is the last: stopped and continued is not continued
// and stopped.
func (o order) replaces(old order) bool {
	return o.Start == nil && old.Start == nil && o.Signal == old.Signal &&
		(o.Deadline != 0) == (old.Deadline != 0) && o.Stop == old.Stop
}

// start is how the guard runs CMD. CMD's words are the guard's own arguments
// and its environment is the guard's: neither needs to be valid UTF-8.
type start struct {
	Path       []byte
	KillAfter  time.Duration
	Foreground bool // make CMD's group the terminal's foreground group
}

// notice is said by the guard. One field is set.
type notice struct {
	Started  int     `json:",omitempty"` // CMD's process id, which is its group's too
	Failed   int     `json:",omitempty"` // errno of the failed start; the last notice
	Stopped  int     `json:",omitempty"` // CMD was stopped by this signal
	Expired  bool    `json:",omitempty"` // the deadline passed: CMD is being stopped
	Finished *finish `json:",omitempty"` // nothing is left; the last notice
}

// finish is how it ended.
type finish struct {
	Code   int
	Killed bool
	Left   []Process `json:",omitempty"`
}
