//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A temporary folder is removed at the end of its run, if it is not worth keeping.
// The run that made it holds a lock on a file in it meanwhile: a folder whose file
// nobody holds is of a run that was killed. One that is to stay has no such file.

// passingFile is that file.
const passingFile = "passing"

// folderPattern are the names of such folders.
const folderPattern = "conch-procs-*"

// folder is the temporary folder of a run.
type folder struct {
	path string
	held *os.File // passingFile, locked
}

// newFolder makes one.
func newFolder(parent string) (*folder, error) {
	path, err := os.MkdirTemp(parent, folderPattern)
	if err != nil {
		return nil, err
	}
	// Under its name it is locked from the beginning: whoever could lock it would
	// take this run for a dead one.
	name := filepath.Join(path, passingFile)
	f, err := os.Create(name + ".new")
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	err = errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), os.Rename(f.Name(), name))
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.RemoveAll(path))
	}
	return &folder{path, f}, nil
}

// keep has it stay, whatever becomes of this process.
func (f *folder) keep() { _ = os.Remove(filepath.Join(f.path, passingFile)) } // it may be done already

// end is the end of its run.
func (f *folder) end(stays bool) error {
	defer f.held.Close()
	if stays {
		f.keep()
		return nil
	}
	return os.RemoveAll(f.path)
}

// sweepFolders removes the temporary folders of runs that were killed, and says
// which those were. Nothing is mounted in them any more.
func sweepFolders(parent string) []string {
	var out []string
	all, _ := filepath.Glob(filepath.Join(parent, folderPattern, passingFile)) // the pattern is sound
	for _, file := range all {
		f, err := os.Open(file)
		if err != nil {
			continue // it is somebody else's, or gone
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			what := "folder " + filepath.Dir(file)
			if err := os.RemoveAll(filepath.Dir(file)); err != nil {
				what += fmt.Sprintf(" (which did not work: %v)", err)
			}
			out = append(out, what)
		}
		_ = f.Close()
	}
	return out
}
