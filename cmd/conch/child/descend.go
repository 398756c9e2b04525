//go:build linux

package child

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// proc is what /proc/PID/stat says of a process.
type proc struct {
	pid, parent, group int
	zombie             bool
	started            string // clock ticks since boot: tells a process from a later one of the same id
	name               string
}

// readProc reads one process. ok is false when it is gone.
func readProc(pid int) (p proc, ok bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return proc{}, false
	}
	// pid (name) state parent group …: the name may hold anything, ")" too.
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return proc{}, false
	}
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 20 {
		return proc{}, false
	}
	p = proc{pid: pid, zombie: f[0] == "Z" || f[0] == "X", started: f[19], name: string(b[open+1 : end])}
	p.parent, _ = strconv.Atoi(f[1])
	p.group, _ = strconv.Atoi(f[2])
	return p, true
}

// processes reads all that are there, by parent.
func processes() map[int][]proc {
	byParent := make(map[int][]proc)
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, ok := readProc(pid); ok {
			byParent[p.parent] = append(byParent[p.parent], p)
		}
	}
	return byParent
}

// descendants lists the living descendants of this process, parents first.
func descendants() []proc {
	byParent := processes()
	var out []proc
	queue := []int{os.Getpid()}
	for len(queue) > 0 {
		children := byParent[queue[0]]
		delete(byParent, queue[0]) // a process seen twice while it moved cannot make a circle
		queue = queue[1:]
		for _, p := range children {
			queue = append(queue, p.pid)
			if !p.zombie {
				out = append(out, p)
			}
		}
	}
	return out
}

// send signals p and nobody who may have got its id since it was read.
func (p proc) send(sig unix.Signal) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		if err == unix.ENOSYS || err == unix.EPERM { // an old kernel or a strict sandbox
			_ = unix.Kill(p.pid, sig)
		}
		return
	}
	defer unix.Close(fd)
	if now, ok := readProc(p.pid); ok && now.started == p.started {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
}

// sweep kills every descendant and returns when none is left. It tells seen
// about each child that it reaps.
//
// A process that was sent SIGKILL cannot fork any more, so a round misses only
// what was forked before it and appeared after the listing. That comes to this
// process when its parent dies, and after deaths here there is another round.
func sweep(seen func(pid int, status unix.WaitStatus)) {
	for {
		for _, p := range descendants() {
			p.send(unix.SIGKILL)
		}
		if !reapDead(seen) {
			return
		}
	}
}

// reapDead waits until a child is dead, and reaps all that are by then: a
// listing of all processes for each one that died would take too long when
// there are hundreds. It returns false when no child is left.
func reapDead(seen func(pid int, status unix.WaitStatus)) (left bool) {
	for options := 0; ; {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, options, nil)
		switch {
		case err == unix.EINTR:
		case err != nil: // ECHILD
			return false
		case pid == 0: // the rest lives
			return true
		default:
			seen(pid, status)
			options = unix.WNOHANG
		}
	}
}

// exitCode is the status that a shell gives: 128+n for signal n.
func exitCode(status unix.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
