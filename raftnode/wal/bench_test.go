package wal

import (
	"fmt"
	"testing"

	"github.com/conch-lock/conch/raftnode/disk"
)

// BenchmarkAppend appends batches of entries of 200 bytes to the real disk,
// one sync a batch, and releases what lies 8 segments back.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			dir := b.TempDir()
			l, _, err := Open(disk.OS{}, dir, Options{})
			must(b, err)
			defer l.Close()
			es := make([]Entry, n)
			data := make([]byte, 200)
			for i := range es {
				es[i] = Entry{Index: uint64(i), Term: 1, Data: data}
			}
			next := uint64(1)
			b.SetBytes(int64(n * 200))
			b.ReportAllocs()
			for b.Loop() {
				for i := range es {
					es[i].Index = next
					next++
				}
				must(b, l.Append(Batch{Entries: es, Sync: true}))
				if len(l.segments) > 8 {
					must(b, l.Mark(next-1, 1))
					must(b, l.Release(next-1))
				}
			}
			b.ReportMetric(float64(next-1)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkOpen reads a log of 64 MiB back.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	l, _, err := Open(disk.OS{}, dir, Options{})
	must(b, err)
	es := make([]Entry, 128)
	for n := uint64(0); l.Stats().Segments < 2; n += 128 {
		for i := range es {
			es[i] = Entry{Index: n + uint64(i) + 1, Term: 1, Data: make([]byte, 200)}
		}
		must(b, l.Append(Batch{Entries: es}))
	}
	must(b, l.Close())
	b.ReportAllocs()
	for b.Loop() {
		l, _, err := Open(disk.OS{}, dir, Options{})
		must(b, err)
		must(b, l.Close())
	}
}

// BenchmarkMem is what a simulation pays: appends, and an Open.
func BenchmarkMem(b *testing.B) {
	m := disk.NewMem()
	l, _ := open(b, m, small)
	es := ents(1, 4, 1)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for i := range es {
				es[i].Index = l.last + 1 + uint64(i)
			}
			must(b, l.Append(Batch{Entries: es, Sync: true}))
			if len(l.segments) > 3 {
				must(b, l.Mark(l.last, 1))
				must(b, l.Release(l.last))
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l, _ = reopen(b, m, l, small)
		}
	})
}
