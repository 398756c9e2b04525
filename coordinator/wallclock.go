package coordinator

import (
	"time"

	"github.com/rs/zerolog"
)

const (
	// wallStep is by how much the wall clock must be off what it was to be taken
	// for one that jumped. Less is how clocks are set right.
	wallStep = 2 * time.Second
	// wallSettle is how long it must stay so until it is believed.
	wallSettle = time.Minute
)

// wallClock is the wall time that goes into entries. The times that people are
// shown come from it, and the age of history, and the cell's wall time never
// goes back: so a clock that jumped is believed only when it stays so. It is
// used by one goroutine.
type wallClock struct {
	read func() time.Time     // the machine's wall clock
	run  func() time.Duration // a clock that runs steadily
	log  zerolog.Logger

	offset  time.Duration // of what is believed, from run; in time since 1970
	known   bool
	jumped  time.Duration // the offset that is not believed yet
	since   time.Duration // when it was seen first
	waiting bool
}

// millis is the wall time in milliseconds since 1970.
func (c *wallClock) millis() int64 {
	now := c.run()
	offset := time.Duration(c.read().UnixNano()) - now
	switch step := offset - c.offset; {
	case !c.known || step.Abs() < wallStep:
		c.known, c.offset, c.waiting = true, offset, false
	case !c.waiting || (offset-c.jumped).Abs() >= wallStep:
		c.waiting, c.jumped, c.since = true, offset, now
		c.log.Warn().Str("by", step.Round(time.Millisecond).String()).Str("believed_after", wallSettle.String()).
			Msg("the wall clock of this machine jumped, or the machine slept: sessions and locks do not depend on it, the times that people are shown follow it when it stays so")
	case now-c.since >= wallSettle:
		c.offset, c.waiting = offset, false
		c.log.Warn().Str("by", step.Round(time.Millisecond).String()).
			Msg("the wall clock of this machine stayed where it jumped to: the times that people are shown follow it now")
	}
	return (now + c.offset).Milliseconds()
}
