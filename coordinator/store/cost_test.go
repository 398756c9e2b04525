package store

import (
	"bytes"
	"testing"

	"github.com/conch-lock/conch/internal/cost"
)

// What may be allocated. Whoever needs more says why, and whoever needs less
// lowers the figure; times are for benchmarks.
const (
	allocsOfPut     = 2.7  // of a record that exists, in a batch of 200
	allocsOfRange   = 0.15 // of each record of a hundred
	allocsOfEvent   = 0.16 // of each change of a hundred
	allocsOfPiece   = 4.3  // of each 64 KiB of a snapshot, into memory that is used again
	allocsOfRestore = 2.1  // of each record of a snapshot
)

func TestCostOfPut(t *testing.T) {
	const batch = 200
	s, keys := filled(t, 1000)
	value := bytes.Repeat([]byte("w"), 150)
	n := 0
	revision := s.Revision()
	allocs := testing.AllocsPerRun(50, func() {
		tx := s.Begin()
		for range batch {
			tx.BeginRevision(1)
			tx.Put(Locks, keys[n*7919%len(keys)], value, 0)
			tx.EndRevision()
			n++
		}
		tx.Commit()
	}) / batch
	cost.AtMost(t, "allocations of a put", allocs, allocsOfPut)
	if done := s.Revision() - revision; done != uint64(n) {
		t.Errorf("%d puts made %d revisions", n, done)
	}
}

func TestCostOfRange(t *testing.T) {
	s, keys := filled(t, 10_000)
	allocs := testing.AllocsPerRun(100, func() {
		r, err := s.Range(Query{Space: Locks, Key: keys[1000], End: keys[1100]})
		if err != nil || len(r.Records) != 100 {
			t.Fatal(len(r.Records), err)
		}
	}) / 100
	cost.AtMost(t, "allocations of a record of a range", allocs, allocsOfRange)
	allocs = testing.AllocsPerRun(100, func() {
		e, _, err := s.Since(5000, 100, 1<<20)
		if err != nil || len(e) != 100 {
			t.Fatal(len(e), err)
		}
	}) / 100
	cost.AtMost(t, "allocations of a change that is told", allocs, allocsOfEvent)
}

func TestCostOfSnapshot(t *testing.T) {
	const n = 10_000
	s, _ := filled(t, n)
	buf := make([]byte, 0, 128<<10)
	pieces := 0
	allocs := testing.AllocsPerRun(3, func() {
		pieces = 0
		w := s.Snapshot()
		defer w.Close()
		for done := false; !done; pieces++ {
			_, done = w.Next(buf)
		}
	})
	if pieces < 20 {
		t.Fatalf("%d pieces", pieces)
	}
	cost.AtMost(t, "allocations of a piece of a snapshot", allocs/float64(pieces), allocsOfPiece)
	all := everything(s)
	allocs = testing.AllocsPerRun(3, func() {
		r, err := Restore(Options{}, bytes.NewReader(all))
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
	}) / n
	cost.AtMost(t, "allocations of a record that is restored", allocs, allocsOfRestore)
}
