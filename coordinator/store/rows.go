package store

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tidwall/buntdb"
)

// Tables, the first byte of a row's key.
const (
	tableHistory = 'h' // first revision (8 bytes, big-endian) → chunk of events
	tableRecords = 'k' // space, key → record
	tableRows    = 'r' // table, key → row of the machine
)

// rowOverhead is what a row is reckoned to cost beside its key and value.
const rowOverhead = 96

// Table is a table of rows that belong to the machine. They have no revision,
// no history and no bounds of quota; they are part of snapshots and hashes.
type Table byte

// Set writes a row. The key has at least 1 byte and at most 64 KiB, big-endian
// numbers in it keep their order. key and value may be reused afterwards.
func (t *Tx) Set(table Table, key, value []byte) {
	s := t.s
	s.row = append(s.row[:0], tableRows, byte(table))
	s.row = append(s.row, key...)
	n := len(s.row)
	if n > maxRowKey || len(key) == 0 || len(value) > maxRowValue {
		panic(fmt.Sprintf("store: row with a key of %d and a value of %d bytes", len(key), len(value)))
	}
	s.row = append(s.row, value...)
	row := string(s.row) // key and value in one allocation: they live and die together
	s.set(row[:n], row[n:])
}

// Former is told before a row changes, by being set or without: snapshots under way
// that have not come to it yet and do not know it have spell say how it read until
// now. What has no row is none of theirs. See Store.Newest.
func (t *Tx) Former(table Table, key []byte, spell func() []byte) {
	s := t.s
	if len(s.snapshots) == 0 {
		return
	}
	k := rowKey(table, key)
	if !slices.ContainsFunc(s.snapshots, func(w *Snapshot) bool { return w.lacks(k) }) {
		return
	}
	if _, had := s.get(k); had {
		s.keepImage(k, string(spell()), true)
	}
}

// Unset removes a row and says whether there was one.
func (t *Tx) Unset(table Table, key []byte) bool {
	_, had := t.s.unset(rowKey(table, key))
	return had
}

// Row returns a row as it was set.
func (s *Store) Row(table Table, key []byte) (value string, ok bool) {
	return s.get(rowKey(table, key))
}

// Rows calls fn with the rows of a table as they were set, in the order of their
// keys, from the key `from` on, until it returns false. fn must not write.
func (s *Store) Rows(table Table, from []byte, fn func(key, value string) bool) {
	s.ascend(rowKey(table, from), func(key, value string) bool {
		if key[0] != tableRows || key[1] != byte(table) {
			return false
		}
		return fn(key[2:], value)
	})
}

func rowKey(table Table, key []byte) string {
	b := make([]byte, 0, 64)
	b = append(b, tableRows, byte(table))
	return string(append(b, key...))
}

func recordKey(space Space, key string) string {
	b := make([]byte, 0, 64)
	b = append(b, tableRecords, byte(space))
	return string(append(b, key...))
}

func chunkKey(first uint64) string {
	b := make([]byte, 0, 9)
	b = append(b, tableHistory)
	return string(binary.BigEndian.AppendUint64(b, first))
}

// get reads a row.
func (s *Store) get(key string) (value string, ok bool) {
	s.view(func(tx *buntdb.Tx) {
		v, err := tx.Get(key)
		value, ok = v, err == nil
	})
	return value, ok
}

// ascend calls fn with rows in order, from the first key >= from.
func (s *Store) ascend(from string, fn func(key, value string) bool) {
	s.view(func(tx *buntdb.Tx) { must(tx.AscendGreaterOrEqual("", from, fn)) })
}

// set is the one way in which rows are written once there is a store.
func (s *Store) set(key, value string) (prev string, had bool) {
	prev, had, err := s.open.Set(key, value, nil)
	must(err)
	size := len(value) - len(prev)
	if !had {
		size += len(key) + rowOverhead
	}
	s.resize(size)
	s.keepImage(key, prev, had)
	s.note(key, value, true)
	return prev, had
}

// load is set for a row that is new, in a store that nobody has read or walks
// yet.
func (s *Store) load(key, value string) {
	_, _, err := s.open.Set(key, value, nil)
	must(err)
	s.resize(len(key) + len(value) + rowOverhead)
}

// unset is the one way in which rows are removed.
func (s *Store) unset(key string) (prev string, had bool) {
	prev, err := s.open.Delete(key)
	if err != nil {
		if err == buntdb.ErrNotFound {
			return "", false
		}
		must(err)
	}
	s.resize(-len(key) - len(prev) - rowOverhead)
	s.keepImage(key, prev, true)
	s.note(key, "", false)
	return prev, true
}
