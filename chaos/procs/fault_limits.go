//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/conch-lock/conch/sdk"
)

// rolling restarts every node in turn, in an orderly way.
func (r *runner) rolling() *fault {
	return &fault{nodes: r.all(), begin: func() error {
		for _, i := range r.all() {
			f := r.end(i)
			if err := f.begin(); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(r.ctx, readyWithin)
			err := f.end(ctx)
			cancel()
			if err != nil {
				return err
			}
		}
		return nil
	}}
}

// fewFiles: the node can open a few more files and connections, and no others.
func (r *runner) fewFiles() *fault {
	i := r.victim()
	var was unix.Rlimit
	return &fault{nodes: []int{i}, length: r.span(time.Second, 8*time.Second),
		begin: func() error {
			open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.node(i).Pid()))
			if err != nil {
				return errVain // it has just ended
			}
			r.down[i].Store(true)
			if err := unix.Prlimit(r.node(i).Pid(), unix.RLIMIT_NOFILE, nil, &was); err != nil {
				return errVain
			}
			return unix.Prlimit(r.node(i).Pid(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(len(open) + 2), Max: was.Max}, nil)
		},
		end: func(ctx context.Context) error {
			if r.node(i).Running() && was.Max > 0 {
				if err := unix.Prlimit(r.node(i).Pid(), unix.RLIMIT_NOFILE, &was, nil); err != nil && err != syscall.ESRCH {
					return err
				}
			}
			return r.revived(ctx, i, "having few files", noFiles)
		}}
}

// logBlocked: nobody reads what the node writes to standard error, of which it
// has enough when its connections break. It must work on.
func (r *runner) logBlocked() *fault {
	i := r.victim()
	const soon = 10 * time.Second
	return &fault{nodes: []int{i}, space: ofLog, also: []space{ofProcess, ofNetwork}, mild: true, length: r.span(time.Second, 8*time.Second),
		begin: func() error {
			if err := r.node(i).Mute(); err != nil || r.net == nil {
				return err
			}
			defer r.outages.begin("ss -K", "", r.node(i).Name)()
			return r.net.reset(i)
		},
		end: func(ctx context.Context) error {
			defer r.node(i).Unmute()
			ask, cancel := context.WithTimeout(ctx, soon)
			defer cancel()
			if err := answers(ask, r.node(i).Endpoint); err != nil && ctx.Err() == nil {
				r.history.violation("node %s has not answered for %v while nobody read its log: %v", r.node(i).Name, soon, err)
			}
			return nil
		}}
}

// answers asks a node for something that it can answer alone.
func answers(ctx context.Context, endpoint string) error {
	c, err := sdk.Dial(ctx, sdk.Config{Endpoints: []string{endpoint}, Name: "ask", IgnoreLeader: true})
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Range(ctx, sdk.One("no such key"), sdk.Serializable())
	return err
}

// A group of the kernel's version 1 controllers for a node's process.
type group struct{ dir string }

// groups says whether there are such controllers.
func groups() bool {
	for _, controller := range []string{"cpu", "memory"} {
		if _, err := os.Stat(filepath.Join("/sys/fs/cgroup", controller, "cgroup.procs")); err != nil {
			return false
		}
	}
	return os.Geteuid() == 0
}

func newGroup(controller, name string, pid int, file, limit string) (*group, error) {
	g := &group{filepath.Join("/sys/fs/cgroup", controller, name)}
	if err := os.Mkdir(g.dir, 0o755); err != nil && !os.IsExist(err) {
		return nil, err
	}
	if err := g.set(file, limit); err != nil {
		return nil, err
	}
	return g, g.set("cgroup.procs", strconv.Itoa(pid))
}

func (g *group) set(file, value string) error {
	return os.WriteFile(filepath.Join(g.dir, file), []byte(value), 0o644)
}

// end gives its process back to the group above and removes it.
func (g *group) end(pid int) error {
	_ = os.WriteFile(filepath.Join(filepath.Dir(g.dir), "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644) // it may have ended
	return g.remove()
}

// remove removes it when its last process has left.
func (g *group) remove() error {
	for range 100 {
		if err := os.Remove(g.dir); err == nil || os.IsNotExist(err) {
			return nil
		}
		time.Sleep(10 * time.Millisecond) // until the kernel has taken leave of it
	}
	return fmt.Errorf("the group %s cannot be removed", g.dir)
}

func (r *runner) groupName(i int) string { return fmt.Sprintf("conch-chaos-%d-%d", os.Getpid(), i) }

// littleCPU: the node gets a few percent of a processor.
func (r *runner) littleCPU() *fault {
	i, percent := r.victim(), 2+r.rng.IntN(10)
	var g *group
	return &fault{nodes: []int{i}, length: r.span(time.Second, 8*time.Second),
		begin: func() (err error) {
			r.throttled[i].begin()
			g, err = newGroup("cpu", r.groupName(i), r.node(i).Pid(), "cpu.cfs_quota_us", strconv.Itoa(1000*percent))
			return err
		},
		end: func(context.Context) error {
			defer r.throttled[i].end()
			return g.end(r.node(i).Pid())
		}}
}

// littleMemory: the node may take little memory beside what it has; the kernel
// kills it when it needs more.
func (r *runner) littleMemory() *fault {
	i, more := r.victim(), int64(2+r.rng.IntN(14))<<20
	var g *group
	return &fault{nodes: []int{i}, length: r.span(time.Second, 8*time.Second),
		begin: func() (err error) {
			r.down[i].Store(true)
			// What a process has when it joins a group is not counted there.
			g, err = newGroup("memory", r.groupName(i), r.node(i).Pid(), "memory.limit_in_bytes", strconv.FormatInt(more, 10))
			return err
		},
		end: func(ctx context.Context) error {
			if err := g.end(r.node(i).Pid()); err != nil {
				return err
			}
			return r.revived(ctx, i, "having little memory", noMem, byKill)
		}}
}
