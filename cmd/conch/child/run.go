//go:build linux

package child

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// firstSocket is the lowest number for the guard's socket. Lower descriptors
// that conch inherited reach CMD under their own numbers.
const firstSocket = 64

// guardSlack is how much longer than KillAfter the guard may take to stop CMD.
const guardSlack = 2 * time.Second

// runner is conch's side of one Run.
type runner struct {
	spec   Spec
	guard  *os.Process
	orders outbox
	tty    *terminal        // nil without one
	cmd    int              // process id of CMD and of its group, 0 before it runs
	fore   bool             // CMD's group was made the foreground group
	tstp   bool             // SIGTSTP was sent on, and no SIGCONT since
	hang   <-chan time.Time // set at a loss: when the guard is given up
	result Result
}

// Run runs the command and returns when nothing of it is left. A *StartError
// says that it could not be started; any other error that there is no guard
// and nothing was started.
func Run(s Spec) (Result, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return Result{}, fmt.Errorf("become a child subreaper: %w", err)
	}
	r := &runner{spec: s, tty: openTerminal()}
	socket, err := r.startGuard()
	if err != nil {
		return Result{}, err
	}
	defer socket.Close()
	if r.tty != nil {
		// Only now: the guard and CMD must not inherit it.
		signal.Ignore(syscall.SIGTTOU)
		defer signal.Reset(syscall.SIGTTOU)
		defer r.takeTerminal()
	}
	r.orders = outbox{socket: socket}
	r.fore = r.tty.mine() && len(r.tty.others()) == 0
	r.orders.send(order{
		Start:    &start{Path: []byte(s.Path), KillAfter: s.KillAfter, Foreground: r.fore},
		Deadline: r.deadline(),
	})
	notices := receive[notice](socket)
	err = r.loop(notices)
	socket.Close()
	for range notices { // its goroutine ends with the socket
	}
	_, _ = r.guard.Wait()
	return r.result, err
}

// startGuard starts conch again as a guard that holds the other end of socket.
func (r *runner) startGuard() (socket *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("create a socket for the guard process: %w", err)
	}
	defer unix.Close(pair[1])
	socket = os.NewFile(uintptr(pair[0]), "socket")
	theirs, err := unix.FcntlInt(uintptr(pair[1]), unix.F_DUPFD, firstSocket) // inherited, unlike the original
	if err == nil {
		defer unix.Close(theirs)
		r.guard, err = os.StartProcess("/proc/self/exe",
			append([]string{"conch", GuardArg, strconv.Itoa(theirs), "--"}, r.spec.Args...),
			&os.ProcAttr{
				Env:   r.spec.Env,
				Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
				Sys:   &syscall.SysProcAttr{Setpgid: true},
			})
	}
	if err != nil {
		socket.Close()
		return nil, fmt.Errorf("start the guard process: %w", err)
	}
	return socket, nil
}

// loop goes on until the guard says that nothing is left, or is dead.
func (r *runner) loop(notices <-chan notice) error {
	lost := r.spec.Lost
	var beat <-chan time.Time
	if r.spec.Deadline != nil && r.spec.DeadlineEvery > 0 {
		ticker := time.NewTicker(r.spec.DeadlineEvery)
		defer ticker.Stop()
		beat = ticker.C
	}
	signals := (<-chan os.Signal)(nil) // what comes before CMD runs waits in the channel
	for {
		var again <-chan time.Time
		if r.orders.full() {
			again = time.After(outboxRetry)
		}
		select {
		case n, ok := <-notices:
			switch {
			case !ok:
				r.guardDied()
				return nil
			case n.Started != 0:
				r.cmd, signals = n.Started, r.spec.Signals
			case n.Failed != 0:
				return &StartError{Path: r.spec.Path, Err: syscall.Errno(n.Failed)}
			case n.Stopped != 0:
				r.stopped(syscall.Signal(n.Stopped))
			case n.Expired:
				r.result.Lost = true
			case n.Finished != nil:
				r.result.Code, r.result.Killed, r.result.Left = n.Finished.Code, n.Finished.Killed, n.Finished.Left
				return nil
			}
		case s := <-signals:
			r.received(s.(syscall.Signal))
		case <-lost:
			lost = nil
			r.lose()
		case <-beat:
			if at := r.deadline(); at != 0 {
				r.orders.send(order{Deadline: at})
			}
		case <-again:
			r.orders.flush()
		case <-r.hang:
			r.hang = nil
			_ = r.guard.Kill()
		}
	}
}

// lose has the guard stop everything. A guard that does not, because somebody
// stopped it, is killed, and CMD with it, whether or not the order reached it.
func (r *runner) lose() {
	r.result.Lost = true
	if r.hang == nil {
		r.hang = time.After(r.spec.KillAfter + guardSlack)
	}
	r.orders.send(order{Stop: true})
}

func (r *runner) received(sig syscall.Signal) {
	if sig == syscall.SIGCONT && r.over() {
		r.lose()
		return
	}
	switch sig {
	case syscall.SIGTSTP:
		r.tstp = true
	case syscall.SIGCONT:
		r.tstp = false
	}
	r.orders.send(order{Signal: int(sig)})
	r.result.Terminated = r.result.Terminated || sig == syscall.SIGTERM
	switch sig {
	case syscall.SIGTERM, syscall.SIGHUP: // a stopped command hears it when it is continued
		r.received(syscall.SIGCONT)
	}
}

// over says whether the lock's time has passed, known before anybody tells.
// Whoever continues a stopped command asks this first.
func (r *runner) over() bool {
	if r.spec.Deadline == nil {
		return false
	}
	deadline := r.spec.Deadline()
	return !deadline.IsZero() && time.Until(deadline) <= 0
}

// deadline is the boottime until which CMD may run unless more is heard, 0
// when there is none.
func (r *runner) deadline() int64 {
	if r.spec.Deadline == nil {
		return 0
	}
	deadline := r.spec.Deadline()
	if deadline.IsZero() {
		return 0
	}
	at, err := boottimeOf(deadline)
	if err != nil {
		return 1 // long past: without its clock CMD must not run
	}
	return at
}

// stopped handles that CMD was stopped by sig. A stop that concerns the job as
// a whole stops conch as well, so that the shell sees it.
func (r *runner) stopped(sig syscall.Signal) {
	wantsTerminal := sig == syscall.SIGTTIN || sig == syscall.SIGTTOU
	if wantsTerminal && r.tty.mine() { // conch has it to give
		r.tty.give(r.cmd)
		r.fore = true
		r.orders.send(order{Signal: int(syscall.SIGCONT)})
		return
	}
	had := r.takeTerminal()
	if !had && !wantsTerminal && !r.tstp {
		return // somebody stopped CMD alone, and will continue it
	}
	if r.tty == nil || jobControlled() {
		r.suspend(had)
	} else if wantsTerminal {
		return // it would ask again at once, for ever
	}
	// Continued, or nobody is there who could: then a stop has no effect, as
	// the kernel does it for such process groups.
	if r.fore && r.tty.mine() {
		r.tty.give(r.cmd)
	}
	r.received(syscall.SIGCONT)
}

// suspend stops conch until somebody continues it. With job, that includes the
// rest of conch's process group: Ctrl-Z reached CMD's group alone.
func (r *runner) suspend(job bool) {
	if job {
		for _, p := range r.tty.others() {
			p.send(syscall.SIGSTOP)
		}
	}
	runtime.LockOSThread() // a signal to this very thread stops all before the call returns
	defer runtime.UnlockOSThread()
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP)
}

// takeTerminal takes the terminal back from CMD's group, if that has it.
func (r *runner) takeTerminal() bool {
	if r.tty == nil || r.cmd == 0 || r.tty.foreground() != r.cmd {
		return false
	}
	r.tty.give(r.tty.group)
	return true
}

// guardDied kills what the guard's death left to conch.
func (r *runner) guardDied() {
	r.result.GuardDied = true
	r.result.Killed = true
	r.result.Code = 128 + int(syscall.SIGKILL)
	sweep(func(pid int, status unix.WaitStatus) {
		if pid == r.cmd {
			r.result.Code = exitCode(status)
		}
	})
}
