package store

import (
	"fmt"

	"github.com/tidwall/buntdb"
)

// Options of a store. They are the same on every node of a cell: they decide
// what is dropped and when.
type Options struct {
	// QuotaBytes is the size, as Bytes counts it, from which on Full holds.
	// 0: no quota.
	QuotaBytes int64
	// KeepRevisions is how many of the newest revisions history is kept for.
	// 0: 500,000.
	KeepRevisions uint64
	// KeepMillis is for how many milliseconds history is kept; what drops most,
	// this, KeepRevisions or a quarter of QuotaBytes, decides. 0: 3,600,000.
	KeepMillis int64
	// Disposable says whether a record of the lock or election space means no
	// more than its absence would; such a record is removed, without an event,
	// once the history of its last change is dropped. It is a function of its
	// arguments alone. nil: none is.
	Disposable func(Space, Record) bool
}

const (
	defaultKeepRevisions = 500_000
	defaultKeepMillis    = 3_600_000
)

// Store holds the state of one cell. See the package's comment.
type Store struct {
	// Newest says how a row of the machine's reads now that was set to row; it is as
	// long. A machine that has it can change rows without setting them, and snapshots
	// and hashes have them as they are; see Tx.Former. Nil: as they were set.
	Newest func(table Table, key, row string) string

	options Options
	db      *buntdb.DB
	open    *buntdb.Tx // of the batch that is open; nil between batches
	tx      Tx         // what Begin returns, its memory reused

	revision  uint64         // of the newest change; 1 when there is none
	compacted uint64         // everything from here on can be read; <= revision
	bytes     int64          // see Bytes
	full      bool           // see Full
	records   [spaces]uint64 // how many records each space has
	history   history
	owned     owned
	snapshots []*Snapshot // those not closed

	recent recent

	row []byte // scratch for building rows
}

// New returns an empty store.
func New(o Options) *Store {
	if o.KeepRevisions == 0 {
		o.KeepRevisions = defaultKeepRevisions
	}
	if o.KeepMillis == 0 {
		o.KeepMillis = defaultKeepMillis
	}
	db, err := buntdb.Open(":memory:")
	must(err)
	s := &Store{options: o, db: db, revision: 1, owned: owned{}, recent: make(recent, fewRecentRows)}
	s.history.reset(2)
	s.tx.s = s
	return s
}

// Close frees the store, with whatever batch is open; snapshots end with it.
func (s *Store) Close() {
	if s.open != nil {
		must(s.open.Rollback())
		s.open = nil
	}
	s.snapshots = nil
	must(s.db.Close())
}

// Revision is that of the newest change; 1 in a store that never had one.
func (s *Store) Revision() uint64 { return s.revision }

// Compacted is the oldest revision that can be read at; 0 while nothing has
// been dropped. See WatchableFrom for watching.
func (s *Store) Compacted() uint64 { return s.compacted }

// Len is the number of records of a space.
func (s *Store) Len(space Space) uint64 {
	if space >= spaces {
		return 0
	}
	return s.records[space]
}

// Get returns the record of a key, false when there is none. While a batch is
// open it sees what the batch has written.
func (s *Store) Get(space Space, key string) (Record, bool) {
	_, row, ok := s.recordRow(space, key)
	if !ok {
		return Record{}, false
	}
	return mustRecord(key, row), true
}

// view runs fn on the batch that is open, or on the last commit.
func (s *Store) view(fn func(tx *buntdb.Tx)) {
	if s.open != nil {
		fn(s.open)
		return
	}
	tx, err := s.db.Begin(false)
	must(err)
	fn(tx)
	must(tx.Rollback())
}

// must ends the process on what buntdb refuses: it does so only when it is
// used wrongly, a closed store or a write within an iteration.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("store: used wrongly: %v", err))
	}
}
