package coordinator

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestWallClockThatJumps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	var log bytes.Buffer
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var steady, off time.Duration
	c := &wallClock{
		read: func() time.Time { return begin.Add(steady + off) },
		run:  func() time.Duration { return steady },
		log:  zerolog.New(&log),
	}
	for _, step := range []struct {
		what    string
		passes  time.Duration
		jumps   time.Duration
		shows   time.Duration // after begin
		message string        // that is logged by this step alone
	}{
		{"begins", 0, 0, 0, ""},
		{"runs", time.Second, 0, time.Second, ""},
		{"is set right a little", 0, 500 * time.Millisecond, 1500 * time.Millisecond, ""},
		{"jumps ahead", 0, 10 * year, 1500 * time.Millisecond, `"by":"87600h0m0s"`},
		{"stays so", 30 * time.Second, 0, 31500 * time.Millisecond, ""},
		{"jumps back", 0, -10 * year, 31500 * time.Millisecond, ""},
		{"runs again", 2 * time.Minute, 0, 151500 * time.Millisecond, ""},
		{"jumps back in time", 0, -time.Hour, 151500 * time.Millisecond, `"by":"-1h0m0s"`},
		{"and jumps elsewhere", 59 * time.Second, -time.Hour, 210500 * time.Millisecond, `"by":"-2h0m0s"`},
		{"which is news", 59 * time.Second, 0, 269500 * time.Millisecond, ""},
		{"until it is believed", time.Second, 0, 270500*time.Millisecond - 2*time.Hour, "stayed where it jumped to"},
		{"and runs on", time.Second, 0, 271500*time.Millisecond - 2*time.Hour, ""},
	} {
		log.Reset()
		steady += step.passes
		off += step.jumps
		if got, want := c.millis(), begin.Add(step.shows).UnixMilli(); got != want {
			t.Errorf("%s: it shows %v, want %v", step.what, time.UnixMilli(got).UTC(), time.UnixMilli(want).UTC())
		}
		if got := log.String(); !strings.Contains(got, step.message) || (step.message == "") != (got == "") {
			t.Errorf("%s: logged %q, want %q", step.what, got, step.message)
		}
	}
}
