package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Spec says what to run.
type Spec struct {
	Name string   // for messages
	Path string   // of the program
	Args []string // without the program's name
	Env  []string // added to the environment of this process
	Dir  string   // working folder; empty: that of this process
	Log  string   // file that gets both outputs, appended to
}

// Process is one life of a program.
type Process struct {
	spec Spec
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and was waited for
	err  error         // how it ended; valid once done is closed
}

// Start starts a process and does not wait for it to be of use.
func Start(s Spec) (*Process, error) {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, s.Dir
	cmd.Env = append(os.Environ(), s.Env...)
	// A group of its own keeps Ctrl-C from it: whoever started it cleans up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	p := &Process{spec: s, cmd: cmd, done: make(chan struct{})}
	go func() { // ends when the process does
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Again starts the same program once more.
func (p *Process) Again() (*Process, error) { return Start(p.spec) }

// Name is that of the specification.
func (p *Process) Name() string { return p.spec.Name }

// PID is the id of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running tells whether the process is there.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Kill kills the process with SIGKILL and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // fails only when it has ended already
	<-p.done
}

// Signal sends a signal.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("%s: send %v: %w", p.spec.Name, sig, err)
	}
	return nil
}

// KillAll kills all at once and waits until they are gone.
func KillAll(all []*Process) {
	for _, p := range all { // all signals before any waiting
		_ = p.cmd.Process.Kill()
	}
	for _, p := range all {
		<-p.done
	}
}

// Complaint is an error that says how the process ended, if it has, and what it
// said last.
func (p *Process) Complaint(what string) error {
	const most = 2 << 10
	said, err := os.ReadFile(p.spec.Log)
	if err != nil {
		said = []byte(err.Error())
	}
	if len(said) > most {
		said = said[len(said)-most:]
	}
	state := "it runs"
	if !p.Running() {
		state = fmt.Sprintf("it ended: %v", p.err)
	}
	return fmt.Errorf("%s: %s; %s; the end of %s:\n%s", p.spec.Name, what, state, filepath.Base(p.spec.Log), said)
}
