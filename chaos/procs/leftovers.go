//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A run that is killed cannot take down what it has made: the next one does.
// Names of links, namespaces and groups have the number of the process that made
// them, and beside the disks of a run lies a file with it.

// ownerFile is that file, in the folder of a run.
const ownerFile = "run.pid"

// own says that a folder is of this process.
func own(dir string) error {
	return os.WriteFile(filepath.Join(dir, ownerFile), []byte(strconv.Itoa(os.Getpid())), 0o644)
}

// ours are the names that a run gives to what it makes.
var ours = []*regexp.Regexp{
	regexp.MustCompile(`^cpb_(\d+)$`), regexp.MustCompile(`^cpp_(\d+)-\d+$`),
	regexp.MustCompile(`^cpn_(\d+)-\d+$`), regexp.MustCompile(`^conch-chaos-(\d+)-\d+$`),
}

// orphaned says whether a name is one that a process gave which is gone.
func orphaned(name string) bool {
	for _, r := range ours {
		if m := r.FindStringSubmatch(name); m != nil {
			return gone(m[1])
		}
	}
	return false
}

// gone says whether there is no process with this number.
func gone(pid string) bool {
	n, err := strconv.Atoi(strings.TrimSpace(pid))
	return err == nil && n > 0 && errors.Is(unix.Kill(n, 0), unix.ESRCH)
}

// sweep removes what runs that are gone have left behind, and says what that was.
func sweep() []string {
	var out []string
	remove := func(what string, how func() error) {
		if err := how(); err != nil {
			what = fmt.Sprintf("%s (which did not work: %v)", what, err)
		}
		out = append(out, what)
	}
	// The ports before the namespaces with their other ends: see network.close.
	for _, folder := range []string{"/sys/class/net", "/run/netns"} {
		entries, _ := os.ReadDir(folder) // there need be none
		for _, e := range entries {
			switch name := e.Name(); {
			case !orphaned(name):
			case folder == "/run/netns":
				remove("namespace "+name, func() error { return program("ip", "netns", "del", name) })
			default:
				remove("link "+name, func() error { return program("ip", "link", "del", name) })
			}
		}
	}
	for _, controller := range []string{"cpu", "memory"} {
		dirs, _ := filepath.Glob(filepath.Join("/sys/fs/cgroup", controller, "conch-chaos-*"))
		for _, d := range dirs {
			if orphaned(filepath.Base(d)) {
				remove("group "+d, func() error { return os.Remove(d) })
			}
		}
	}
	for _, f := range freezers {
		dirs, _ := filepath.Glob(filepath.Join(f.dir, "conch-chaos-*"))
		for _, d := range dirs {
			if orphaned(filepath.Base(d)) { // what is frozen there was killed, and does not know it
				remove("group "+d, func() error {
					g := &group{d}
					return errors.Join(g.set(f.file, f.thaw), g.remove())
				})
			}
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for _, mount := range orphanedDisks(string(mounts)) {
		remove("disk "+mount, func() error {
			d := &supply{mount: mount}
			_ = d.thaw() // it may have been killed while that was frozen
			return unix.Unmount(mount, unix.MNT_DETACH)
		})
	}
	return out
}

// orphanedDisks are the disks among mounts, as /proc/self/mounts lists them, whose
// run is gone. The loop device of one goes with it.
func orphanedDisks(mounts string) []string {
	var out []string
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 3 || !strings.HasPrefix(f[0], "/dev/loop") || f[2] != "ext4" {
			continue
		}
		mount := unescape.Replace(f[1])
		if ok, _ := filepath.Match("n*.disk", filepath.Base(mount)); !ok {
			continue
		}
		if pid, err := os.ReadFile(filepath.Join(filepath.Dir(mount), ownerFile)); err == nil && gone(string(pid)) {
			out = append(out, mount)
		}
	}
	return out
}
