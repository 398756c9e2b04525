//go:build unix

package disk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLockOtherProcess starts this test a second time and has it take a lock
// that the first holds.
func TestLockOtherProcess(t *testing.T) {
	if name := os.Getenv("DISK_TEST_LOCK"); name != "" {
		_, err := OS{}.Lock(name)
		fmt.Println("locked:", errors.Is(err, ErrLocked), err)
		return
	}
	name := filepath.Join(t.TempDir(), "LOCK")
	lock, err := OS{}.Lock(name)
	must(t, err)
	second := func() string {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLockOtherProcess$")
		cmd.Env = append(os.Environ(), "DISK_TEST_LOCK="+name)
		out, err := cmd.CombinedOutput()
		must(t, err)
		return string(out)
	}
	if out := second(); !strings.Contains(out, "locked: true") || !strings.Contains(out, fmt.Sprintf("(process %d)", os.Getpid())) {
		t.Fatalf("the other process got past the lock, or was not told who has it: %s", out)
	}
	must(t, lock.Close())
	if out := second(); !strings.Contains(out, "locked: false <nil>") {
		t.Fatalf("the other process did not get the lock after it was closed: %s", out)
	}
}
