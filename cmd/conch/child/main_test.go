//go:build linux

package child

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait for a condition.
const patience = 20 * time.Second

// The test binary also plays conch: as the guard, and as a process that calls
// Run and prints the result.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == GuardArg {
		os.Exit(Guard(os.Args[2:]))
	}
	if os.Getenv("CHILD_RUN") != "" {
		os.Exit(playConch(os.Args[1:]))
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector delays every exit by a second
	os.Exit(m.Run())
}

// playConch runs its arguments as the command. The lock is lost when the pipe
// at descriptor CHILD_LOST ends; its deadline is CHILD_DEADLINE after the start,
// or rolls ahead with CHILD_ROLLING. CHILD_EVERY is the time between questions
// for it, each of which puts a byte into the file CHILD_ASKED.
func playConch(args []string) int {
	signals, stop := Listen()
	defer stop()
	spec := Spec{Args: args, Env: os.Environ(), Signals: signals, KillAfter: patience}
	if d, err := time.ParseDuration(os.Getenv("CHILD_KILL_AFTER")); err == nil {
		spec.KillAfter = d
	}
	if d, err := time.ParseDuration(os.Getenv("CHILD_DEADLINE")); err == nil {
		fixed := time.Now().Add(d)
		spec.Deadline = func() time.Time { return fixed }
		spec.DeadlineEvery = 10 * time.Millisecond
	}
	if d, err := time.ParseDuration(os.Getenv("CHILD_ROLLING")); err == nil {
		spec.Deadline = func() time.Time { return time.Now().Add(d) }
		spec.DeadlineEvery = d / 10
	}
	if d, err := time.ParseDuration(os.Getenv("CHILD_EVERY")); err == nil {
		spec.DeadlineEvery = d
	}
	if name := os.Getenv("CHILD_ASKED"); name != "" {
		asked, err := os.Create(name)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer asked.Close()
		deadline := spec.Deadline
		spec.Deadline = func() time.Time {
			_, _ = asked.Write([]byte{'.'})
			return deadline()
		}
	}
	if fd, err := strconv.Atoi(os.Getenv("CHILD_LOST")); err == nil {
		syscall.CloseOnExec(fd)
		lost := make(chan struct{})
		spec.Lost = lost
		go func() {
			_, _ = os.NewFile(uintptr(fd), "lost").Read(make([]byte, 1))
			close(lost)
		}()
	}
	var err error
	if spec.Path, err = Lookup(args[0]); err == nil {
		var r Result
		if r, err = Run(spec); err == nil {
			fmt.Fprintf(os.Stderr, "result: code=%d lost=%t killed=%t guard-died=%t left=%d\n",
				r.Code, r.Lost, r.Killed, r.GuardDied, len(r.Left))
			return r.Code
		}
	}
	fmt.Fprintln(os.Stderr, err)
	var start *StartError
	if errors.As(err, &start) {
		return start.ExitCode()
	}
	return 1
}

// conch is a process that plays conch, with its output collected in files.
type conch struct {
	t    *testing.T
	dir  string // working folder of the command
	cmd  *exec.Cmd
	lose func() // ends the lock
	done chan struct{}
}

// startConch runs script with sh under a lock.
func startConch(t *testing.T, script string, env ...string) *conch {
	t.Helper()
	return startConchArgs(t, []string{"/bin/sh", "-c", script}, env...)
}

func startConchArgs(t *testing.T, args []string, env ...string) *conch {
	t.Helper()
	c := &conch{t: t, dir: t.TempDir(), done: make(chan struct{})}
	lostRead, lostWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.lose = func() { lostWrite.Close() }
	c.cmd = exec.Command("/proc/self/exe", args...)
	c.cmd.Dir = c.dir
	c.cmd.Env = append(os.Environ(), append([]string{"CHILD_RUN=1", "CHILD_LOST=3"}, env...)...)
	c.cmd.ExtraFiles = []*os.File{lostRead}
	c.cmd.Stdout, c.cmd.Stderr = c.create("stdout"), c.create("stderr")
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lostRead.Close()
	go func() { _ = c.cmd.Wait(); close(c.done) }()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.done
		lostWrite.Close()
	})
	return c
}

func (c *conch) create(name string) *os.File {
	f, err := os.Create(filepath.Join(c.dir, name))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { f.Close() })
	return f
}

func (c *conch) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(c.dir, name))
	return string(b)
}

// await waits until condition holds.
func (c *conch) await(what string, condition func() bool) {
	c.t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("waited %v in vain until %s\nstdout: %s\nstderr: %s", patience, what, c.read("stdout"), c.read("stderr"))
		}
	}
}

// pids waits until the command has written so many process ids to the file
// "pids", one a line, and returns them.
func (c *conch) pids(n int) []int {
	c.t.Helper()
	var out []int
	c.await(fmt.Sprintf("%d process ids are in the file pids", n), func() bool {
		out = nil
		text := c.read("pids")
		if !strings.HasSuffix(text, "\n") {
			return false
		}
		for in := bufio.NewScanner(strings.NewReader(text)); in.Scan(); {
			if pid, err := strconv.Atoi(in.Text()); err == nil {
				out = append(out, pid)
			}
		}
		return len(out) == n
	})
	return out
}

// gone waits until none of the processes is alive.
func (c *conch) gone(pids ...int) {
	c.t.Helper()
	for _, pid := range pids {
		c.await(fmt.Sprintf("process %d is gone", pid), func() bool { return !alive(pid) })
	}
}

func alive(pid int) bool {
	p, ok := readProc(pid)
	return ok && !p.zombie
}

// exit waits for the end of conch and returns its status and last words.
func (c *conch) exit() (code int, result string) {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		c.t.Fatalf("still running\nstdout: %s\nstderr: %s", c.read("stdout"), c.read("stderr"))
	}
	for _, line := range strings.Split(c.read("stderr"), "\n") {
		if strings.HasPrefix(line, "result: ") {
			result = strings.TrimPrefix(line, "result: ")
		}
	}
	return c.cmd.ProcessState.ExitCode(), result
}

// guardPID finds the guard.
func (c *conch) guardPID() int {
	c.t.Helper()
	pid := 0
	c.await("the guard is there", func() bool {
		for _, p := range processes()[c.cmd.Process.Pid] {
			pid = p.pid
		}
		return pid != 0
	})
	return pid
}

func (c *conch) signal(sig unix.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.Signal(sig)); err != nil {
		c.t.Fatal(err)
	}
}
