package sim

import (
	"math/rand/v2"
	"time"
)

// clock is one machine's monotonic clock: it runs at a rate of its own, which
// may change, and it may jump ahead.
type clock struct {
	rate float64
	base time.Duration // what it showed
	at   time.Duration // at this true time
}

// maxSkew is how far a rate may be from that of true time. The client's safe
// deadline allows for a tenth between two clocks.
const maxSkew = 0.05

func newClock(r *rand.Rand) clock {
	return clock{rate: drawRate(r), base: time.Duration(r.Int64N(int64(time.Hour)))}
}

func drawRate(r *rand.Rand) float64 { return 1 + maxSkew*(2*r.Float64()-1) }

// local is what the clock shows at true time t.
func (c *clock) local(t time.Duration) time.Duration {
	return c.base + time.Duration(float64(t-c.at)*c.rate)
}

// real is the true time at which the clock shows l, if nothing befalls it.
func (c *clock) real(l time.Duration) time.Duration {
	return c.at + time.Duration(float64(l-c.base)/c.rate) + 1
}

// set changes the rate at true time t and lets the clock jump ahead.
func (c *clock) set(t time.Duration, rate float64, jump time.Duration) {
	c.base, c.at, c.rate = c.local(t)+max(jump, 0), t, rate
}
