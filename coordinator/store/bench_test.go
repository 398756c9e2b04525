package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/tidwall/buntdb"
)

// filled is a store with n records of 150 bytes, and their keys.
func filled(b testing.TB, n int) (*Store, []string) {
	s := New(Options{})
	b.Cleanup(s.Close)
	keys := make([]string, n)
	value := bytes.Repeat([]byte("v"), 150)
	for i := 0; i < n; {
		tx := s.Begin()
		for j := 0; j < 200 && i < n; j, i = j+1, i+1 {
			keys[i] = fmt.Sprintf("lock/%09d", i)
			tx.BeginRevision(1)
			tx.put(Locks, keys[i], value, 0)
			tx.EndRevision()
		}
		tx.Commit()
	}
	return s, keys
}

// BenchmarkPut is one put of a record that exists, a revision each, in batches.
func BenchmarkPut(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		for _, batch := range []int{1, 16, 200} {
			b.Run(fmt.Sprintf("records=%d/batch=%d", n, batch), func(b *testing.B) {
				if testing.Short() && n > 1000 {
					b.Skip("short")
				}
				s, keys := filled(b, n)
				value := bytes.Repeat([]byte("w"), 150)
				b.ReportAllocs()
				b.ResetTimer()
				for i := 0; i < b.N; {
					tx := s.Begin()
					for j := 0; j < batch && i < b.N; j, i = j+1, i+1 {
						tx.BeginRevision(1)
						tx.Put(Locks, keys[i*7919%n], value, 0)
						tx.EndRevision()
					}
					tx.Commit()
				}
			})
		}
	}
}

// BenchmarkBuntdbSet is what the row alone costs in batches of 200.
func BenchmarkBuntdbSet(b *testing.B) {
	const n = 1000
	db, err := buntdb.Open(":memory:")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("k1lock/%09d", i)
	}
	value := bytes.Repeat([]byte("w"), 150)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; {
		tx, _ := db.Begin(true)
		for j := 0; j < 200 && i < b.N; j, i = j+1, i+1 {
			tx.Set(keys[i*7919%n], string(value), nil)
		}
		tx.Commit()
	}
}

func BenchmarkSetRow(b *testing.B) {
	s, _ := filled(b, 1000)
	key, value := make([]byte, 16), make([]byte, 100)
	b.ReportAllocs()
	for i := 0; b.Loop(); {
		tx := s.Begin()
		for j := 0; j < 200; j, i = j+1, i+1 {
			binary.BigEndian.PutUint64(key, uint64(i%1000))
			tx.Set('s', key, value)
		}
		tx.Commit()
		b.ReportMetric(200, "rows/op")
	}
}

func BenchmarkGet(b *testing.B) {
	s, keys := filled(b, 1000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, ok := s.Get(Locks, keys[i%len(keys)]); !ok {
			b.Fatal("missing")
		}
	}
}

func BenchmarkRange100(b *testing.B) {
	s, keys := filled(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		r, err := s.Range(Query{Space: Locks, Key: keys[1000], End: keys[1100]})
		if err != nil || len(r.Records) != 100 {
			b.Fatal(len(r.Records), err)
		}
	}
}

func BenchmarkPastRange(b *testing.B) {
	s, keys := filled(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		r, err := s.Range(Query{Space: Locks, Key: keys[0], End: keys[100], Revision: 1001})
		if err != nil || len(r.Records) != 100 {
			b.Fatal(len(r.Records), err)
		}
	}
}

func BenchmarkSince100(b *testing.B) {
	s, _ := filled(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		e, _, err := s.Since(5000, 100, 1<<20)
		if err != nil || len(e) != 100 {
			b.Fatal(len(e), err)
		}
	}
}

// BenchmarkSnapshot walks a million records and their history.
func BenchmarkSnapshot(b *testing.B) {
	if testing.Short() {
		b.Skip("short")
	}
	s, _ := filled(b, 1_000_000)
	buf := make([]byte, 0, 128<<10)
	b.ReportAllocs()
	for b.Loop() {
		w := s.Snapshot()
		for {
			_, done := w.Next(buf)
			if done {
				break
			}
		}
		w.Close()
	}
}

func BenchmarkRestore(b *testing.B) {
	if testing.Short() {
		b.Skip("short")
	}
	s, _ := filled(b, 1_000_000)
	all := everything(s)
	b.SetBytes(int64(len(all)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := Restore(Options{}, bytes.NewReader(all))
		if err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

// everything is the snapshot of a store.
func everything(s *Store) []byte {
	w := s.Snapshot()
	defer w.Close()
	var all []byte
	for {
		piece, done := w.Next(nil)
		all = append(all, piece...)
		if done {
			return all
		}
	}
}
