//go:build unix && !linux

package cluster

import "syscall"

// processAttributes keep a process out of the terminal's group, so that Ctrl-C
// reaches the one that cleans up.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
