//go:build unix && !linux

package cluster

import "syscall"

// ProcessAttributes keep a process out of the terminal's group, so that Ctrl-C
// reaches the one that cleans up.
func ProcessAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
