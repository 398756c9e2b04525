package raftnode

import "syscall"

// yield lets another thread that wants this processor have it first. It is no call
// that blocks, so the runtime need not look after it.
func yield() { _, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
