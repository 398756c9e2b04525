//go:build unix

package group

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// keeperVariable names the environment variable that makes a program a keeper: a
// Manner, spelt as JSON.
const keeperVariable = "CONCH_CHAOS_KEEPER"

// keeper is the process that leads a group, seen from who started it.
type keeper struct {
	cmd  *exec.Cmd
	line io.Closer // its standard input
	once sync.Once
}

// newKeeper starts one and waits until it is on guard.
func newKeeper(m Manner) (*keeper, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	spec, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), keeperVariable+"="+string(spec))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	line, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	says, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a keeper of the process group: %w", err)
	}
	k := &keeper{cmd: cmd, line: line}
	if word, err := io.ReadAll(says); string(word) != onGuard {
		k.dismiss()
		return nil, fmt.Errorf("the keeper of the process group says %q (%v): does this program call group.Keep?", word, err)
	}
	return k, nil
}

// group is the number of the group that it leads.
func (k *keeper) group() int { return k.cmd.Process.Pid }

// dismiss ends it, and leaves its group alone.
func (k *keeper) dismiss() {
	k.once.Do(func() {
		_ = k.cmd.Process.Kill() // first: when its input ends it ends the group
		_ = k.cmd.Wait()         // it was killed
		_ = k.line.Close()
	})
}

// onGuard is what a keeper says before it keeps watch.
const onGuard = "on guard"

// Keep makes this process a keeper, and does not return then, when it was started
// as one. A program that calls [Run], and its tests, call it first of all.
func Keep() {
	spec := os.Getenv(keeperVariable)
	if spec == "" {
		return
	}
	var m Manner
	if err := json.Unmarshal([]byte(spec), &m); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2)
	fmt.Print(onGuard)
	_ = os.Stdout.Close()
	_, _ = io.Copy(io.Discard, os.Stdin) // until whoever started it is dead
	if how := m.signal(); how != syscall.SIGKILL {
		_ = syscall.Kill(0, how) // its own group
		for since := time.Now(); time.Since(since) < m.Patience && !alone(); time.Sleep(10 * time.Millisecond) {
		}
	}
	_ = syscall.Kill(0, syscall.SIGKILL)
}

// alone says whether nobody else is left in the group of this process, where the
// system tells.
func alone() bool {
	self, group := strconv.Itoa(os.Getpid()), strconv.Itoa(syscall.Getpgrp())
	all, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is sound
	for _, file := range all {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent group …: the name may hold anything, ")" too.
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(f) > 2 && f[2] == group && f[0] != "Z" && f[0] != "X" && filepath.Base(filepath.Dir(file)) != self {
			return false
		}
	}
	return len(all) > 0
}
