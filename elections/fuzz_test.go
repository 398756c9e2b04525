package elections

import (
	"bytes"
	"testing"

	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// seeds are records and rows as tables write them.
func seeds() (records, rows [][]byte) {
	c := newCell(scriptLimits)
	for i, terms := range []Terms{{}, {Priority: -5, Preempt: true}, {Priority: 5, Preempt: true, Tenure: sessions.Second}} {
		c.step(func(at locks.Step) {
			id := locks.ClaimID{Session: sessions.ID(i + 1), Sequence: 1}
			_, _, _ = c.table.Campaign(at, Request{ID: id, Name: "a", Value: []byte("value"), Terms: terms, Wait: sessions.Second})
		})
		for _, r := range c.store.records {
			records = append(records, bytes.Clone(r))
		}
	}
	for _, r := range c.store.rows {
		rows = append(rows, bytes.Clone(r))
	}
	c.step(func(at locks.Step) { c.table.EndSession(at, 3, locks.Expired) })
	return append(records, c.store.records["a"]), rows
}

// FuzzReadRecord: whatever the bytes, a record is read or refused, and what was
// read is written as it was.
func FuzzReadRecord(f *testing.F) {
	records, _ := seeds()
	for _, r := range records {
		f.Add(r)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ReadRecord(data)
		if err != nil {
			return
		}
		again, err := ReadRecord(r.Append(nil))
		if err != nil {
			t.Fatalf("%+v is not read again: %v", r, err)
		}
		if !bytes.Equal(again.Append(nil), r.Append(nil)) {
			t.Fatalf("%+v became %+v", r, again)
		}
	})
}

// FuzzRestore: whatever the bytes of records and rows, a table is restored or
// refused; one that is restored and sound goes on.
func FuzzRestore(f *testing.F) {
	records, rows := seeds()
	for _, r := range records {
		for _, q := range rows {
			f.Add(r, q, uint64(2))
		}
	}
	f.Fuzz(func(t *testing.T, data, row []byte, order uint64) {
		token := locks.Token(1 << 40)
		table := NewTable(scriptLimits, &token)
		r := NewRestorer(table, 0)
		if r.Election("a", data) != nil || r.Candidate(order, row) != nil || r.Finish(1<<40) != nil {
			return
		}
		const now = maxTime
		if table.Check(now, func(sessions.ID) bool { return true }) != nil {
			return
		}
		at := locks.Step{Now: now, Revision: 1 << 40}
		for range 4 {
			if _, ok := table.Due(); ok {
				table.Expire(at)
			}
		}
		if e := table.Get("a"); e != nil {
			table.EndSession(at, e.Leader().ID.Session, locks.Expired)
		}
	})
}
