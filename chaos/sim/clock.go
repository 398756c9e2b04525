package sim

import (
	"math/rand/v2"
	"time"
)

// clock is one machine's monotonic clock: it runs at a rate of its own.
type clock struct {
	rate float64
	base time.Duration
}

// maxSkew is how far a rate may be from that of true time. The client's safe
// deadline allows for a tenth between two clocks.
const maxSkew = 0.05

func newClock(r *rand.Rand) clock {
	return clock{rate: 1 + maxSkew*(2*r.Float64()-1), base: time.Duration(r.Int64N(int64(time.Hour)))}
}

// local is what the clock shows at true time t.
func (c clock) local(t time.Duration) time.Duration {
	return c.base + time.Duration(float64(t)*c.rate)
}

// real is the true time at which the clock shows l.
func (c clock) real(l time.Duration) time.Duration {
	return time.Duration(float64(l-c.base)/c.rate) + 1
}
