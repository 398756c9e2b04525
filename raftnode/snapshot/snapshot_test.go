package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/conch-lock/conch/raftnode/disk"
)

const testDir = "/cell/snap"

var testMeta = Meta{Index: 42, Term: 7, Conf: []byte("one two three"), Cluster: 1 << 60, Group: 3}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newDir(t testing.TB) *disk.Mem {
	m := disk.NewMem()
	must(t, m.MkdirAll(testDir))
	return m
}

func content(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}

// commit writes a snapshot in pieces of the given size.
func commit(t testing.TB, fs disk.FS, dir string, m Meta, data []byte, piece int) string {
	t.Helper()
	w, err := Create(fs, dir, m)
	must(t, err)
	for p := range slices.Chunk(data, piece) {
		n, err := w.Write(p)
		if must(t, err); n != len(p) {
			t.Fatalf("wrote %d of %d", n, len(p))
		}
	}
	path, err := w.Commit()
	must(t, err)
	return path
}

func TestRoundTrip(t *testing.T) {
	for name, fs := range map[string]disk.FS{"mem": newDir(t), "os": disk.OS{}} {
		dir := testDir
		if name == "os" {
			dir = t.TempDir()
		}
		for _, n := range []int{0, 1, BlockBytes - 1, BlockBytes, BlockBytes + 1, 3*BlockBytes + 17} {
			m := testMeta
			m.Index = uint64(n)
			data := content(n)
			path := commit(t, fs, dir, m, data, 1000)
			r, err := Open(fs, path)
			must(t, err)
			got, err := io.ReadAll(r)
			must(t, err)
			if !bytes.Equal(got, data) {
				t.Fatalf("%d bytes: read %d others", n, len(got))
			}
			if g := r.Meta(); g.Index != m.Index || g.Term != m.Term || !bytes.Equal(g.Conf, m.Conf) || g.Cluster != m.Cluster || g.Group != m.Group {
				t.Fatalf("meta %+v, want %+v", g, m)
			}
			must(t, r.Close())
			if _, err := r.Read(make([]byte, 1)); err == nil {
				t.Fatal("read after close")
			}
		}
	}
}

// TestSameBytes checks that the file depends on meta and content alone.
func TestSameBytes(t *testing.T) {
	m := newDir(t)
	data := content(2*BlockBytes + 5)
	var first []byte
	for _, piece := range []int{1, 7, BlockBytes, len(data)} {
		got, err := m.ReadFile(commit(t, m, testDir, testMeta, data, piece))
		must(t, err)
		if first == nil {
			first = got
		}
		if !bytes.Equal(got, first) {
			t.Fatalf("pieces of %d bytes make other bytes", piece)
		}
	}
}

// TestEveryDamage flips every bit, zeroes every sector and truncates to every
// length: never is a content other than the written one read to its end.
func TestEveryDamage(t *testing.T) {
	m := newDir(t)
	data := content(6000)
	path := commit(t, m, testDir, testMeta, data, 100)
	good, err := m.ReadFile(path)
	must(t, err)
	check := func(damaged []byte, what string) {
		if bytes.Equal(damaged, good) {
			return
		}
		must(t, m.WriteFile(path, damaged))
		_, err := Verify(m, path)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) {
			t.Fatalf("%s: %v", what, err)
		}
		if corrupt.File != path || corrupt.Reason == "" || corrupt.Offset > int64(len(good)) {
			t.Fatalf("%s: %#v", what, corrupt)
		}
	}
	for bit := range len(good) * 8 {
		damaged := bytes.Clone(good)
		damaged[bit/8] ^= 1 << (bit % 8)
		check(damaged, fmt.Sprintf("bit %d", bit))
	}
	for at := 0; at < len(good); at += disk.SectorBytes {
		damaged := bytes.Clone(good)
		clear(damaged[at:min(at+disk.SectorBytes, len(good))])
		check(damaged, fmt.Sprintf("sector at %d", at))
	}
	for size := range good {
		check(good[:size], fmt.Sprintf("truncated to %d", size))
		damaged := bytes.Clone(good)
		clear(damaged[size:])
		check(damaged, fmt.Sprintf("zeros from %d", size))
	}
	check(append(bytes.Clone(good), 0), "a byte more")
}

func TestSwappedBlocks(t *testing.T) {
	m := newDir(t)
	path := commit(t, m, testDir, testMeta, content(3*BlockBytes), 4096)
	p, err := m.ReadFile(path)
	must(t, err)
	at := headerBytes + len(testMeta.Conf) + checkBytes
	block := blockHeader + BlockBytes
	first := bytes.Clone(p[at : at+block])
	copy(p[at:], p[at+block:at+2*block])
	copy(p[at+block:], first)
	must(t, m.WriteFile(path, p))
	r, err := Open(m, path)
	must(t, err)
	if n, err := r.Read(make([]byte, 100)); n != 0 || err == nil {
		t.Fatalf("handed out %d bytes of a block that does not check: %v", n, err)
	}
}

// TestCrashAtEveryOperation checks that whatever has a snapshot's name is
// whole, and that a committed one stays.
func TestCrashAtEveryOperation(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	old, data := testMeta, content(2*BlockBytes+100)
	old.Index--
	run := func(m *disk.Mem) (committed bool) {
		w, err := Create(m, testDir, testMeta)
		must(t, err)
		_, err = w.Write(data)
		must(t, err)
		_, err = w.Commit()
		must(t, err)
		return true
	}
	m := newDir(t)
	commit(t, m, testDir, old, data[:10], 10)
	committed, crashes := false, 0
	m.SetHook(func(op disk.Op) error {
		for i := range 12 {
			c := m.Clone()
			c.Crash([]disk.Survival{disk.DropUnsynced(), disk.KeepUnsynced(), disk.TearLast(rng), disk.KeepSome(rng)}[min(i, 3)])
			crashes++
			infos, err := List(c, testDir)
			must(t, err)
			if len(infos) == 0 || infos[len(infos)-1].Index != old.Index && !committed {
				t.Fatalf("before %v %s: the old snapshot is gone: %v", op.Kind, op.Name, infos)
			}
			if committed && infos[0].Index != testMeta.Index {
				t.Fatalf("before %v %s: the committed snapshot is gone: %v", op.Kind, op.Name, infos)
			}
			for _, info := range infos {
				if _, err := Verify(c, filepath.Join(testDir, info.Name)); err != nil {
					t.Fatalf("before %v %s: %v", op.Kind, op.Name, err)
				}
			}
			must(t, Clean(c, testDir))
		}
		return nil
	})
	committed = run(m)
	must(t, Retain(m, testDir, 1))
	m.SetHook(nil)
	if infos, _ := List(m, testDir); len(infos) != 1 || infos[0].Index != testMeta.Index {
		t.Fatalf("retained %v", infos)
	}
	if crashes < 100 {
		t.Fatalf("only %d crashes", crashes)
	}
}

func TestFailuresLeaveNothing(t *testing.T) {
	for _, kind := range []disk.OpKind{disk.OpCreate, disk.OpWrite, disk.OpSync, disk.OpRename, disk.OpSyncDir} {
		m := newDir(t)
		m.Inject(disk.Fault{Kind: kind, Err: syscall.ENOSPC, Short: 10})
		w, err := Create(m, testDir, testMeta)
		if err == nil {
			w.Write(content(BlockBytes + 1))
			_, err = w.Commit()
			w.Abort()
			if _, again := w.Commit(); again == nil {
				t.Fatalf("%v: committed after a failure", kind)
			}
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%v: %v", kind, err)
		}
		if infos, _ := List(m, testDir); len(infos) > 0 && kind != disk.OpSyncDir {
			t.Fatalf("%v: left %v", kind, infos)
		}
		must(t, Clean(m, testDir))
		names, _ := m.List(testDir)
		if len(names) > 0 && kind != disk.OpSyncDir {
			t.Fatalf("%v: left %v", kind, names)
		}
	}
	m := newDir(t)
	w, err := Create(m, testDir, testMeta)
	must(t, err)
	w.Abort()
	if _, err := w.Write([]byte("x")); !errors.Is(err, ErrFinished) {
		t.Fatalf("write after abort: %v", err)
	}
	if names, _ := m.List(testDir); len(names) > 0 {
		t.Fatalf("abort left %v", names)
	}
	if _, err := Create(m, testDir, Meta{Conf: make([]byte, MaxConfBytes+1)}); err == nil {
		t.Fatal("a conf without bound")
	}
}

func TestListAndRetain(t *testing.T) {
	m := newDir(t)
	for i := uint64(1); i <= 5; i++ {
		commit(t, m, testDir, Meta{Index: i * 100, Term: i}, nil, 1)
	}
	must(t, m.WriteFile(testDir+"/foreign", nil))
	must(t, m.WriteFile(testDir+"/"+baseName(450, 1)+tempSuffix, nil))
	must(t, m.WriteFile(testDir+"/"+baseName(600, 1)+tempSuffix, nil)) // somebody writes this
	must(t, Retain(m, testDir, 2))
	infos, err := List(m, testDir)
	must(t, err)
	if len(infos) != 2 || infos[0].Index != 500 || infos[0].Term != 5 || infos[1].Index != 400 {
		t.Fatalf("retained %v", infos)
	}
	names, _ := m.List(testDir)
	if len(names) != 4 || !slices.ContainsFunc(names, func(s string) bool { return strings.HasSuffix(s, tempSuffix) }) {
		t.Fatalf("files %v", names)
	}
	if err := Retain(m, testDir, 0); err == nil {
		t.Fatal("retained none")
	}
	must(t, Clean(m, testDir))
	if names, _ = m.List(testDir); len(names) != 3 {
		t.Fatalf("files after Clean: %v", names)
	}
}

func FuzzOpen(f *testing.F) {
	m := newDir(f)
	for _, n := range []int{0, 10, BlockBytes + 3} {
		p, err := m.ReadFile(commit(f, m, testDir, testMeta, content(n), 1<<20))
		must(f, err)
		f.Add(p)
		f.Add(p[:len(p)/2])
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		m := newDir(t)
		path := testDir + "/x.snap"
		must(t, m.WriteFile(path, p))
		if _, err := Verify(m, path); err != nil {
			return
		}
		// What is read to its end is what a writer makes of it.
		r, err := Open(m, path)
		must(t, err)
		data, err := io.ReadAll(r)
		must(t, err)
		again, err := m.ReadFile(commit(t, m, testDir, r.Meta(), data, 1<<20))
		must(t, err)
		if !bytes.Equal(again, p) {
			t.Fatal("a file was accepted that no writer makes")
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	dir := b.TempDir()
	data := content(4096)
	b.ReportAllocs()
	b.SetBytes(16 << 20)
	for b.Loop() {
		w, err := Create(disk.OS{}, dir, testMeta)
		must(b, err)
		for range 4096 {
			_, err := w.Write(data)
			must(b, err)
		}
		_, err = w.Commit()
		must(b, err)
	}
}
