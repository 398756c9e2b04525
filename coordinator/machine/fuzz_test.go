package machine

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
	"pgregory.net/rapid"
)

// seeds are entries as they are really written, of all kinds.
func seeds() (entries, commands [][]byte) {
	for i := range 40 {
		w := rapid.Custom(func(t *rapid.T) [][]byte {
			w := newWriter(t)
			var l [][]byte
			for range 6 {
				h := w.header()
				b := h.Append(nil)
				for range 4 {
					c := Command{Origin: 1, Request: 2, Op: w.op()}.Append(nil)
					b = append(b, c...)
					commands = append(commands, c[4:])
				}
				l = append(l, b)
			}
			return l
		}).Example(i)
		entries = append(entries, w...)
	}
	return entries, commands
}

// FuzzApply: whatever an entry holds, applying it does not panic, keeps the
// invariants, and gives the same on two machines; only an unknown version is an
// error. Zero bytes in a row part an input into entries.
func FuzzApply(f *testing.F) {
	entries, _ := seeds()
	for i := range entries {
		f.Add(bytes.Join(entries[i:min(i+4, len(entries))], separator))
	}
	f.Add([]byte{2, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		log := bytes.Split(data, separator)
		a, b := New(testLimits(20_000)), New(testLimits(20_000))
		defer a.Close()
		defer b.Close()
		open := (&Header{}).Append(nil)
		open = Command{Op: &OpenSession{Nonce: sessions.Nonce{1}, TTL: 1000}}.Append(open)
		open = Command{Op: &OpenSession{Nonce: sessions.Nonce{2}, TTL: 5000}}.Append(open)
		log = append([][]byte{open}, log...)
		b.Begin()
		var said, said2 []string
		for i, e := range log {
			a.Begin()
			err := a.Apply(uint64(i+1), 1, e)
			said = append(said, kept(a.Commit())...)
			if err2 := b.Apply(uint64(i+1), 1, e); (err == nil) != (err2 == nil) {
				t.Fatal(err, err2)
			}
			if err != nil {
				if !errors.Is(err, ErrVersion) || e[0] == Version {
					t.Fatal(err)
				}
				b.Commit()
				return
			}
		}
		said2 = kept(b.Commit())
		if !slices.Equal(group(said), group(said2)) {
			t.Fatalf("one says\n%q, the other\n%q", said, said2)
		}
		if a.Store().Hash() != b.Store().Hash() {
			t.Fatal("two states")
		}
		if err := a.Check(); err != nil {
			t.Fatal(err)
		}
	})
}

var separator = []byte("\xffnext\xff")

// FuzzDecode: a command that can be read is spelt again as it was understood, and
// reading takes memory in proportion to its size.
func FuzzDecode(f *testing.F) {
	_, commands := seeds()
	for _, c := range commands {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkMemory(t, len(data), func() {
			c, err := Decode(data)
			if err != nil {
				return
			}
			again := c.Append(nil)
			one, _, err := Split(again)
			if err != nil {
				return // longer than allowed
			}
			d, err := Decode(one)
			if err != nil || !bytes.Equal(d.Append(nil), again) {
				t.Fatalf("%+v became %+v: %v", c, d, err)
			}
		})
	})
}

// FuzzRecords reads what lies in the store: rows and records. None panics.
func FuzzRecords(f *testing.F) {
	w := rapid.Custom(func(t *rapid.T) [][]byte {
		m := New(testLimits(0))
		defer m.Close()
		w := newWriter(t)
		var l [][]byte
		for i := range 30 {
			m.Begin()
			if m.Apply(uint64(i+1), 1, w.entry()) != nil {
				break
			}
			m.Commit()
			m.Store().Visit(store.Query{Space: store.Locks, End: store.Everything}, func(r store.Record) bool {
				l = append(l, []byte(r.Value))
				return true
			})
			for _, table := range []store.Table{tableSession, tableClaim, tableMeta} {
				m.Store().Rows(table, nil, func(_, row string) bool {
					l = append(l, []byte(row))
					return true
				})
			}
		}
		return l
	}).Example(1)
	for _, b := range w {
		f.Add(b)
	}
	p := Reply{Code: Held, Message: "m", Labels: sessions.Labels{{Key: "a", Value: "b"}}, Txn: &store.TxnResult{Results: []store.OpResult{{Put: &store.PutResult{}}}}}
	f.Add(p.append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkMemory(t, len(data), func() {
			_, _ = locks.ReadRecord(data)
			_, _ = readReply(data)
			_, _, _ = ReadHeader(data)
			_ = sessions.NewTable(10).Restore(1, data)
			_ = locks.NewRestorer(locks.NewTable(locks.Limits{}, new(locks.Token)), 0).Claim(1, data)
		})
		rec, err := locks.ReadRecord(data)
		if err != nil || len(rec.Holders) == 0 {
			return
		}
		var token locks.Token
		table := locks.NewTable(locks.Limits{}, &token)
		r := locks.NewRestorer(table, 0)
		if r.Lock("a", data) == nil {
			_ = r.Finish(1 << 63)
		}
	})
}

// checkMemory holds what f allocates against the size of its input.
func checkMemory(t *testing.T, size int, f func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > uint64(200*size+128<<10) {
		t.Fatalf("%d bytes of input took %d bytes of memory", size, used)
	}
}
