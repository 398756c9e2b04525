package clock

import (
	"fmt"
	"os"
	"time"
)

// Variable names the environment variable with the path of the control file.
const Variable = "CONCH_CHAOS_CLOCK"

// Fault is what to do to the clock from now on. Jumps happen once, when it is
// set.
type Fault struct {
	// Rate is by how many millionths the clock is too fast; -50,000 is five
	// percent slow.
	Rate int64
	// Jump is by how much the monotonic clock jumps; Wall by how much the wall
	// clock does, beside that. A monotonic clock only jumps ahead.
	Jump, Wall time.Duration
}

// Set has the program that watches the file obey. Number tells settings apart and
// must be another one each time.
func (f Fault) Set(file string, number int) error {
	temporary := file + ".new"
	text := fmt.Sprintf("%d %d %d %d\n", number, f.Rate, int64(f.Jump), int64(f.Wall))
	if err := os.WriteFile(temporary, []byte(text), 0o644); err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	if err := os.Rename(temporary, file); err != nil { // as a whole: it is watched
		return fmt.Errorf("clock: %w", err)
	}
	return nil
}
