//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/conch-lock/conch/raftnode/disk"
)

// The requests FIFREEZE and FITHAW, _IOWR('X', 119 and 120, int): a file system
// that is frozen lets nobody write or sync until it is thawed.
const (
	fsFreeze = 0xc0045877
	fsThaw   = 0xc0045878
)

func (d *supply) control(request uint) error {
	dir, err := os.Open(d.mount)
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.IoctlSetInt(int(dir.Fd()), request, 0)
}

func (d *supply) freeze() error { return d.control(fsFreeze) }

// thaw ends it; one that is not frozen is none the worse.
func (d *supply) thaw() error {
	if err := d.control(fsThaw); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("thaw %s: %w", d.mount, err)
	}
	return nil
}

// fill takes all room that is left; empty gives it back.
func (d *supply) fill() error {
	f, err := os.Create(filepath.Join(d.mount, "filler"))
	if err != nil {
		return err
	}
	defer f.Close()
	for size := int64(64 << 20); size >= 4096; {
		at, _ := f.Seek(0, 2)
		if unix.Fallocate(int(f.Fd()), 0, at, size) != nil {
			size /= 4
		}
	}
	return nil
}

// empty makes the removal last: a power cut right after it would bring the file back,
// and the disk would be full in a fault that is over.
func (d *supply) empty() error {
	if err := os.Remove(filepath.Join(d.mount, "filler")); err != nil {
		return err
	}
	return disk.OS{}.SyncDir(d.mount)
}

// revived ends a fault under which a node may have ended by itself, in one of
// these ways.
func (r *runner) revived(ctx context.Context, i int, after string, may ...ending) error {
	if r.node(i).Running() {
		r.down[i].Store(false)
		return nil
	}
	r.endedAs(i, after, may...)
	r.history.count("a node ended by itself, as it may under such a fault: " + after)
	return r.revive(ctx, i)
}

// diskStalled: nothing is written or synced for a while.
func (r *runner) diskStalled() *fault {
	i := r.victim()
	return &fault{nodes: []int{i}, length: r.span(100*time.Millisecond, 5*time.Second),
		begin: r.disks[i].freeze,
		end:   func(context.Context) error { return r.disks[i].thaw() }}
}

// diskSlow: every write and sync may have to wait for a part of a second.
func (r *runner) diskSlow() *fault {
	i, length, stall := r.victim(), r.span(time.Second, 8*time.Second), r.span(10*time.Millisecond, 300*time.Millisecond)
	return &fault{nodes: []int{i}, begin: func() error {
		for since := time.Now(); time.Since(since) < length && r.ctx.Err() == nil; {
			if err := r.disks[i].freeze(); err != nil {
				return err
			}
			time.Sleep(stall)
			if err := r.disks[i].thaw(); err != nil {
				return err
			}
			time.Sleep(5 * time.Millisecond)
		}
		return nil
	}}
}

// diskFails: every write and sync fails from now on. A node that writes must end
// by itself, since it cannot know what is on the disk.
func (r *runner) diskFails() *fault {
	i := r.victim()
	const soon = 10 * time.Second
	return &fault{nodes: []int{i}, length: r.span(0, 2*time.Second),
		begin: func() error {
			r.down[i].Store(true)
			if err := r.disks[i].cut(); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(r.ctx, soon)
			defer cancel()
			if _, err := r.node(i).Ended(ctx); err != nil { // cut off from the others, it has nothing to write
				r.history.count("a node had nothing to write to its failed disk")
				if err := r.kill(i, "the failure of its disk", noDisk); err != nil {
					return err
				}
				return errVain
			}
			r.endedAs(i, "the failure of its disk", noDisk)
			return nil
		},
		end: func(ctx context.Context) error {
			if err := r.disks[i].remount(); err != nil {
				return err
			}
			return r.revive(ctx, i)
		}}
}

// syncFails: one sync of the log fails, and later ones do not. The node must end
// by itself all the same: what the disk lost it never tells again.
func (r *runner) syncFails() *fault {
	i := r.victim()
	const soon = 10 * time.Second
	return &fault{nodes: []int{i}, length: r.span(0, 2*time.Second),
		begin: func() error {
			r.down[i].Store(true)
			if err := os.WriteFile(r.orders[i], nil, 0o600); err != nil {
				return err
			}
			since, err := now(), error(nil)
			for goesOn := true; goesOn; { // for as long as the machine held something up, it has not had its time
				ctx, cancel := context.WithTimeout(r.ctx, soon)
				_, err = r.node(i).Ended(ctx)
				cancel()
				_, untaken := os.Stat(r.orders[i])
				took := now() - since
				goesOn = err != nil && untaken != nil && r.ctx.Err() == nil && took < grantAtLast && took-stalled(r.outages.seen(), since, now()) < soon
			}
			if os.Remove(r.orders[i]) == nil { // nobody has taken the order
				r.history.count("a node had nothing to sync when it was to fail")
				if err := r.kill(i, "no sync at all, of which one was to fail"); err != nil {
					return err
				}
				return errVain
			}
			if err != nil {
				if r.ctx.Err() == nil {
					r.history.violation("node %s went on for %v after a sync of its log had failed: see %s", r.node(i).Name, (now() - since).Round(time.Second), r.node(i).LogFile)
				}
				return r.node(i).Kill()
			}
			r.endedAs(i, "a failed sync of its log", noSync)
			return nil
		},
		end: func(ctx context.Context) error { return r.revive(ctx, i) }}
}

// diskFull: there is no room left.
func (r *runner) diskFull() *fault {
	i := r.victim()
	return &fault{nodes: []int{i}, length: r.span(time.Second, 8*time.Second),
		begin: func() error { r.down[i].Store(true); return r.disks[i].fill() },
		end: func(ctx context.Context) error {
			if err := r.disks[i].empty(); err != nil {
				return err
			}
			return r.revived(ctx, i, "a full disk", noRoom)
		}}
}

// fileDamaged is the kind of fault that comes near the end: a node that refuses
// to start stays down, since there is no way back for it yet.
const fileDamaged = "file damaged"

// damaged: a file of the log or a snapshot is damaged while the node is down. It
// repairs that or refuses to start and says why, and then stays down. Only a
// minority is ever damaged, in the last sixth of a run.
func (r *runner) damaged() *fault {
	dead := 0
	for i := range r.dead {
		if r.dead[i].Load() {
			dead++
		}
	}
	if dead >= (r.cfg.nodes-1)/2 || now()-r.stormed < r.cfg.length*5/6 {
		return nil
	}
	i := r.victim()
	seed := r.rng.Uint64()
	var hit string
	return &fault{nodes: []int{i}, length: r.span(0, time.Second),
		begin: func() (err error) {
			r.down[i].Store(true)
			if err := r.kill(i, "SIGKILL"); err != nil {
				return err
			}
			hit, err = damageFile(rand.New(rand.NewPCG(seed, 0)), r.node(i).Data)
			return err
		},
		end: func(ctx context.Context) error {
			if err := r.node(i).Start(); err != nil {
				return err
			}
			err := r.node(i).Ready(ctx)
			if err == nil {
				r.down[i].Store(false)
				r.history.count("a damaged node goes on")
				return nil
			}
			if r.node(i).Running() {
				return err
			}
			r.endedAs(i, "damage of "+hit, refusal)
			r.dead[i].Store(true)
			r.history.count("a damaged node refused to start")
			r.say("node %s has refused to start after damage of %s and stays down", r.node(i).Name, hit)
			r.outages.begin("damaged, and down for good", "", r.node(i).Name)
			return nil
		}}
}

// damageFile damages one file of a node's log or snapshots, and says which and how.
func damageFile(rng *rand.Rand, data string) (string, error) {
	var files []string
	for _, pattern := range []string{"cells/*/log/*.wal", "cells/*/snapshots/*"} {
		found, err := filepath.Glob(filepath.Join(data, pattern))
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return "", fmt.Errorf("there is no log in %s", data)
	}
	slices.Sort(files)
	file := files[rng.IntN(len(files))]
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	used := len(b)
	for used > 1 && b[used-1] == 0 {
		used--
	}
	at := rng.IntN(used)
	how := ""
	switch rng.IntN(4) {
	case 0:
		how = fmt.Sprintf("bit of byte %d", at)
		b[at] ^= 1 << rng.IntN(8)
	case 1:
		how = fmt.Sprintf("sector %d", at/512)
		clear(b[at/512*512 : min(len(b), (at/512+1)*512)])
	case 2:
		how = fmt.Sprintf("everything after byte %d", at)
		b = b[:at]
	default:
		return file + " as a whole", os.Remove(file)
	}
	return file + ", " + how, os.WriteFile(file, b, 0o600)
}
