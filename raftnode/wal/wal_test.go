package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/conch-lock/conch/raftnode/disk"
)

const testDir = "/cell/wal"

var small = Options{SegmentBytes: MinSegment}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, fs disk.FS, o Options) (*Log, Contents) {
	t.Helper()
	l, c, err := Open(fs, testDir, o)
	must(t, err)
	return l, c
}

// reopen closes the log and opens it again.
func reopen(t testing.TB, fs disk.FS, l *Log, o Options) (*Log, Contents) {
	t.Helper()
	must(t, l.Close())
	return open(t, fs, o)
}

// ents are entries from first on with a term and data of their own.
func ents(first, last, term uint64) []Entry {
	var es []Entry
	for i := first; i <= last; i++ {
		es = append(es, Entry{Index: i, Term: term, Type: uint8(i % 3), Data: fmt.Appendf(nil, "entry %d of term %d", i, term)})
	}
	return es
}

func same(a, b []Entry) bool {
	return slices.EqualFunc(a, b, func(x, y Entry) bool {
		return x.Index == y.Index && x.Term == y.Term && x.Type == y.Type && bytes.Equal(x.Data, y.Data)
	})
}

func wantEntries(t testing.TB, got, want []Entry) {
	t.Helper()
	if !same(got, want) {
		t.Fatalf("entries %s, want %s", brief(got), brief(want))
	}
}

func brief(es []Entry) string {
	if len(es) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d to %d (term %d)", es[0].Index, es[len(es)-1].Index, es[len(es)-1].Term)
}

func TestAppendAndReopen(t *testing.T) {
	m := disk.NewMem()
	l, c := open(t, m, Options{SegmentBytes: 64 << 10})
	if !c.New || c.State != nil || len(c.Entries) > 0 {
		t.Fatalf("a new log has %+v", c)
	}
	must(t, l.Append(Batch{State: []byte("one"), Entries: ents(1, 10, 1)}))
	must(t, l.Append(Batch{Entries: ents(8, 12, 2), Sync: true})) // replaces 8 to 10
	must(t, l.Append(Batch{State: []byte{}}))
	must(t, l.Append(Batch{Entries: []Entry{{Index: 13, Term: 2, Data: []byte{}}}}))
	must(t, l.Append(Batch{Sync: true}))
	l, c = reopen(t, m, l, Options{SegmentBytes: 16 << 10})
	if c.New || c.State == nil || len(c.State) != 0 || c.Base != 0 || c.Torn != 0 {
		t.Fatalf("contents %+v", c)
	}
	want := append(append(ents(1, 7, 1), ents(8, 12, 2)...), Entry{Index: 13, Term: 2})
	wantEntries(t, c.Entries, want)
	if c.Entries[12].Data != nil {
		t.Error("empty data did not read back as nil")
	}
	must(t, l.Append(Batch{Entries: ents(14, 14, 3), State: []byte("two"), Sync: true}))
	l, c = reopen(t, m, l, Options{})
	wantEntries(t, c.Entries, append(want, ents(14, 14, 3)...))
	if string(c.State) != "two" {
		t.Fatalf("state %q", c.State)
	}
	if s := l.Stats(); s.First != 1 || s.Last != 14 || s.Segments != 1 || s.Bytes != 64<<10 {
		t.Fatalf("stats %+v", s)
	}
	must(t, l.Close())
	if err := l.Append(Batch{Sync: true}); !errors.Is(err, ErrClosed) {
		t.Fatalf("append after close: %v", err)
	}
	if err := l.Close(); !errors.Is(err, ErrClosed) {
		t.Fatalf("second close: %v", err)
	}
}

func TestMark(t *testing.T) {
	m := disk.NewMem()
	l, _ := open(t, m, small)
	must(t, l.Append(Batch{Entries: ents(1, 10, 1), Sync: true}))

	must(t, l.Mark(4, 1)) // a snapshot of our own: the entries stay
	l, c := reopen(t, m, l, small)
	if c.Base != 4 || c.BaseTerm != 1 {
		t.Fatalf("mark %d, %d", c.Base, c.BaseTerm)
	}
	wantEntries(t, c.Entries, ents(1, 10, 1))

	must(t, l.Mark(8, 2)) // another entry is at 8: what we have is void
	l, c = reopen(t, m, l, small)
	if c.Base != 8 || c.BaseTerm != 2 || len(c.Entries) != 0 {
		t.Fatalf("%+v", c)
	}

	must(t, l.Append(Batch{Mark: Mark{20, 3}, State: []byte("s"), Entries: ents(21, 22, 3), Sync: true})) // past the end
	l, c = reopen(t, m, l, small)
	if c.Base != 20 || c.BaseTerm != 3 || string(c.State) != "s" {
		t.Fatalf("%+v", c)
	}
	wantEntries(t, c.Entries, ents(21, 22, 3))
	must(t, l.Mark(20, 3)) // again: nothing changes
	if err := l.Mark(19, 3); !errors.Is(err, ErrInvalid) {
		t.Fatalf("a mark went back: %v", err)
	}
}

func TestInvalidIsRefusedForGood(t *testing.T) {
	for name, b := range map[string]Batch{
		"gap":             {Entries: ents(12, 12, 1)},
		"index 0":         {Entries: []Entry{{Index: 0, Term: 1}}},
		"below the mark":  {Entries: ents(3, 12, 1)},
		"gap inside":      {Entries: append(ents(11, 11, 1), ents(13, 13, 1)...)},
		"large state":     {State: make([]byte, MaxStateBytes+1)},
		"large batch":     {Entries: []Entry{{Index: 11, Term: 1, Data: make([]byte, MaxFrameBytes)}}},
		"mark back":       {Mark: Mark{2, 1}},
		"mark other term": {Mark: Mark{3, 2}},
		"mark 0":          {Mark: Mark{0, 2}},
		"below new mark":  {Mark: Mark{15, 2}, Entries: ents(15, 16, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			m := disk.NewMem()
			l, _ := open(t, m, small)
			must(t, l.Append(Batch{Entries: ents(1, 10, 1), Mark: Mark{}, Sync: true}))
			must(t, l.Mark(3, 1))
			err := l.Append(b)
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "nothing was written") {
				t.Fatalf("error %v", err)
			}
			if again := l.Append(Batch{Entries: ents(11, 11, 1), Sync: true}); again != err {
				t.Fatalf("the log went on after %v: %v", err, again)
			}
			_, c := reopen(t, m, l, small)
			wantEntries(t, c.Entries, ents(1, 10, 1))
		})
	}
}

func TestSegmentsAndRelease(t *testing.T) {
	m := disk.NewMem()
	l, _ := open(t, m, small)
	var all []Entry
	data := make([]byte, 700)
	for i := uint64(1); i <= 200; i++ {
		e := Entry{Index: i, Term: 1 + i/50, Data: data}
		all = append(all, e)
		must(t, l.Append(Batch{State: fmt.Appendf(nil, "state %d", i), Entries: []Entry{e}, Sync: true}))
	}
	before := l.Stats()
	if before.Segments < 9 {
		t.Fatalf("%d segments", before.Segments)
	}
	must(t, l.Release(100))
	if s := l.Stats(); s.Segments != before.Segments {
		t.Fatal("released without a mark")
	}
	must(t, l.Mark(120, 3))
	must(t, l.Release(100))
	s := l.Stats()
	if s.First <= 1 || s.First > 101 || s.Segments >= before.Segments {
		t.Fatalf("after release: %+v", s)
	}
	l, c := reopen(t, m, l, small)
	if c.Base != 120 || string(c.State) != "state 200" {
		t.Fatalf("%d %q", c.Base, c.State)
	}
	wantEntries(t, c.Entries, all[s.First-1:])
	must(t, l.Release(500)) // no further than the mark
	l, c = reopen(t, m, l, small)
	if c.Entries[0].Index > 121 || c.Entries[0].Index <= s.First {
		t.Fatalf("entries from %d", c.Entries[0].Index)
	}

	// A batch larger than a segment gets one of its own.
	big := Entry{Index: 201, Term: 5, Data: bytes.Repeat([]byte("x"), 100<<10)}
	must(t, l.Append(Batch{Entries: []Entry{big}, Sync: true}))
	must(t, l.Append(Batch{Entries: ents(202, 203, 5), Sync: true}))
	l, c = reopen(t, m, l, small)
	wantEntries(t, c.Entries[len(c.Entries)-3:], append([]Entry{big}, ents(202, 203, 5)...))

	// A snapshot ahead of the log frees all of it but the active segment.
	must(t, l.Mark(1000, 9))
	must(t, l.Release(1000))
	if s := l.Stats(); s.Segments != 1 && s.Segments != 2 {
		t.Fatalf("%d segments after a reset", s.Segments)
	}
	must(t, l.Append(Batch{Entries: ents(1001, 1002, 9), Sync: true}))
	_, c = reopen(t, m, l, small)
	wantEntries(t, c.Entries, ents(1001, 1002, 9))
}

func TestLockedAndIdentity(t *testing.T) {
	m := disk.NewMem()
	o := small
	o.Identity = 7
	l, _ := open(t, m, o)
	if _, _, err := Open(m, testDir, o); !errors.Is(err, disk.ErrLocked) {
		t.Fatalf("second open: %v", err)
	}
	must(t, l.Append(Batch{Entries: ents(1, 1, 1), Sync: true}))
	must(t, l.Close())
	if _, _, err := Open(m, testDir, small); !errors.Is(err, ErrIdentity) {
		t.Fatalf("another group's log: %v", err)
	}
	if _, _, err := Open(m, testDir, Options{SegmentBytes: 1}); !errors.Is(err, ErrInvalid) {
		t.Fatalf("tiny segments: %v", err)
	}
	_, c := open(t, m, o) // the refusals left no lock behind
	wantEntries(t, c.Entries, ents(1, 1, 1))
}

// TestLockedOnDisk checks the same on the real disk.
func TestLockedOnDisk(t *testing.T) {
	dir := t.TempDir()
	l, _, err := Open(disk.OS{}, dir, small)
	must(t, err)
	if _, _, err := Open(disk.OS{}, dir, small); !errors.Is(err, disk.ErrLocked) {
		t.Fatalf("second open: %v", err)
	}
	must(t, l.Append(Batch{Entries: ents(1, 300, 1), Sync: true}))
	must(t, l.Seal())
	must(t, l.Close())
	l, c, err := Open(disk.OS{}, dir, small)
	must(t, err)
	wantEntries(t, c.Entries, ents(1, 300, 1))
	must(t, l.Close())
}

// TestSegmentOfStateAlone: a segment is cut by a hard state without entries, and
// one has nothing but such states. What the log holds survives that, with a crash
// and with the segments before it gone.
func TestSegmentOfStateAlone(t *testing.T) {
	m := disk.NewMem()
	l, _ := open(t, m, small)
	all := ents(1, 20, 1)
	must(t, l.Append(Batch{State: []byte("first"), Entries: all, Sync: true}))
	var state []byte
	votes := func(segments int) {
		for i := 0; l.Stats().Segments < segments; i++ {
			state = fmt.Appendf(nil, "term %d of segment %d", i, segments)
			must(t, l.Append(Batch{State: state, Sync: true}))
			if i > 1<<16 {
				t.Fatal("the log begins no other segment")
			}
		}
	}
	holds := func(what string, c Contents, want []Entry) {
		t.Helper()
		if string(c.State) != string(state) {
			t.Errorf("%s: the state is %q, and was %q", what, c.State, state)
		}
		wantEntries(t, c.Entries, want)
	}
	for _, segments := range []int{2, 3} { // the second has states alone when the third begins
		votes(segments)
		m.Crash(disk.DropUnsynced())
		var c Contents
		l, c = open(t, m, small)
		holds(fmt.Sprintf("cut off in segment %d", segments), c, all)
		if n := l.Stats().Segments; n != segments {
			t.Fatalf("%d segments, %d were begun", n, segments)
		}
	}
	must(t, l.Mark(20, 1))
	votes(4)
	must(t, l.Release(20))
	if n := l.Stats().Segments; n != 1 {
		t.Errorf("%d segments are left: the others have nothing that is needed", n)
	}
	m.Crash(disk.DropUnsynced())
	l, c := open(t, m, small)
	holds("with one segment left", c, nil)
	if l.Stats().Base != 20 {
		t.Errorf("the mark is at %d", l.Stats().Base)
	}
	must(t, l.Append(Batch{Entries: ents(21, 22, 2), Sync: true}))
	l, c = reopen(t, m, l, small)
	holds("after more entries", c, ents(21, 22, 2))
	must(t, l.Close())
}

func TestAppendAllocatesNothing(t *testing.T) {
	m := disk.NewMem()
	l, _ := open(t, m, Options{SegmentBytes: 4 << 20})
	es := ents(1, 16, 1)
	state := []byte("hard state")
	must(t, l.Append(Batch{State: state, Entries: es, Sync: true}))
	if n := testing.AllocsPerRun(200, func() {
		for i := range es {
			es[i].Index += 16
		}
		must(t, l.Append(Batch{State: state, Entries: es, Sync: true}))
	}); n != 0 {
		t.Fatalf("%v allocations an append", n)
	}
}

// random bytes for entries, reproducible.
func noise(rng *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}
