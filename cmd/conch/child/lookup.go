package child

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// Lookup finds the program that name means, as a shell would: by PATH unless
// it contains a slash. The error is a *StartError.
func Lookup(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil || errors.Is(err, exec.ErrDot) { // a dot in PATH is the user's choice
		return path, nil
	}
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
	case errors.Is(err, fs.ErrPermission):
		errno = syscall.EACCES
	default:
		errno = syscall.ENOENT
	}
	if errno == syscall.ENOENT && !strings.Contains(name, "/") && inPath(name) {
		errno = syscall.EACCES // there, but not executable
	}
	return "", &StartError{Path: name, Err: errno}
}

// inPath says whether some folder of PATH has a file of that name at all.
func inPath(name string) bool {
	for _, dir := range strings.Split(os.Getenv("PATH"), string(os.PathListSeparator)) {
		if dir == "" {
			dir = "."
		}
		if info, err := os.Stat(dir + "/" + name); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}
