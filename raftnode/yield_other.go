//go:build !linux

package raftnode

import "runtime"

// yield lets other goroutines of this process go first.
func yield() { runtime.Gosched() }
