package raftnode

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/conch-lock/conch/raftnode/disk"
)

func TestAdmissionRemembers(t *testing.T) {
	fs := disk.NewMem()
	if err := fs.MkdirAll("/data"); err != nil {
		t.Fatal(err)
	}
	open := func() *admission {
		t.Helper()
		a, err := openAdmission(fs, "/data")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := open()
	for node, directory := range map[NodeID]uint64{2: 22, 3: 33} {
		for range 2 {
			if err := a.admit(node, directory); err != nil {
				t.Fatalf("node %v with directory %d: %v", node, directory, err)
			}
		}
	}
	for _, a := range []*admission{a, open()} {
		if err := a.admit(2, 23); !errors.Is(err, ErrOtherDirectory) {
			t.Errorf("node 2 with another directory: %v", err)
		}
		if err := a.admit(2, 22); err != nil {
			t.Errorf("node 2 with its own again: %v", err)
		}
	}
	if err := fs.FlipBit("/data/peers", 10, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := openAdmission(fs, "/data"); err == nil || !strings.Contains(err.Error(), "/data/peers is damaged") {
		t.Errorf("a damaged file: %v", err)
	}
}

// TestAdmissionIsDurable: a node that was admitted is known after a crash.
func TestAdmissionIsDurable(t *testing.T) {
	fs := disk.NewMem()
	if err := fs.MkdirAll("/data"); err != nil {
		t.Fatal(err)
	}
	if err := fs.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	a, err := openAdmission(fs, "/data")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.admit(2, 22); err != nil {
		t.Fatal(err)
	}
	fs.Crash(disk.DropUnsynced())
	if a, err = openAdmission(fs, "/data"); err != nil {
		t.Fatal(err)
	}
	if err := a.admit(2, 23); !errors.Is(err, ErrOtherDirectory) {
		t.Errorf("after a crash: %v", err)
	}
}

func TestExpelledNodeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3)
		f.leader()
		f.host[0].Expelled(2, errors.New("node 2 says so"))
		<-f.grp[0].Done()
		if err := f.grp[0].Err(); !errors.Is(err, ErrOtherDirectory) || !strings.Contains(err.Error(), "node 2 says so") {
			t.Errorf("it ended with: %v", err)
		}
		// Nor does another group run there any more.
		if _, err := f.host[0].StartGroup(GroupConfig{ID: 2, Cell: "other", Initial: f.initial(), Machine: &tally{}}); !errors.Is(err, ErrOtherDirectory) {
			t.Errorf("another group: %v", err)
		}
		f.stop(0)
		f.propose(f.leader(), "x")
		f.everywhere("x")
	})
}

func TestFailureToTakeNoteOfANodeIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		f.leader()
		f.fs[0].Inject(disk.Fault{Kind: disk.OpSync, Name: "peers"})
		if err := f.host[0].Admit(2, 22); err == nil {
			t.Error("admitted without being on disk")
		}
		<-f.grp[0].Done()
		if err := f.grp[0].Err(); errors.Is(err, ErrStopped) {
			t.Errorf("it ended with: %v", err)
		}
	})
}

// TestLostDataIsNotBegunAgain: a node whose files were removed, all or some, does not make a fresh start under the same
// identity.
func TestLostDataIsNotBegunAgain(t *testing.T) {
	remove := func(t *testing.T, fs *disk.Mem, dir string) {
		t.Helper()
		names, err := fs.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if err := fs.Remove(dir + "/" + n); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, x := range []struct {
		name string
		lose func(t *testing.T, fs *disk.Mem)
		want string
	}{
		{"log", func(t *testing.T, fs *disk.Mem) { remove(t, fs, "/data/cells/default/log") }, "its log is gone"},
		{"log and snapshots", func(t *testing.T, fs *disk.Mem) {
			remove(t, fs, "/data/cells/default/log")
			remove(t, fs, "/data/cells/default/snapshots")
		}, "its log is gone"},
		{"identity", func(t *testing.T, fs *disk.Mem) {
			if err := fs.Remove("/data/identity"); err != nil {
				t.Fatal(err)
			}
		}, `not the file "identity"`},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 1)
				f.leader()
				f.stop(0)
				x.lose(t, f.fs[0])
				h, err := NewHost(f.config(0))
				if err == nil {
					_, err = h.StartGroup(GroupConfig{ID: 1, Cell: "default", Initial: f.initial(), Machine: &tally{}, Tuning: snapshotTuning()})
					_ = h.Close()
				}
				if err == nil || !strings.Contains(err.Error(), x.want) {
					t.Errorf("it started again: %v, want %q", err, x.want)
				}
			})
		})
	}
}
