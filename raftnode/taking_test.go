package raftnode

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/conch-lock/conch/raftnode/disk"
	"github.com/rs/zerolog"
)

// taker is a node of its own that takes snapshots of a few pieces when it is told to. What it does beside its turns waits in
// background.
type taker struct {
	*Replica
	fs         *disk.Mem
	machine    *tally
	background []func()
	now        time.Duration
}

func newTaker(t *testing.T, pause time.Duration, syncEvery int64) *taker {
	t.Helper()
	k := &taker{fs: disk.NewMem(), machine: &tally{}}
	tuning := smallTuning()
	tuning.SnapshotBytes, tuning.SnapshotPause, tuning.SnapshotSync = 10<<20, pause, syncEvery
	var err error
	k.Replica, err = NewReplica(ReplicaConfig{
		Cluster: 7, Group: 1, Node: 1, FS: k.fs, Dir: "/data/g", Initial: []Member{{ID: 1, Name: "n1", Address: "n1:1"}},
		Machine: k.machine, Outbox: &simNode{c: &cluster{t: t}, id: 1}, Background: func(f func()) { k.background = append(k.background, f) },
		Tuning: tuning, Rand: rand.New(rand.NewPCG(1, 2)), Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	for k.machine.leads == 0 {
		k.turn(t, 50*time.Millisecond)
	}
	for range 8 {
		k.machine.queue = append(k.machine.queue, []byte(strings.Repeat("x", snapshotPiece)))
	}
	for len(k.machine.values) < 8 {
		k.turn(t, time.Millisecond)
	}
	k.since = 0
	if err := k.beginSnapshot(k.now); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *taker) turn(t *testing.T, later time.Duration) Outputs {
	t.Helper()
	k.now += later
	out, err := k.Turn(k.now, Inputs{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// work does what waits beside the turns.
func (k *taker) work() {
	work := k.background
	k.background = nil
	for _, f := range work {
		f()
	}
}

func (k *taker) temporary(t *testing.T) bool {
	t.Helper()
	names, err := k.fs.List("/data/g/snapshots")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(names, func(s string) bool { return strings.HasSuffix(s, ".tmp") })
}

// Between two pieces of a snapshot is a pause, which asks for no turn before it is over, and is shorter when the next
// snapshot comes nearer.
func TestPiecesAreApart(t *testing.T) {
	const pause = 10 * time.Millisecond
	k := newTaker(t, pause, 1<<30)
	out := k.turn(t, 0)
	one := k.taking.written
	if one == 0 {
		t.Fatal("nothing was written in the first turn")
	}
	for range 5 {
		if out.Busy || out.Next != k.now+pause {
			t.Fatalf("it is %v: the next turn is to be at %v, at once: %v", k.now, out.Next, out.Busy)
		}
		if out = k.turn(t, 0); k.taking.written != one {
			t.Fatalf("%d bytes were written in one pause, the first time %d", k.taking.written, one)
		}
	}
	k.since = k.cfg.Tuning.SnapshotBytes * 3 / 4
	out = k.turn(t, pause)
	if k.taking.written <= one {
		t.Fatal("nothing was written after the pause")
	}
	if want := k.now + pause/2; out.Next != want {
		t.Errorf("with three quarters of the next snapshot's entries applied the next piece is due at %v, not at %v", out.Next, want)
	}
	k.since = 2 * k.cfg.Tuning.SnapshotBytes
	if out = k.turn(t, pause); !out.Busy {
		t.Errorf("the next snapshot is due, and this one waits until %v", out.Next)
	}
}

// A long snapshot is synced now and then, beside the turns, and goes on when that has ended.
func TestPartsAreSynced(t *testing.T) {
	k := newTaker(t, -1, 3*snapshotPiece)
	syncs := 0
	for k.taking != nil {
		out := k.turn(t, 0)
		if k.taking != nil && k.taking.sync != nil {
			syncs++
			if out = k.turn(t, 0); out.Busy {
				t.Fatal("it asks for turns while it waits for the disk")
			}
			k.work()
		}
		if syncs > 100 {
			t.Fatal("it does not end")
		}
	}
	if syncs < 3 {
		t.Errorf("%d syncs of eight pieces", syncs)
	}
	if k.Status().Snapshot != k.applied {
		t.Errorf("the newest snapshot is of %d, not of %d", k.Status().Snapshot, k.applied)
	}
}

// The pause goes on while a part is synced, and after it.
func TestSyncEndsNoPause(t *testing.T) {
	const pause = 10 * time.Millisecond
	k := newTaker(t, pause, 1)
	k.turn(t, 0)
	k.work()
	out := k.turn(t, pause/2)
	if want := k.now + pause/2; out.Busy || out.Next != want || k.taking.sync != nil {
		t.Errorf("the next turn is to be at %v, at once: %v: want %v", out.Next, out.Busy, want)
	}
}

// A snapshot that is given up while a part of it is synced leaves no file, whether the sync has ended or not.
func TestGivenUpWhileItSyncs(t *testing.T) {
	for _, ended := range []bool{false, true} {
		k := newTaker(t, -1, 1)
		k.turn(t, 0)
		if k.taking.sync == nil {
			t.Fatal("no sync is under way")
		}
		if ended {
			k.work()
		}
		k.abortSnapshot()
		k.work()
		if k.temporary(t) || k.taking != nil {
			t.Errorf("with the sync ended before: %v: it is still there", ended)
		}
	}
}

// A sync of a part that finds the disk full puts the snapshot off, as one of the whole does; another error ends the node.
func TestFailedSyncOfAPart(t *testing.T) {
	for _, failure := range []error{syscall.ENOSPC, syscall.EIO} {
		k := newTaker(t, -1, 1)
		k.turn(t, 0)
		k.fs.SetHook(func(op disk.Op) error {
			if op.Kind == disk.OpSync {
				return failure
			}
			return nil
		})
		k.work()
		k.fs.SetHook(nil)
		_, err := k.Turn(k.now, Inputs{})
		if full := failure == syscall.ENOSPC; full != (err == nil) || !full && !errors.Is(err, failure) {
			t.Fatalf("%v ends in %v", failure, err)
		}
		if k.temporary(t) || k.taking != nil {
			t.Errorf("after %v the file is still there", failure)
		}
	}
}
