//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ext4Shutdown is the request EXT4_IOC_SHUTDOWN, _IOR('X', 125, uint32): from
// then on the file system refuses everything. With noLogFlush not even its
// journal is written: what was not fsynced is gone at the next mount.
const (
	ext4Shutdown = 0x8004587d
	noLogFlush   = 2
)

// supply is a file system in a file, whose power can be cut.
type supply struct {
	image, mount string
	mounted      bool
	cuts         atomic.Int64 // how often it lost what was not synced
}

// spareName is that of a disk without a node: how long the machine takes for a sync
// of such a file system, which is one in a file of another, is measured there.
const spareName = "n0"

func newSupply(dir, name string) (*supply, error) {
	d := &supply{image: filepath.Join(dir, name+".ext4"), mount: filepath.Join(dir, name+".disk")}
	if err := os.Mkdir(d.mount, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(512<<20), f.Close()); err != nil { // takes up what is written
		return nil, err
	}
	if err := program("mkfs.ext4", "-q", "-F", d.image); err != nil {
		return nil, err
	}
	if err := d.remount(); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *supply) cut() error {
	dir, err := os.Open(d.mount)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.IoctlSetPointerInt(int(dir.Fd()), ext4Shutdown, noLogFlush); err != nil {
		return fmt.Errorf("shut down the file system at %s: %w", d.mount, err)
	}
	d.cuts.Add(1)
	return nil
}

// remount mounts the disk, and takes it down before when it is mounted. It is
// the one whose power was cut, and not a new one, as long as anybody else has a
// copy of its mount, which other programs do for moments.
func (d *supply) remount() error {
	const soon = 10 * time.Second
	for since := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if d.mounted {
			if err := unix.Unmount(d.mount, 0); err != nil {
				return fmt.Errorf("unmount %s: %w", d.mount, err)
			}
			d.mounted = false
		}
		if err := program("mount", "-o", "loop", d.image, d.mount); err != nil {
			return err
		}
		d.mounted = true
		err := os.WriteFile(filepath.Join(d.mount, "alive"), nil, 0o600)
		if !errors.Is(err, unix.EIO) || time.Since(since) > soon {
			return err
		}
	}
}

func (d *supply) close() {
	if d.mounted {
		_ = unix.Unmount(d.mount, unix.MNT_DETACH)
	}
}
