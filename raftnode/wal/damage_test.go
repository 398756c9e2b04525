package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conch-lock/conch/raftnode/disk"
)

// damageLog is a log whose files get damaged.
type damageLog struct {
	m       *disk.Mem
	o       Options
	entries []Entry
	ends    []int64 // of the frame of each entry, in the last file
	files   map[string][]byte
	last    string // path of the last segment
}

// newDamageLog fills a log with one entry a frame up to about bytes.
func newDamageLog(t *testing.T, segment, total int64, seal bool) *damageLog {
	d := &damageLog{m: disk.NewMem(), o: Options{SegmentBytes: segment}, files: map[string][]byte{}}
	rng := rand.New(rand.NewPCG(1, uint64(total)))
	l, _ := open(t, d.m, d.o)
	for i := uint64(1); l.Stats().Written < uint64(total); i++ {
		e := Entry{Index: i, Term: 1 + i/100, Data: noise(rng, 100+rng.IntN(400))}
		d.entries = append(d.entries, e)
		must(t, l.Append(Batch{Entries: []Entry{e}, Sync: true}))
		d.ends = append(d.ends, l.pos)
	}
	if seal {
		must(t, l.Seal())
	}
	d.last = filepath.Join(testDir, segmentName(l.segments[len(l.segments)-1].number))
	for _, s := range l.segments {
		path := filepath.Join(testDir, segmentName(s.number))
		d.files[path], _ = d.m.ReadFile(path)
	}
	must(t, l.Close())
	return d
}

// outcome opens the log with data in place of a file, and puts that back.
func (d *damageLog) outcome(t *testing.T, path string, data []byte) ([]Entry, error) {
	t.Helper()
	must(t, d.m.WriteFile(path, data))
	l, c, err := Open(d.m, testDir, d.o)
	if err == nil {
		must(t, l.Close())
	} else {
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) {
			t.Fatalf("not a CorruptError: %v", err)
		}
		if !strings.HasPrefix(corrupt.File, testDir) || corrupt.Offset < 0 || corrupt.Offset > int64(len(d.files[path])) || corrupt.Reason == "" {
			t.Fatalf("an error that does not say where: %#v", corrupt)
		}
		after, _ := d.m.ReadFile(path)
		if !bytes.Equal(after, data) {
			t.Fatalf("the file was changed although it was refused: %v", err)
		}
	}
	must(t, d.m.WriteFile(path, d.files[path]))
	return c.Entries, err
}

// nothingLost checks that damage was refused or did no harm.
func (d *damageLog) nothingLost(t *testing.T, path string, data []byte, what string) (refused bool) {
	t.Helper()
	got, err := d.outcome(t, path, data)
	if err == nil && !same(got, d.entries) {
		t.Fatalf("%s of %s: opened with %s of %d entries, silently", what, path, brief(got), len(d.entries))
	}
	return err != nil
}

// sample is the step through an enumeration: 1, all of it, unless tests are to
// be short.
func sample(step int) int {
	if testing.Short() {
		return step
	}
	return 1
}

func TestEveryBitFlip(t *testing.T) {
	for name, d := range map[string]*damageLog{
		"one segment":    newDamageLog(t, 64<<10, 58<<10, true),
		"four segments":  newDamageLog(t, MinSegment, 58<<10, true),
		"ends in a head": newDamageLog(t, MinSegment, 31<<10, true),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step := 1
			if testing.Short() {
				step = 67
			} else if name != "one segment" {
				step = 5
			}
			refused, flips := 0, 0
			for path, data := range d.files {
				for bit := 0; bit < len(data)*8; bit += step {
					flip := func() { must(t, d.m.FlipBit(path, int64(bit/8), uint(bit%8))) }
					flip()
					flips++
					l, c, err := Open(d.m, testDir, d.o)
					if err != nil {
						if corrupt := (*CorruptError)(nil); !errors.As(err, &corrupt) {
							t.Fatalf("bit %d of %s: %v", bit, path, err)
						}
						refused++
						flip()
						continue
					}
					if !same(c.Entries, d.entries) {
						t.Fatalf("bit %d of %s: opened with %s of %d entries, silently", bit, path, brief(c.Entries), len(d.entries))
					}
					must(t, l.Close())
					must(t, d.m.WriteFile(path, data))
				}
				// A refusal changes nothing: every flip was turned back, and this is the same log.
				if now, err := d.m.ReadFile(path); err != nil || !bytes.Equal(now, data) {
					t.Fatalf("%s was changed although it was refused: %v", path, err)
				}
			}
			t.Logf("%d flips, %d refused, none lost anything", flips, refused)
			if refused < flips/2 {
				t.Fatal("most of the log is in use, so most flips have to be refused")
			}
		})
	}
}

func TestEveryZeroedSector(t *testing.T) {
	for _, segment := range []int64{64 << 10, MinSegment} {
		// Many lengths, so that the end falls everywhere in a sector.
		for n := int64(0); n < 40; n += int64(sample(8)) {
			d := newDamageLog(t, segment, 50<<10+n*101, true)
			for path, data := range d.files {
				for at := 0; at < len(data); at += disk.SectorBytes {
					damaged := bytes.Clone(data)
					clear(damaged[at : at+disk.SectorBytes])
					d.nothingLost(t, path, damaged, fmt.Sprintf("zeroed sector at %d", at))
				}
			}
		}
	}
}

// TestUnsealedLosesOnlyTheLast shows what Seal is for: without it damage of
// the last frame, and of it alone, is taken for a torn write.
func TestUnsealedLosesOnlyTheLast(t *testing.T) {
	d := newDamageLog(t, 64<<10, 50<<10, false)
	data := d.files[d.last]
	lost := 0
	n := len(d.entries)
	for at := int64(0); at < int64(len(data)); at += int64(sample(7)) {
		damaged := bytes.Clone(data)
		damaged[at] ^= 0x10
		got, err := d.outcome(t, d.last, damaged)
		switch {
		case err != nil || same(got, d.entries):
		case same(got, d.entries[:n-1]) && at >= d.ends[n-2] && at < d.ends[n-1]:
			lost++
		default:
			t.Fatalf("flip at %d: %s of %d entries", at, brief(got), n)
		}
	}
	if lost == 0 {
		t.Fatal("nothing lost: then Seal is not needed, and the package comment wrong")
	}
}

func TestEveryTruncation(t *testing.T) {
	for _, segment := range []int64{64 << 10, MinSegment} {
		d := newDamageLog(t, segment, 58<<10, segment == MinSegment)
		for path, data := range d.files {
			for size := 0; size < len(data); size += sample(13) {
				if _, err := d.outcome(t, path, data[:size]); err == nil {
					t.Fatalf("%s cut to %d bytes was opened: segments have their full size from the start", path, size)
				}
			}
		}
	}
}

// TestEveryZeroFill writes zeros from every byte on to the end of the log: what
// a torn tail looks like. It is cut after the last whole frame, and the log
// goes on there. In a segment with a successor it is refused.
func TestEveryZeroFill(t *testing.T) {
	d := newDamageLog(t, 64<<10, 58<<10, false)
	data := d.files[d.last]
	for at := 0; at < len(data); at += sample(11) {
		damaged := bytes.Clone(data)
		clear(damaged[at:])
		must(t, d.m.WriteFile(d.last, damaged))
		l, c, err := Open(d.m, testDir, d.o)
		whole := 0
		for whole < len(d.ends) && bytes.Equal(damaged[:d.ends[whole]], data[:d.ends[whole]]) {
			whole++
		}
		if err != nil {
			// Only the head, which was durable before the file had its name.
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || at > headerBytes+headBytes {
				t.Fatalf("zeros from %d: %v", at, err)
			}
			continue
		}
		if !same(c.Entries, d.entries[:whole]) {
			t.Fatalf("zeros from %d: %s, want the first %d", at, brief(c.Entries), whole)
		}
		if whole > 0 && at < len(data)-4096 && (c.Torn > 0) != (len(bytes.TrimRight(damaged[d.ends[whole-1]:], "\x00")) > 0) {
			t.Fatalf("zeros from %d: %d bytes torn", at, c.Torn)
		}
		if at%16 == 0 {
			goesOn(t, d.m, l, d.o, c)
		} else {
			must(t, l.Close())
		}
	}

	d = newDamageLog(t, MinSegment, 58<<10, false)
	for path, data := range d.files {
		for at := 0; path != d.last && at < len(data); at += 7 {
			damaged := bytes.Clone(data)
			clear(damaged[at:])
			d.nothingLost(t, path, damaged, fmt.Sprintf("zeros from %d", at))
		}
	}
}

// goesOn appends to an opened log, reopens it, and looks whether all is there.
func goesOn(t *testing.T, m *disk.Mem, l *Log, o Options, c Contents) {
	t.Helper()
	last := c.Base
	if n := len(c.Entries); n > 0 {
		last = c.Entries[n-1].Index
	}
	more := ents(last+1, last+2, 1<<40)
	must(t, l.Append(Batch{Entries: more, Sync: true}))
	l, again := reopen(t, m, l, o)
	if !same(again.Entries, append(c.Entries[:len(c.Entries):len(c.Entries)], more...)) || again.Torn != 0 {
		t.Fatalf("after going on: %s, %d torn; had %s", brief(again.Entries), again.Torn, brief(c.Entries))
	}
	must(t, l.Close())
}

// TestTornTailIsNeverRead cuts the frames of a torn tail, writes another frame
// of the same size as the first of them, and checks that those after it do not
// come back.
func TestTornTailIsNeverRead(t *testing.T) {
	m := disk.NewMem()
	o := Options{SegmentBytes: 64 << 10}
	l, _ := open(t, m, o)
	must(t, l.Append(Batch{Entries: ents(1, 1, 1), Sync: true}))
	at := l.pos
	must(t, l.Append(Batch{Entries: ents(2, 2, 1)}))
	must(t, l.Append(Batch{Entries: ents(3, 3, 1)}))
	must(t, m.FlipBit(filepath.Join(testDir, segmentName(1)), at+headerBytes, 0))
	l.sync()
	l, c := reopen(t, m, l, o)
	wantEntries(t, c.Entries, ents(1, 1, 1))
	if c.Torn == 0 {
		t.Fatal("nothing torn")
	}
	must(t, l.Append(Batch{Entries: ents(2, 2, 1), Sync: true})) // the same bytes again
	_, c = reopen(t, m, l, o)
	wantEntries(t, c.Entries, ents(1, 2, 1))
}

func TestMissingSegment(t *testing.T) {
	d := newDamageLog(t, MinSegment, 58<<10, true)
	for path, data := range d.files {
		must(t, d.m.Remove(path))
		_, _, err := Open(d.m, testDir, d.o)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || corrupt.File != path || !strings.Contains(err.Error(), "missing") {
			t.Fatalf("without %s: %v", path, err)
		}
		must(t, d.m.WriteFile(path, data))
	}
}

func TestErrorSaysWhatToDo(t *testing.T) {
	err := &CorruptError{File: "/a/1.wal", Offset: 42, Reason: "bad"}
	for _, part := range []string{"/a/1.wal", "42", "bad", "nothing was changed", "Do not truncate or delete"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
}
