package main

import (
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/conch-lock/conch/chaos/sim"
)

// Real time in which a run of one seed, and the search for a smaller one, which is
// some hundred runs, has come to an end on any machine. A run is a second or two.
const (
	mostOfARun    = 5 * time.Minute
	mostOfAShrink = 2 * time.Hour
)

// watchdog names the run that does not come to an end, which nobody would learn of
// otherwise: virtual time bounds a run, and real time does not.
type watchdog struct {
	out  io.Writer
	exit func(hung found) // tells what is known so far, and ends the process
}

// over watches over something until done is called. What it is called, such as a
// run, and how it can be seen again are told when that takes longer than most.
func (w watchdog) over(what, replay string, most time.Duration) (done func()) {
	timer := time.AfterFunc(most, func() {
		hung := found{Property: string(sim.Harness), What: fmt.Sprintf("%s has not come to an end within %v", what, most), Replay: replay, Full: replay}
		// The name first: a loop that calls nothing cannot be stopped to look at it.
		fmt.Fprintf(w.out, "VIOLATION: %s\nreplay: %s\n", hung.What, replay)
		fmt.Fprintf(w.out, "its goroutines:\n%s\n", stacks())
		w.exit(hung)
	})
	return func() { timer.Stop() }
}

// stacks is where all goroutines are.
func stacks() []byte {
	b := make([]byte, 4<<20)
	return b[:runtime.Stack(b, true)]
}
