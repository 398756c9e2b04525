package machine

import (
	"bytes"
	"testing"

	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// labelled is a machine with n sessions whose rows have a kilobyte each, so that a
// snapshot has several pieces.
func labelled(t *testing.T, n int) *applier {
	a := &applier{m: New(Limits{})}
	t.Cleanup(func() { a.m.Close() })
	a.open(0, n)
	a.apply(t)
	return a
}

// open begins an entry that opens n sessions.
func (a *applier) open(from, n int) {
	a.h = Header{Elapsed: sessions.Millisecond}
	a.entry = a.h.Append(a.entry[:0])
	for id := from; id < from+n; id++ {
		o := &OpenSession{TTL: 3_600_000}
		o.Nonce[0], o.Nonce[1], o.Nonce[2] = byte(id), byte(id>>8), 1
		for _, key := range []string{"a", "b", "c", "d"} {
			o.Labels = append(o.Labels, sessions.Label{Key: key, Value: string(bytes.Repeat([]byte{'v'}, 240))})
		}
		a.entry = Command{Op: o}.Append(a.entry)
	}
}

// walk reads a snapshot piece by piece.
type walk struct {
	w    *store.Snapshot
	want []byte // all the state as it was when the walk was begun
	got  []byte
	done bool
}

func (a *applier) walk(t *testing.T) *walk {
	w := &walk{w: a.m.Snapshot(), want: everything(a.m)}
	t.Cleanup(w.w.Close)
	return w
}

func (w *walk) read(pieces int) {
	for ; pieces > 0 && !w.done; pieces-- {
		var piece []byte
		piece, w.done = w.w.Next(nil)
		w.got = append(w.got, piece...)
	}
}

// TestSnapshotBesideChanges: a snapshot has the sessions as they were when it was
// begun, however many pieces of it were read when some are heard, use their
// replies, end and are opened, each in its own way a change of the row; also when
// another one is begun meanwhile and all is hashed.
func TestSnapshotBesideChanges(t *testing.T) {
	const n = 200
	for read := range 6 {
		a := labelled(t, n)
		number := uint64(0)
		hear := func(step sessions.ID) {
			number++
			a.h = Header{Elapsed: sessions.Second}
			for id := sessions.ID(1); id <= n; id += step {
				a.h.Heard = append(a.h.Heard, Heard{Session: id, Number: number})
			}
			a.entry = a.h.Append(a.entry[:0])
		}
		hear(1) // the rows in the store are older than the sessions from here on
		long := &Txn{Txn: store.Txn{Success: []store.Op{{Put: &store.PutOp{Key: "k", Value: make([]byte, 100<<10)}}}}}
		get := &Txn{Request: Request{Session: 150, Sequence: 1}, Txn: store.Txn{Success: []store.Op{{Range: &store.Query{Key: "k"}}}}}
		a.entry = Command{Op: get}.Append(Command{Op: long}.Append(a.entry)) // a row of more than a piece
		a.apply(t)
		hear(1)
		a.apply(t)

		first := a.walk(t)
		first.read(read)
		hear(2)
		a.apply(t)
		second := a.walk(t)
		second.read(5 - read)
		hear(3)
		for id := sessions.ID(1); id <= n; id += 5 {
			a.entry = Command{Op: &Acquire{Request: Request{Session: id, Sequence: 2, Acked: sessions.Sequence(id % 2)}, Items: []locks.Item{{Name: "a"}}, Wait: 1000}}.Append(a.entry)
		}
		a.entry = Command{Op: &Hash{}}.Append(a.entry)
		for id := sessions.ID(1); id <= n; id += 7 {
			a.entry = Command{Op: &EndSession{Session: id, Why: locks.Closed}}.Append(a.entry)
		}
		a.apply(t)
		a.open(n, 10)
		a.apply(t)
		for i, w := range []*walk{first, second} {
			w.read(100)
			if !w.done || !bytes.Equal(w.got, w.want) {
				t.Errorf("%d pieces: walk %d has %d bytes and not the %d of the state that it was begun with", read, i+1, len(w.got), len(w.want))
			}
			if bytes.Equal(everything(a.m), w.want) {
				t.Fatal("nothing has changed")
			}
		}
		r := replica{m: a.m}
		r.restart(t)
		a.m = r.m
		if err := r.m.Check(); err != nil {
			t.Error(err)
		}
	}
}

// TestSizeOfHeard: what a session takes does not depend on keep-alives, which are
// not written: nodes that were restored have the newest ones in their rows, and
// must refuse for the quota what others refuse.
func TestSizeOfHeard(t *testing.T) {
	a := newApplier(t, 10)
	bytesOf := func() int64 { return a.m.Store().Bytes() }
	for _, elapsed := range []sessions.Duration{1, sessions.Second, 1000 * sessions.Second} {
		a.h = Header{Elapsed: elapsed}
		for id := sessions.ID(1); id <= 10; id++ {
			a.h.Heard = append(a.h.Heard, Heard{Session: id, Number: uint64(elapsed)})
		}
		a.entry = a.h.Append(a.entry[:0])
		a.apply(t)
		after := bytesOf()
		r := replica{m: a.m}
		r.restart(t)
		a.m = r.m
		if restored := bytesOf(); restored != after {
			t.Errorf("after %v: %d bytes, restored %d", elapsed, after, restored)
		}
	}
}
