package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// exclusively takes folders for this run alone: two runs with one folder of
// programs would start servers from what the other has just built, and with one
// folder of results would overwrite them. The system lets go of them with the
// process.
func exclusively(dirs ...string) (release func(), err error) {
	var held []*os.File
	var infos []os.FileInfo
	release = func() {
		for _, f := range held {
			_ = f.Close()
		}
	}
	for _, dir := range dirs {
		f, err := os.Open(dir)
		if err != nil {
			release()
			return nil, err
		}
		held = append(held, f)
		info, err := f.Stat()
		if err != nil {
			release()
			return nil, err
		}
		again := false
		for _, other := range infos {
			again = again || os.SameFile(info, other)
		}
		if infos = append(infos, info); again {
			continue
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("another run uses %s: two at a time measure each other", dir)
		}
		if err != nil {
			release()
			return nil, err
		}
	}
	return release, nil
}
