package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestHistoryBytes: history that grows fast is dropped by its size, so that it
// never fills the quota, whether in many revisions or in one batch; the state
// itself may take the rest.
func TestHistoryBytes(t *testing.T) {
	const quota, value = 4 << 20, 40_000
	s := New(Options{QuotaBytes: quota})
	defer s.Close()
	for n := range 300 {
		tx := s.Begin()
		for range 1 + n%7 {
			tx.BeginRevision(int64(n))
			if _, err := tx.Put(Locks, "semaphore", []byte(strings.Repeat("h", value+n)), 0); err != nil {
				t.Fatal(err)
			}
			tx.EndRevision()
			if s.Full() {
				t.Fatalf("full at revision %d, with %d bytes of history and %d in all", s.Revision(), s.history.bytes, s.Bytes())
			}
		}
		tx.AutoCompact(int64(n))
		tx.Commit()
		// One chunk may have come since the last look, with a record as it is and as it was.
		if most := int64(quota/historyPart + 2*(value+300+100)); s.history.bytes > most {
			t.Fatalf("%d bytes of history at revision %d, want at most %d", s.history.bytes, s.Revision(), most)
		}
	}
	if kept := s.Revision() - s.Compacted(); kept < quota/historyPart/(2*value+1000)-1 {
		t.Errorf("only %d revisions can be read back", kept)
	}
	if _, err := s.Range(Query{Space: Locks, Key: "semaphore", Revision: s.Compacted()}); err != nil {
		t.Error(err)
	}
	if _, err := s.Range(Query{Space: Locks, Key: "semaphore", Revision: s.Compacted() - 1}); !errors.Is(err, ErrCompacted) {
		t.Errorf("a revision that was dropped: %v", err)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// TestHistoryBytesRestored: what a snapshot brings back forgets at the same places.
func TestHistoryBytesRestored(t *testing.T) {
	options := Options{QuotaBytes: 1 << 20}
	a := New(options)
	defer a.Close()
	put := func(s *Store, n int) {
		tx := s.Begin()
		tx.BeginRevision(int64(n))
		if _, err := tx.Put(Keys, fmt.Sprint(n%5), []byte(strings.Repeat("v", 3000)), 0); err != nil {
			t.Fatal(err)
		}
		tx.EndRevision()
		tx.AutoCompact(int64(n))
		tx.Commit()
	}
	for n := range 100 {
		put(a, n)
	}
	b, err := Restore(options, bytes.NewReader(everything(a)))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for n := 100; n < 400; n++ {
		put(a, n)
		put(b, n)
		if a.Hash() != b.Hash() || a.Compacted() != b.Compacted() {
			t.Fatalf("after %d: compacted to %d and %d, %d and %d bytes of history", n, a.Compacted(), b.Compacted(), a.history.bytes, b.history.bytes)
		}
	}
	if a.Compacted() < 200 {
		t.Errorf("compacted to %d only: the test shows nothing", a.Compacted())
	}
}
