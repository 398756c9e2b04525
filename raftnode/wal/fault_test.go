package wal

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/conch-lock/conch/raftnode/disk"
)

// TestFailedSyncEndsTheLog checks that a sync that failed is never tried again,
// and that nothing reaches the disk after it.
func TestFailedSyncEndsTheLog(t *testing.T) {
	m := disk.NewMem()
	l, _ := open(t, m, small)
	must(t, l.Append(Batch{Entries: ents(1, 2, 1), Sync: true}))
	m.Inject(disk.Fault{Kind: disk.OpSync})
	err := l.Append(Batch{Entries: ents(3, 4, 1), Sync: true})
	if !errors.Is(err, syscall.EIO) {
		t.Fatalf("append: %v", err)
	}
	ops := m.Ops()
	for name, again := range map[string]error{
		"append": l.Append(Batch{Entries: ents(3, 4, 1), Sync: true}), "empty sync": l.Append(Batch{Sync: true}),
		"mark": l.Mark(2, 1), "release": l.Release(1), "seal": l.Seal(),
	} {
		if again != err {
			t.Errorf("%s after the failure: %v", name, again)
		}
	}
	must(t, l.Close())
	if m.Ops() != ops {
		t.Fatal("the disk was touched after a failed sync")
	}

	// A new process finds the bytes in memory. If it returns them they have to
	// be on the disk by then, though the sync of the first never succeeded.
	_, c := open(t, m, small)
	m.Crash(disk.DropUnsynced())
	_, after := open(t, m, small)
	wantEntries(t, after.Entries, c.Entries)
	if len(after.Entries) < 2 {
		t.Fatal("acknowledged entries are gone")
	}
}

// TestFailuresAreFinal fails every kind of operation at every place where the
// log does it; the log ends, and what was acknowledged is there.
func TestFailuresAreFinal(t *testing.T) {
	for _, kind := range []disk.OpKind{disk.OpWrite, disk.OpSync, disk.OpRename, disk.OpSyncDir, disk.OpCreate, disk.OpRemove} {
		failed := 0
		for nth := 1; nth < 60; nth++ {
			m := disk.NewMem()
			l, _ := open(t, m, small)
			m.Inject(disk.Fault{Kind: kind, Nth: nth, Short: 100})
			var err error
			acked := uint64(0)
			for i := uint64(1); i < 40 && err == nil; i++ {
				e := Entry{Index: i, Term: 1, Data: make([]byte, 1500)}
				if err = l.Append(Batch{Entries: []Entry{e}, Sync: true}); err == nil {
					acked = i
				}
				if err == nil && i%10 == 0 {
					if err = l.Mark(i, 1); err == nil {
						err = l.Release(i)
					}
				}
			}
			if err != nil {
				failed++
				if again := l.Append(Batch{Sync: true}); again != err || !errors.Is(err, syscall.EIO) {
					t.Fatalf("%v %d: %v, then %v", kind, nth, err, again)
				}
			}
			m.ClearFaults()
			m.Crash(disk.DropUnsynced())
			_, c := open(t, m, small)
			if n := len(c.Entries); acked > c.Base && (n == 0 || c.Entries[n-1].Index < acked) {
				t.Fatalf("%v %d: %d was acknowledged, found %s", kind, nth, acked, brief(c.Entries))
			}
		}
		if failed == 0 {
			t.Errorf("no %v ever failed", kind)
		}
	}
}

// TestFullDisk fills the disk: it is told a segment ahead, the batch for which
// there is no room is refused whole, and with room again the log goes on.
func TestFullDisk(t *testing.T) {
	for _, early := range []disk.OpKind{disk.OpWrite, disk.OpSync} {
		m := disk.NewMem()
		l, _ := open(t, m, small)
		if early == disk.OpWrite {
			m.SetRoom(5000)
		} else { // a file system that allocates late
			m.Inject(disk.Fault{Kind: disk.OpSync, Name: preparedName, Err: syscall.ENOSPC, Always: true})
		}
		var all []Entry
		var err error
		for i := uint64(1); err == nil; i++ {
			e := Entry{Index: i, Term: 1, Data: make([]byte, 300)}
			if err = l.Append(Batch{Entries: []Entry{e}, Sync: true}); err != nil {
				break
			}
			all = append(all, e)
			if !l.Stats().NoSpace {
				t.Fatalf("%v: no warning after %d appends", early, i)
			}
			must(t, l.Seal())
		}
		if !errors.Is(err, ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "nothing of the batch was written") {
			t.Fatalf("%v: %v", early, err)
		}
		if len(all) < 15 {
			t.Fatalf("%v: only %d appends went into a segment", early, len(all))
		}
		must(t, l.Close())
		l, c := open(t, m, small) // still full: what is there can be read
		wantEntries(t, c.Entries, all)
		if c.Torn != 0 {
			t.Fatalf("%v: %d bytes were half written", early, c.Torn)
		}
		must(t, l.Close())
		m.SetRoom(-1)
		m.ClearFaults()
		l, c = open(t, m, small)
		goesOn(t, m, l, small, c)
	}
}

// TestSpaceComesBack checks that the warning ends without a restart.
func TestSpaceComesBack(t *testing.T) {
	m := disk.NewMem()
	l, _ := open(t, m, small)
	m.SetRoom(100)
	must(t, l.Append(Batch{Entries: ents(1, 1, 1), Sync: true}))
	if !l.Stats().NoSpace {
		t.Fatal("no warning")
	}
	m.SetRoom(-1)
	must(t, l.Seal())
	if l.Stats().NoSpace {
		t.Fatal("the warning stays")
	}
}

func TestNewLogOnFullDisk(t *testing.T) {
	m := disk.NewMem()
	m.SetRoom(1000)
	if _, _, err := Open(m, testDir, small); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("open: %v", err)
	}
	if names, _ := m.List(testDir); len(names) != 1 || names[0] != lockName {
		t.Fatalf("left %v", names)
	}
	m.SetRoom(-1)
	if _, c := open(t, m, small); !c.New {
		t.Fatal("not new")
	}
}

// TestUnreadable checks that an error of the disk is not called damage.
func TestUnreadable(t *testing.T) {
	m := disk.NewMem()
	l, _ := open(t, m, small)
	must(t, l.Close())
	for nth := 1; nth <= 2; nth++ {
		m.Inject(disk.Fault{Kind: disk.OpRead, Nth: nth})
		_, _, err := Open(m, testDir, small)
		var corrupt *CorruptError
		if !errors.Is(err, syscall.EIO) || errors.As(err, &corrupt) || !strings.Contains(err.Error(), segmentName(1)) {
			t.Fatalf("read %d: %v", nth, err)
		}
	}
}

// FuzzOpen opens arbitrary bytes, with zeros up to the size of a segment, as the
// only segment. Nothing panics; what opens can be appended to and reads back
// the same.
func FuzzOpen(f *testing.F) {
	for _, n := range []uint64{0, 1, 30} {
		m := disk.NewMem()
		l, _ := open(f, m, small)
		if n > 0 {
			must(f, l.Append(Batch{State: []byte("state"), Entries: ents(1, n, 1), Sync: true}))
			must(f, l.Append(Batch{Entries: ents(n, n+2, 2)}))
			must(f, l.Mark(n, 2))
			must(f, l.Seal())
		}
		must(f, l.Close())
		p, err := m.ReadFile(filepath.Join(testDir, segmentName(1)))
		must(f, err)
		f.Add(bytes.TrimRight(p, "\x00"))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if short := MinSegment - len(p); short > 0 {
			p = append(bytes.Clone(p), make([]byte, short)...)
		}
		m := disk.NewMem()
		must(t, m.MkdirAll(testDir))
		must(t, m.WriteFile(filepath.Join(testDir, segmentName(1)), p))
		l, c, err := Open(m, testDir, small)
		if err != nil {
			return
		}
		goesOn(t, m, l, small, c)
	})
}

// FuzzFrames puts arbitrary payloads, in frames that check, into a segment: what
// a bug in a writer could leave.
func FuzzFrames(f *testing.F) {
	for _, b := range []Batch{{}, {State: []byte("s")}, {Entries: ents(1, 3, 1)}, {Mark: Mark{9, 9}, Entries: ents(10, 11, 9)}} {
		f.Add(b.encode(nil, b.Mark != Mark{}))
	}
	f.Add([]byte{kindNext, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) > 8000 {
			return
		}
		m := disk.NewMem()
		l, _ := open(t, m, small)
		frame := pad(append(make([]byte, headerBytes), payload...))
		must(t, l.room(len(frame)))
		l.chain(frame, len(payload))
		must(t, l.write(frame, false))
		must(t, l.Close())
		l, c, err := Open(m, testDir, small)
		if err != nil {
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) {
				t.Fatal(err)
			}
			return
		}
		if c.Base < 1<<62 {
			goesOn(t, m, l, small, c)
		}
	})
}
