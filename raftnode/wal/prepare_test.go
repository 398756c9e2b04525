package wal

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"github.com/conch-lock/conch/raftnode/disk"
)

// deferred is work in the background that is done when the test wants it.
type deferred []func()

func (d *deferred) options() Options {
	o := small
	o.Background = func(work func()) { *d = append(*d, work) }
	return o
}

func (d *deferred) run() {
	for _, work := range *d {
		work()
	}
	*d = nil
}

// written counts what is written of the next segment.
func written(m *disk.Mem) *int {
	n := 0
	m.SetHook(func(op disk.Op) error {
		if op.Name == testDir+"/"+preparedName && (op.Kind == disk.OpWrite || op.Kind == disk.OpSync) {
			n++
		}
		return nil
	})
	return &n
}

// TestPreparedBeside: no append writes anything of the next segment, as long as
// it is prepared beside; if it is never, the append that needs it does.
func TestPreparedBeside(t *testing.T) {
	for _, runs := range []bool{true, false} {
		t.Run(fmt.Sprint("runs ", runs), func(t *testing.T) {
			m, d := disk.NewMem(), deferred{}
			l, _ := open(t, m, d.options())
			touched := written(m)
			var all []Entry
			for i := uint64(1); l.Stats().Segments < 4; i++ {
				e := Entry{Index: i, Term: 1, Data: make([]byte, 500)}
				before, segments := *touched, l.Stats().Segments
				must(t, l.Append(Batch{Entries: []Entry{e}, Sync: true}))
				all = append(all, e)
				if rotated := l.Stats().Segments > segments; !rotated && *touched != before {
					t.Fatalf("append %d wrote %d times to the next segment", i, *touched-before)
				} else if rotated && runs && *touched-before != 2 { // its head
					t.Fatalf("append %d began a segment with %d operations on it, want 2", i, *touched-before)
				}
				if runs {
					d.run()
				}
			}
			must(t, l.Close())
			_, c := open(t, m, small)
			wantEntries(t, c.Entries, all)
		})
	}
}

// TestPreparedBesideFails: that a step failed is known when it has ended, and
// ends the log; for want of room it is only noted.
func TestPreparedBesideFails(t *testing.T) {
	for _, kind := range []disk.OpKind{disk.OpWrite, disk.OpSync} {
		for _, wrong := range []error{syscall.EIO, syscall.ENOSPC} {
			t.Run(fmt.Sprint(kind, " ", wrong), func(t *testing.T) {
				m, d := disk.NewMem(), deferred{}
				l, _ := open(t, m, d.options())
				must(t, l.Append(Batch{Entries: ents(1, 1, 1), Sync: true}))
				m.Inject(disk.Fault{Kind: kind, Name: preparedName, Err: wrong})
				must(t, l.Prepared())
				d.run()
				if wrong == syscall.EIO {
					err := l.Prepared()
					if again := l.Append(Batch{Entries: ents(2, 2, 1), Sync: true}); !errors.Is(err, syscall.EIO) || again != err {
						t.Fatalf("when it has ended: %v; the next append: %v", err, again)
					}
					must(t, l.Close())
					return
				}
				must(t, l.Append(Batch{Entries: ents(2, 2, 1), Sync: true}))
				if !l.Stats().NoSpace {
					t.Error("no warning")
				}
				must(t, l.Seal()) // tries again
				d.run()
				must(t, l.Append(Batch{Entries: ents(3, 3, 1), Sync: true}))
				if l.Stats().NoSpace {
					t.Error("the warning stays")
				}
				must(t, l.Close())
				_, c := open(t, m, small)
				wantEntries(t, c.Entries, ents(1, 3, 1))
			})
		}
	}
}

// TestPreparedByAnother appends while other goroutines prepare, for the race
// detector; Close waits for them.
func TestPreparedByAnother(t *testing.T) {
	m := disk.NewMem()
	var others sync.WaitGroup
	o := small
	o.Background = func(work func()) { others.Go(work) }
	l, _ := open(t, m, o)
	var all []Entry
	for i := uint64(1); i <= 400; i++ {
		e := Entry{Index: i, Term: 1, Data: make([]byte, 700)}
		must(t, l.Append(Batch{Entries: []Entry{e}, Sync: true}))
		all = append(all, e)
	}
	must(t, l.Close())
	others.Wait()
	_, c := open(t, m, small)
	wantEntries(t, c.Entries, all)
}
