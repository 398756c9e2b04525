package store

import "fmt"

// Tx is a batch of changes: all that the machine applies in one go. There is
// one at a time. Nothing of it can be taken back.
type Tx struct {
	s      *Store
	within bool  // between BeginRevision and EndRevision
	wrote  bool  // the revision has a change
	millis int64 // of the revision
	events []Event
}

// Begin opens a batch; the memory of the one before is reused.
func (s *Store) Begin() *Tx {
	if s.open != nil {
		panic("store: a batch is open already")
	}
	tx, err := s.db.Begin(true)
	must(err)
	s.open = tx
	t := &s.tx
	clear(t.events)
	if cap(t.events) > maxIdleEvents && len(t.events) < cap(t.events)/4 {
		t.events = nil
	}
	t.events = t.events[:0]
	return t
}

// maxIdleEvents is how many events' memory is kept while batches have few.
const maxIdleEvents = 4096

// Commit closes the batch. Readers see it from now on, those of the same
// goroutine have seen it while it was open.
func (t *Tx) Commit() {
	if t.within {
		panic("store: commit within a revision")
	}
	must(t.s.open.Commit())
	t.s.open = nil
}

// Events are the changes of the batch so far, in order. After Commit they stay
// valid until the next Begin; the texts in them for ever.
func (t *Tx) Events() []Event { return t.events }

// Get is the Store's.
func (t *Tx) Get(space Space, key string) (Record, bool) { return t.s.Get(space, key) }

// Range is the Store's.
func (t *Tx) Range(q Query) (RangeResult, error) { return t.s.Range(q) }

// Row is the Store's.
func (t *Tx) Row(table Table, key []byte) (string, bool) { return t.s.Row(table, key) }

// BeginRevision starts what will share one revision. wallMillis is the time it
// will be told to have happened at, in milliseconds since 1970.
func (t *Tx) BeginRevision(wallMillis int64) {
	if t.within || t.s.open == nil {
		panic("store: revision begun within a revision or outside of a batch")
	}
	t.within, t.wrote, t.millis = true, false, wallMillis
}

// EndRevision ends it. rev is the store's revision and wrote says whether this
// one changed anything; if not, rev is what it was before.
func (t *Tx) EndRevision() (rev uint64, wrote bool) {
	if !t.within {
		panic("store: revision ended that was not begun")
	}
	t.within = false
	if t.wrote && t.s.history.ripe() {
		t.closeChunk()
		t.AutoCompact(t.millis)
	}
	return t.s.revision, t.wrote
}

// Put writes a record: the value, and the session that owns it (0: nobody). It
// returns the record as it was before, the zero Record when there was none.
// Errors: ErrSpace, ErrKeyBounds, ErrValueBounds; nothing has happened then.
func (t *Tx) Put(space Space, key string, value []byte, session uint64) (prev Record, err error) {
	if err := checkWrite(space, key, len(value)); err != nil {
		return Record{}, fmt.Errorf("put: %w", err)
	}
	return t.put(space, key, value, session), nil
}

func checkWrite(space Space, key string, value int) error {
	if err := checkSpace(space); err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return err
	}
	return checkValue(value)
}

func (t *Tx) put(space Space, key string, value []byte, session uint64) (prev Record) {
	s := t.s
	first := t.allocate()
	rowKey, old, had := s.recordRow(space, key)
	next := Record{Key: rowKey[2:], Create: s.revision, Mod: s.revision, Version: 1, Session: session}
	if had {
		prev = mustRecord(next.Key, old)
		next.Create, next.Version = prev.Create, prev.Version+1
	} else {
		s.records[space]++
	}
	s.row = appendRecord(s.row[:0], next.Create, next.Mod, next.Version, session)
	head := len(s.row)
	s.row = append(s.row, value...)
	row := string(s.row)
	next.Value = row[head:]
	s.set(rowKey, row)
	if space == Keys {
		s.owned.move(key, prev.Session, session)
	}
	t.record(first, Event{Space: space, Record: next, Prev: prev, Millis: t.millis})
	return prev
}

// Delete removes a record and returns it, the zero Record when there was none:
// then nothing has happened.
func (t *Tx) Delete(space Space, key string) (prev Record) {
	s := t.s
	rowKey := recordKey(space, key)
	old, had := s.unset(rowKey)
	if !had {
		return Record{}
	}
	first := t.allocate()
	prev = mustRecord(rowKey[2:], old)
	s.records[space]--
	if space == Keys {
		s.owned.move(key, prev.Session, 0)
	}
	gone := Record{Key: prev.Key, Mod: s.revision}
	t.record(first, Event{Space: space, Deleted: true, Record: gone, Prev: prev, Millis: t.millis})
	return prev
}

// allocate gives the revision its number at its first change, and says whether
// this is it.
func (t *Tx) allocate() (first bool) {
	if !t.within {
		panic("store: change outside of a revision")
	}
	if t.wrote {
		return false
	}
	t.wrote = true
	t.s.revision++
	return true
}

// record adds an event to the batch and to the history.
func (t *Tx) record(first bool, e Event) {
	t.events = append(t.events, e)
	t.s.resize(t.s.history.append(first, &e))
}
