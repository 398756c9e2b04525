package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestTimerSlack: every thread of a server has the timer slack that saves it half
// of its wakings, and the process is the one that was started.
func TestTimerSlack(t *testing.T) {
	c := start(t)
	pid := c.Nodes()[0].Pid()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Skipf("there are no threads to look at: %v", err)
	}
	for _, thread := range threads {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%s/timerslack_ns", thread.Name()))
		if errors.Is(err, fs.ErrPermission) {
			t.Skipf("the slack of another process cannot be seen: %v", err)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		if ns, err := strconv.Atoi(strings.TrimSpace(string(b))); err != nil || ns != 1_000_000 {
			t.Errorf("thread %s has a slack of %s ns, %v", thread.Name(), b, err)
		}
	}
}
