package disk

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
)

// TestFS holds both implementations to the same behaviour.
func TestFS(t *testing.T) {
	t.Run("os", func(t *testing.T) { testFS(t, OS{}, t.TempDir()) })
	t.Run("mem", func(t *testing.T) { testFS(t, NewMem(), "/data") })
}

func testFS(t *testing.T, fsys FS, root string) {
	dir := filepath.Join(root, "a", "b")
	must(t, fsys.MkdirAll(dir))
	must(t, fsys.MkdirAll(dir))
	name := filepath.Join(dir, "f")

	if _, err := fsys.Open(name); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("open of a missing file: %v", err)
	}
	if _, err := fsys.Create(filepath.Join(root, "nowhere", "f")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("create in a missing directory: %v", err)
	}
	if _, err := fsys.List(filepath.Join(root, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("list of a missing directory: %v", err)
	}
	if err := fsys.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("remove of a missing file: %v", err)
	}
	if err := fsys.Rename(name, name+"2"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("rename of a missing file: %v", err)
	}

	f, err := fsys.Create(name)
	must(t, err)
	write(t, f, "hello", 3)
	write(t, f, "J", 4)
	must(t, f.Sync())
	if size, err := f.Size(); err != nil || size != 8 {
		t.Fatalf("size %d, %v", size, err)
	}
	expect(t, f, "\x00\x00\x00hJllo")
	buf := make([]byte, 4)
	if n, err := f.ReadAt(buf, 6); n != 2 || err != io.EOF {
		t.Fatalf("short read: %d, %v", n, err)
	}
	if n, err := f.ReadAt(buf, 8); n != 0 || err != io.EOF {
		t.Fatalf("read past the end: %d, %v", n, err)
	}
	must(t, f.Truncate(4))
	must(t, f.Truncate(6))
	expect(t, f, "\x00\x00\x00h\x00\x00")
	must(t, f.Close())
	if err := f.Close(); err == nil {
		t.Fatal("closed twice")
	}
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("write after close: %v", err)
	}

	other := filepath.Join(dir, "e")
	g, err := fsys.Create(other)
	must(t, err)
	write(t, g, "other", 0)
	must(t, fsys.Rename(name, other))
	expect(t, g, "other") // an open handle keeps its file
	must(t, g.Close())
	must(t, fsys.SyncDir(dir))
	g, err = fsys.Open(other)
	must(t, err)
	expect(t, g, "\x00\x00\x00h\x00\x00")
	must(t, g.Close())
	g, err = fsys.Create(other)
	must(t, err)
	expect(t, g, "")
	must(t, g.Close())
	if err := fsys.Rename(other, filepath.Join(root, "e")); !errors.Is(err, fs.ErrInvalid) {
		t.Fatalf("rename into another directory: %v", err)
	}

	lock, err := fsys.Lock(filepath.Join(dir, "LOCK"))
	must(t, err)
	if _, err := fsys.Lock(filepath.Join(dir, "LOCK")); !errors.Is(err, ErrLocked) {
		t.Fatalf("second lock: %v", err)
	}
	must(t, lock.Close())
	lock, err = fsys.Lock(filepath.Join(dir, "LOCK"))
	must(t, err)
	must(t, lock.Close())

	names, err := fsys.List(dir)
	must(t, err)
	if want := []string{"LOCK", "e"}; !slices.Equal(names, want) {
		t.Fatalf("list: %q, want %q", names, want)
	}
	must(t, fsys.Remove(other))
	if names, _ = fsys.List(dir); !slices.Equal(names, []string{"LOCK"}) {
		t.Fatalf("list after remove: %q", names)
	}
	if err := fsys.MkdirAll(filepath.Join(dir, "LOCK")); err == nil {
		t.Fatal("made a directory over a file")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, f File, s string, off int64) {
	t.Helper()
	n, err := f.WriteAt([]byte(s), off)
	if err != nil || n != len(s) {
		t.Fatalf("write: %d, %v", n, err)
	}
}

func expect(t testing.TB, f File, want string) {
	t.Helper()
	size, err := f.Size()
	must(t, err)
	got := make([]byte, size)
	if n, err := f.ReadAt(got, 0); n != len(got) || (err != nil && err != io.EOF) {
		t.Fatalf("read: %d of %d, %v", n, size, err)
	}
	if !bytes.Equal(got, []byte(want)) {
		t.Fatalf("content %q, want %q", got, want)
	}
}
