//go:build !linux

package sdk

import (
	"sync"
	"time"
)

// bootClock stands in for a clock that counts suspension where there is none
// to be had in a portable way: between two readings it moves by the larger of
// what the monotonic and the wall clock did. A suspension shows on the wall
// clock; a wall clock that is set forward ends sessions early, which is safe;
// one that is set back is ignored.
func bootClock() (func() time.Duration, error) {
	var mu sync.Mutex
	var total time.Duration
	last := time.Now()
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		total += max(now.Sub(last), now.Round(0).Sub(last.Round(0)))
		last = now
		return total
	}, nil
}
