package load

import (
	"context"
	"time"

	"github.com/conch-lock/conch/bench/system"
)

// The run-in of a system: it ends when so many windows in a row have not been
// faster than the best one before by more than a twentieth.
const (
	flat   = 4
	faster = 1.05
)

// RunIn has every client take and release a lock of its own, until the servers
// get no faster by it or most is over: some compile their code as it runs. It
// returns how long that took.
func RunIn(ctx context.Context, window, most time.Duration, cluster system.Cluster, clients []system.Client) (time.Duration, error) {
	begin := time.Now()
	best, since := 0.0, 0
	for since < flat && time.Since(begin) < most {
		samples, err := Cycles(ctx, Timing{Length: window}, cluster, clients)
		if err != nil {
			return 0, err
		}
		rate := valueOf(samples, "acquire+release")
		since++
		if rate > best*faster {
			best, since = rate, 0
		}
	}
	return time.Since(begin), nil
}
