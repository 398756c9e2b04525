package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Node is one process of a cluster, or none while it is down.
type Node struct {
	Name     string
	Endpoint string   // for clients, host:port
	Peer     string   // for other nodes, host:port
	Data     string   // folder of its data; may be changed before Start
	LogFile  string   // what it writes to standard error, over all its lives
	Env      []string // NAME=VALUE beside those of this process; may be changed before Start

	binary  string
	members string   // of --initial-cluster
	more    []string // further arguments
	enter   []string // the command that runs another one on the node's host
	reader  *reader  // of standard error; nil: the process writes to the log itself

	mu     sync.Mutex
	run    *run  // nil: never started
	judged int64 // bytes of the log that Crashes has read
}

// run is one life of a node's process.
type run struct {
	cmd   *exec.Cmd
	ready chan struct{} // closed when it said so
	done  chan struct{} // closed when it has ended and was waited for
	err   error         // how it ended; valid once done is closed
}

// Start starts the process and does not wait for it to be ready.
func (n *Node) Start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.run != nil && !closed(n.run.done) {
		return fmt.Errorf("node %s runs already", n.Name)
	}
	log, err := os.OpenFile(n.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	stderr, ended := log, make(chan struct{})
	read := make(<-chan struct{})
	if n.reader != nil {
		if stderr, read, err = n.reader.pipe(log, ended); err != nil {
			log.Close()
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	closeLog := func() {
		close(ended)
		if n.reader != nil {
			_ = stderr.Close()
			<-read
		}
		_ = log.Close()
	}
	args := slices.Concat(n.enter, []string{
		n.binary, "serve", "--name", n.Name, "--data-dir", n.Data,
		"--listen-client", n.Endpoint, "--listen-peer", n.Peer, "--initial-cluster", n.members,
	}, n.more)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = stderr
	cmd.Env = slices.Concat(os.Environ(), []string{raceOptions(os.Getenv("GORACE"))}, n.Env)
	cmd.SysProcAttr = ProcessAttributes()
	out, err := cmd.StdoutPipe()
	if err != nil {
		closeLog()
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	if err := cmd.Start(); err != nil {
		closeLog()
		return fmt.Errorf("node %s: start %s: %w", n.Name, n.binary, err)
	}
	r := &run{cmd: cmd, ready: make(chan struct{}), done: make(chan struct{})}
	n.run = r
	go func() { // ends when the process does
		lines := bufio.NewScanner(out)
		for said := false; lines.Scan(); {
			if !said && strings.HasPrefix(lines.Text(), "ready ") {
				said = true
				close(r.ready)
			}
		}
		_, _ = io.Copy(io.Discard, out)
		r.err = cmd.Wait()
		closeLog()
		close(r.done)
	}()
	return nil
}

// Ready waits until the process has said that it serves.
func (n *Node) Ready(ctx context.Context) error {
	r := n.current()
	if r == nil {
		return fmt.Errorf("node %s was never started", n.Name)
	}
	select {
	case <-r.ready:
		return nil
	case <-r.done:
		return fmt.Errorf("node %s ended before it was ready: %v; it said:\n%s", n.Name, r.err, n.tail())
	case <-ctx.Done():
		return fmt.Errorf("node %s is not ready: %w; it said:\n%s", n.Name, ctx.Err(), n.tail())
	}
}

// Running tells whether the process is there.
func (n *Node) Running() bool {
	r := n.current()
	return r != nil && !closed(r.done)
}

// Pid is the id of the newest process; 0: it was never started.
func (n *Node) Pid() int {
	r := n.current()
	if r == nil {
		return 0
	}
	return r.cmd.Process.Pid
}

// Signal sends a signal to the process.
func (n *Node) Signal(sig os.Signal) error {
	r := n.current()
	if r == nil {
		return fmt.Errorf("node %s was never started", n.Name)
	}
	if err := r.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("node %s: send %v: %w", n.Name, sig, err)
	}
	return nil
}

// Kill kills the process with SIGKILL and waits until it is gone.
func (n *Node) Kill() error {
	err := n.Signal(os.Kill)
	n.wait()
	return err
}

// Ended waits until the process is gone and returns its exit status, 128+n when
// signal n ended it.
func (n *Node) Ended(ctx context.Context) (code int, err error) {
	r := n.current()
	if r == nil {
		return 0, fmt.Errorf("node %s was never started", n.Name)
	}
	select {
	case <-r.done:
		if s, ok := r.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			return 128 + int(s.Signal()), nil
		}
		return r.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("node %s has not ended: %w", n.Name, ctx.Err())
	}
}

func (n *Node) wait() {
	if r := n.current(); r != nil {
		<-r.done
	}
}

func (n *Node) current() *run {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.run
}

// tail is the end of the node's log.
func (n *Node) tail() string {
	const most = 4 << 10
	b, err := os.ReadFile(n.LogFile)
	if err != nil {
		return err.Error()
	}
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return string(b)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
