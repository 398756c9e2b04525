// Package process runs the servers that are measured and reads from /proc what
// they cost. It needs Linux.
//
// Nothing stays behind: a process is killed by its own id, and the kernel kills
// it when the one that started it dies.
package process
