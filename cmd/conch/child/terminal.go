//go:build linux

package child

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminal is standard input when that is conch's controlling terminal.
type terminal struct {
	group int // conch's own process group
}

// openTerminal returns nil when standard input is not the controlling terminal.
func openTerminal() *terminal {
	t := &terminal{group: unix.Getpgrp()}
	if t.foreground() <= 0 {
		return nil
	}
	return t
}

// foreground is the foreground process group, 0 when there is none any more.
func (t *terminal) foreground() int {
	group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	if err != nil {
		return 0
	}
	return group
}

// mine says whether conch's own group is the foreground group.
func (t *terminal) mine() bool { return t != nil && t.foreground() == t.group }

// give makes group the foreground group. SIGTTOU must be ignored or conch's
// group be the foreground group now.
func (t *terminal) give(group int) { _ = unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, group) }

// others lists the other processes of conch's group. There are some in a
// pipeline and in a script, where they need the terminal as well.
func (t *terminal) others() []proc {
	var out []proc
	for _, children := range processes() {
		for _, p := range children {
			if p.group == t.group && p.pid != os.Getpid() {
				out = append(out, p)
			}
		}
	}
	return out
}

// jobControlled says whether somebody could continue conch after a stop: a
// shell in the same session but outside of conch's process group. Without one
// the kernel, too, lets Ctrl-Z have no effect.
func jobControlled() bool {
	group := unix.Getpgrp()
	session, err := unix.Getsid(0)
	if err != nil {
		return false
	}
	for pid := os.Getppid(); pid > 0; {
		p, ok := readProc(pid)
		if !ok {
			return false
		}
		if p.group != group {
			theirs, err := unix.Getsid(pid)
			return err == nil && theirs == session
		}
		pid = p.parent
	}
	return false
}

// Suspend stops this process as Ctrl-Z does, when somebody could continue it.
func Suspend() {
	if jobControlled() {
		_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
	}
}
