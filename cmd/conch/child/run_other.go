//go:build !linux

package child

import "errors"

// errOnlyLinux: keeping the promise of this package needs child subreapers and
// parent-death signals.
var errOnlyLinux = errors.New("running a command under a lock is possible on Linux only; nothing was started")

// Run fails: see doc.go for what it does on Linux.
func Run(Spec) (Result, error) { return Result{}, errOnlyLinux }

// Guard fails: there is no guard process without Run.
func Guard([]string) int { return 64 }

// Suspend has no effect.
func Suspend() {}
