package store

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// small is a store with a bit of everything in it.
func small(t testing.TB) *Store {
	s := New(testOptions)
	t.Cleanup(s.Close)
	tx := s.Begin()
	for i := range 70 {
		tx.BeginRevision(int64(i))
		if _, err := tx.Put(Space(i%3), fmt.Sprint("key", i%5), []byte("value"), uint64(i%4)); err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 {
			tx.Delete(Space(i%3), "key1")
		}
		tx.EndRevision()
	}
	tx.Set('s', []byte("row"), []byte("of the machine"))
	tx.Commit()
	return s
}

// TestRestoreRefusesEveryCut restores every beginning of a snapshot.
func TestRestoreRefusesEveryCut(t *testing.T) {
	all := everything(small(t))
	for n := range all {
		if s, err := Restore(testOptions, bytes.NewReader(all[:n])); !errors.Is(err, ErrSnapshot) {
			t.Fatalf("%d of %d bytes: %v, %v", n, len(all), s, err)
		}
	}
	if _, err := Restore(testOptions, bytes.NewReader(append(all, 0))); !errors.Is(err, ErrSnapshot) {
		t.Fatal(err)
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

func TestRestoreReturnsErrorsOfTheReader(t *testing.T) {
	broken := errors.New("the disk is on fire")
	if _, err := Restore(testOptions, failingReader{broken}); !errors.Is(err, broken) || errors.Is(err, ErrSnapshot) {
		t.Fatal(err)
	}
}

// TestRestoreFlippedBits restores a snapshot with one bit or another of each byte flipped: it is
// refused, or gives a store that can be read to the end. (What the bits mean is
// guarded by the checksums of the file that a snapshot lies in.)
func TestRestoreFlippedBits(t *testing.T) {
	all := everything(small(t))
	refused := 0
	for i := range all {
		for _, bit := range []int{i % 8, 7} {
			all[i] ^= 1 << bit
			if !survives(t, all) {
				refused++
			}
			all[i] ^= 1 << bit
		}
	}
	if refused == 0 {
		t.Fatal("nothing was refused")
	}
}

// survives restores b and, if that succeeds, uses the store.
func survives(t testing.TB, b []byte) bool {
	s, err := Restore(testOptions, bytes.NewReader(b))
	if err != nil {
		if !errors.Is(err, ErrSnapshot) {
			t.Fatal(err)
		}
		return false
	}
	defer s.Close()
	_ = s.Check() // what it finds is what was damaged; it must not fail otherwise
	for from := s.WatchableFrom(); from <= s.Revision(); {
		_, next, err := s.Since(from, 10, 1000)
		if err != nil || next <= from {
			t.Fatal(from, next, err)
		}
		from = next
	}
	for space := range spaces {
		if _, err := s.Range(Query{Space: space, Key: "a", End: Everything, Revision: max(1, s.Compacted())}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(everything(s), b) {
		t.Fatal("what was restored is another state")
	}
	tx := s.Begin()
	tx.BeginRevision(1)
	if _, err := tx.Put(Keys, "key1", nil, 0); err != nil {
		t.Fatal(err)
	}
	tx.EndRevision()
	tx.AutoCompact(1 << 40)
	tx.Commit()
	return true
}

func FuzzRestore(f *testing.F) {
	f.Add(everything(small(f)))
	empty := New(Options{})
	f.Add(everything(empty))
	empty.Close()
	f.Add([]byte(snapshotMagic + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00\x02\xff\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, b []byte) { survives(t, b) })
}
