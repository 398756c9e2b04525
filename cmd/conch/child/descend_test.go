//go:build linux

package child

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// Whoever kills hundreds of processes lists all of them once for many deaths,
// not once for each.
func TestAllThatAreDeadAreReapedAtOnce(t *testing.T) {
	start := func(args ...string) int {
		cmd := exec.Command(args[0], args[1:]...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pid := cmd.Process.Pid
		_ = cmd.Process.Release() // reaped below
		return pid
	}
	c := &conch{t: t, dir: t.TempDir()} // for its patience
	lives := start("sleep", "1000")
	dead := make(map[int]bool)
	for range 20 {
		dead[start("sh", "-c", "exit 3")] = true
	}
	for pid := range dead {
		c.await("it is dead", func() bool { return state(pid) == "Z" })
	}
	reap := func() (n int, left bool) {
		left = reapDead(func(pid int, status unix.WaitStatus) {
			n++
			if dead[pid] && status.ExitStatus() != 3 {
				t.Errorf("process %d ended with %v, want 3", pid, status)
			}
			delete(dead, pid)
		})
		return n, left
	}
	if n, left := reap(); n != 20 || len(dead) > 0 || !left {
		t.Errorf("reaped %d, left %t, want 20 and one that lives", n, left)
	}
	if err := unix.Kill(lives, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for left := true; left; {
		_, left = reap()
	}
	if alive(lives) || len(dead) > 0 {
		t.Errorf("process %d lives, or others were not reaped: %v", lives, dead)
	}
}
