//go:build linux

package child

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guard is the process between conch and CMD.
type guard struct {
	args      []string // CMD's
	replies   *json.Encoder
	alarm     *alarm
	children  chan os.Signal // SIGCHLD
	killAfter time.Duration

	cmd      int   // process id of CMD, and of its group
	running  bool  // CMD has not been reaped
	deadline int64 // boottime, 0: none
	result   finish

	stopping bool             // SIGTERM has been sent to all
	grace    <-chan time.Time // set while what CMD left behind may end by itself
	kill     <-chan time.Time // set while stopping
}

// Guard is the main function of the guard process: args are those after
// GuardArg. It returns the exit status, which nobody relies on.
func Guard(args []string) int {
	// CMD's parent-death signal is sent when the thread that started it ends:
	// this one, which lasts as long as the process.
	runtime.LockOSThread()

	socket, ok := guardSocket(args)
	if !ok {
		fmt.Fprintf(os.Stderr, "conch: %s is for conch itself; use conch lock NAME -- CMD\n", GuardArg)
		return 64
	}
	g := &guard{args: args[2:], replies: json.NewEncoder(socket), children: make(chan os.Signal, 1)}
	if err := g.prepare(); err != nil {
		fmt.Fprintf(os.Stderr, "conch: guard: %v\n", err)
		return 1
	}
	defer g.alarm.close()
	g.run(receive[order](socket))
	return 0
}

// guardSocket opens the socket that args, "N -- CMD ARG…", speak of.
func guardSocket(args []string) (socket *os.File, ok bool) {
	if len(args) < 3 || args[1] != "--" {
		return nil, false
	}
	fd, err := strconv.Atoi(args[0])
	if err != nil || fd < firstSocket {
		return nil, false
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
		return nil, false
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, false
	}
	return os.NewFile(uintptr(fd), "socket"), true
}

// prepare makes this process one that adopts orphans and that lives until its
// work is done: signals meant for the command do not end it.
func (g *guard) prepare() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a child subreaper: %w", err)
	}
	// A signal with a handler is reset to its default in CMD; one that was
	// ignored when conch was started stays so, for all three.
	deaf := make(chan os.Signal, 1)
	for _, s := range append(forwarded(), unix.SIGTTIN, unix.SIGTTOU, unix.SIGPIPE, unix.SIGALRM) {
		if !signal.Ignored(s) {
			signal.Notify(deaf, s)
		}
	}
	signal.Notify(g.children, unix.SIGCHLD)
	var err error
	g.alarm, err = newAlarm()
	return err
}

// run obeys orders until nothing is left of CMD.
func (g *guard) run(orders <-chan order) {
	first, ok := <-orders
	if !ok || first.Start == nil {
		return // conch died before it asked for anything
	}
	g.killAfter = first.Start.KillAfter
	pid, err := launch(first.Start, g.args)
	if err != nil {
		errno, _ := err.(syscall.Errno)
		g.tell(notice{Failed: int(errno)})
		return
	}
	g.cmd, g.running = pid, true
	g.tell(notice{Started: pid})
	if first.Deadline != 0 {
		g.obey(order{Deadline: first.Deadline})
	}
	for {
		select {
		case o, ok := <-orders:
			if !ok { // conch is dead: see doc.go, 5
				g.sweep()
				return
			}
			g.obey(o)
		case <-g.children:
			if g.reap() {
				g.tell(notice{Finished: &g.result})
				return
			}
		case <-g.alarm.C:
			if now, err := boottime(); err != nil || g.deadline != 0 && now >= g.deadline {
				g.tell(notice{Expired: true})
				g.stop()
			}
		case <-g.grace:
			for _, p := range descendants() {
				g.result.Left = append(g.result.Left, Process{PID: p.pid, Name: p.name})
			}
			g.stop()
		case <-g.kill:
			g.result.Killed = true
			g.sweep()
			g.tell(notice{Finished: &g.result})
			return
		}
	}
}

// launch starts CMD in a process group of its own.
func launch(s *start, args []string) (pid int, err error) {
	path := string(s.Path)
	attr := &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Foreground: s.Foreground, Pdeathsig: syscall.SIGKILL},
	}
	pid, err = syscall.ForkExec(path, args, attr)
	if s.Foreground && (err == syscall.ENOTTY || err == syscall.EIO) { // the terminal is gone
		attr.Sys.Foreground = false
		pid, err = syscall.ForkExec(path, args, attr)
	}
	if err == syscall.ENOEXEC { // a script without a first line that names its shell
		script := append([]string{"/bin/sh", path}, args[1:]...)
		pid, err = syscall.ForkExec(script[0], script, attr)
	}
	return pid, err
}

func (g *guard) obey(o order) {
	switch {
	case o.Signal != 0:
		g.signal(unix.Signal(o.Signal))
	case o.Deadline != 0:
		g.deadline = o.Deadline
		if err := g.alarm.set(o.Deadline); err != nil {
			g.stop() // without its deadline CMD must not run
		}
	case o.Stop:
		g.stop()
	}
}

// signal sends sig to CMD's group. When CMD itself is gone, so may be its
// group, and its number may be somebody else's: then each descendant gets it.
func (g *guard) signal(sig unix.Signal) {
	if g.running {
		_ = unix.Kill(-g.cmd, sig)
		return
	}
	for _, p := range descendants() {
		p.send(sig)
	}
}

// stop sends SIGTERM to CMD's group and to descendants outside of it, and
// starts to wait for the time of SIGKILL.
func (g *guard) stop() {
	if g.stopping {
		return
	}
	g.stopping, g.grace = true, nil
	g.kill = time.After(g.killAfter)
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGCONT} {
		if g.running {
			_ = unix.Kill(-g.cmd, sig)
		}
		for _, p := range descendants() {
			if !g.running || p.group != g.cmd {
				p.send(sig)
			}
		}
	}
}

// reap takes note of children that ended or were stopped, and says whether
// nothing is left.
func (g *guard) reap() (empty bool) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG|unix.WUNTRACED, nil)
		switch {
		case err == unix.EINTR:
		case err != nil: // ECHILD
			return true
		case pid == 0:
			if !g.running && !g.stopping && g.grace == nil {
				g.grace = time.After(LeftoverGrace)
			}
			return false
		case status.Stopped():
			if pid == g.cmd {
				g.tell(notice{Stopped: int(status.StopSignal())})
			}
		default:
			g.ended(pid, status)
		}
	}
}

func (g *guard) ended(pid int, status unix.WaitStatus) {
	if g.running && pid == g.cmd {
		g.running = false
		g.result.Code = exitCode(status)
	}
}

func (g *guard) sweep() { sweep(g.ended) }

// tell informs conch; when conch is dead the orders end, which run sees.
func (g *guard) tell(n notice) { _ = g.replies.Encode(n) }

// receive decodes what the other side says until it is dead.
func receive[T any](socket *os.File) <-chan T {
	c := make(chan T)
	go func() { // ends with the socket, or with the process
		defer close(c)
		in := json.NewDecoder(socket)
		for {
			var v T
			if in.Decode(&v) != nil {
				return
			}
			c <- v
		}
	}()
	return c
}
