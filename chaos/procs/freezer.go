//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// freezer is how this machine's kernel stops all of a group of processes at once,
// which no process of it notices: not by a signal, as SIGSTOP is one.
type freezer struct {
	dir          string // above its groups
	file         string // that freezes a group,
	freeze, thaw string // when this is written to it
	state        string // the file that tells
	frozen       string // this when all are frozen
}

// freezers are those of version 1 and 2 controllers, where they may be mounted.
var freezers = []freezer{
	{"/sys/fs/cgroup/freezer", "freezer.state", "FROZEN", "THAWED", "freezer.state", "FROZEN"},
	{"/sys/fs/cgroup", "cgroup.freeze", "1", "0", "cgroup.events", "frozen 1"},
	{"/sys/fs/cgroup/unified", "cgroup.freeze", "1", "0", "cgroup.events", "frozen 1"},
}

// frost is the freezer that there is; nil: none, or not for us.
func frost() *freezer {
	for _, f := range freezers {
		if f.works() {
			return &f
		}
	}
	return nil
}

// works makes a group to see whether it could be frozen.
func (f *freezer) works() bool {
	if _, err := os.Stat(filepath.Join(f.dir, "cgroup.procs")); err != nil {
		return false
	}
	try := filepath.Join(f.dir, fmt.Sprintf("conch-chaos-%d-99", os.Getpid()))
	if err := os.Mkdir(try, 0o755); err != nil {
		return false
	}
	_, err := os.Stat(filepath.Join(try, f.file))
	return os.Remove(try) == nil && err == nil
}

// settles is how long the kernel may take to freeze a few threads, or to let go of
// a group.
const settles = 5 * time.Second

// hold puts a process into a group of its own and freezes that.
func (f *freezer) hold(name string, pid int) (*group, error) {
	g := &group{filepath.Join(f.dir, name)}
	if err := os.Mkdir(g.dir, 0o755); err != nil && !os.IsExist(err) {
		return nil, err
	}
	if err := g.set("cgroup.procs", strconv.Itoa(pid)); err != nil {
		return g, err
	}
	if err := g.set(f.file, f.freeze); err != nil {
		return g, err
	}
	for since := time.Now(); time.Since(since) < settles; time.Sleep(time.Millisecond) {
		if b, err := os.ReadFile(filepath.Join(g.dir, f.state)); err != nil || strings.Contains(string(b), f.frozen) {
			return g, err
		}
	}
	return g, fmt.Errorf("process %d is not frozen after %v", pid, settles)
}

// release lets it go on and removes the group.
func (f *freezer) release(g *group, pid int) error {
	if err := g.set(f.file, f.thaw); err != nil {
		return err
	}
	return g.end(pid)
}

func (r *runner) frozen() *fault { return r.freeze(r.victim()) }

func (r *runner) allFrozen() *fault { return r.freeze(r.all()...) }

// freeze: nodes do not run for a while, and cannot know it.
func (r *runner) freeze(nodes ...int) *fault {
	f, held := frost(), map[int]*group{}
	return &fault{nodes: nodes, length: r.span(50*time.Millisecond, 8*time.Second),
		begin: func() error {
			for _, i := range nodes {
				g, err := f.hold(r.groupName(i), r.node(i).Pid())
				if g != nil {
					held[i] = g
				}
				switch {
				case errors.Is(err, unix.ESRCH):
					return errVain // it has just ended, which somebody else judges
				case err != nil:
					return errors.Join(err, f.releaseAll(r, held))
				}
			}
			return nil
		},
		end: func(context.Context) error { return f.releaseAll(r, held) }}
}

func (f *freezer) releaseAll(r *runner, held map[int]*group) error {
	var errs []error
	for i, g := range held {
		errs = append(errs, f.release(g, r.node(i).Pid()))
	}
	return errors.Join(errs...)
}
