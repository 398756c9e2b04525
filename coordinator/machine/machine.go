package machine

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"io"

	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/elections"
	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/record"
	"github.com/conch-lock/conch/sessions"
)

// Limits bound the state. A zero field has the default.
type Limits struct {
	Sessions        int // 1,000,000
	Claims          int // waiting and granted, for locks and for elections: 4,000,000 each
	ClaimsOfSession int // of locks and of elections: 1,000,000 each
	Waiters         int // of one lock or election: 100,000
	Store           store.Options
}

func (l Limits) withDefaults() Limits {
	for _, x := range []struct {
		v *int
		d int
	}{
		{&l.Sessions, 1_000_000},
		{&l.Claims, 4_000_000},
		{&l.ClaimsOfSession, 1_000_000},
		{&l.Waiters, 100_000},
	} {
		if *x.v == 0 {
			*x.v = x.d
		}
	}
	l.Store.Disposable = disposable
	return l
}

// disposable: a free lock's record is worth no more than its history, nor is that
// of an election which its last leader left in order.
func disposable(space store.Space, rec store.Record) bool {
	switch space {
	case store.Locks:
		r, err := locks.ReadRecord([]byte(rec.Value))
		return err == nil && r.Free() && r.Delayed == 0
	case store.Elections:
		r, err := elections.ReadRecord([]byte(rec.Value))
		return err == nil && r.Disposable()
	}
	return false
}

// The tables of rows beside the revisioned spaces.
const (
	tableMeta    = 'm'
	tableSession = 's'
	tableClaim   = 'w'

	tableCandidate = 'c'
)

// Machine is the state of one cell.
type Machine struct {
	limits   Limits
	store    *store.Store
	sessions *sessions.Table
	locks    *locks.Table

	elections *elections.Table

	meta

	tx      *store.Tx // of the entries being applied
	out     Output
	changes []store.Event // of transactions that a Hash ended early
	header  Header
	decoder decoder
	row     []byte  // used again for every row that is spelt
	former  []byte  // the same, of sessions for snapshots
	number  [8]byte // and for every key
}

// meta is the machine's own row.
type meta struct {
	index, term uint64        // of the last entry applied
	now         sessions.Time // cluster time
	millis      int64         // the latest wall time of an entry
	token       locks.Token   // the newest grant's
	malformed   uint64        // commands that could not be read
	chain       uint64        // CRC-64 over all entries applied
}

// New makes the state of a new cell.
func New(l Limits) *Machine {
	m := &Machine{limits: l.withDefaults()}
	m.create(0, 0)
	return m
}

// create makes an empty state, as it is after the given entry.
func (m *Machine) create(index, term uint64) {
	m.reset(store.New(m.limits.Store))
	m.index, m.term = index, term
	m.Begin()
	m.flush()
	m.Commit()
}

func (m *Machine) reset(s *store.Store) {
	m.store = s
	m.meta = meta{}
	m.sessions = sessions.NewTable(m.limits.Sessions)
	m.bindSessions()
	m.locks = locks.NewTable(locks.Limits{
		Claims: m.limits.Claims, ClaimsOfSession: m.limits.ClaimsOfSession, Waiters: m.limits.Waiters,
	}, &m.token)
	m.locks.Recall = m.recall
	m.elections = elections.NewTable(locks.Limits{
		Claims: m.limits.Claims, ClaimsOfSession: m.limits.ClaimsOfSession, Waiters: m.limits.Waiters,
	}, &m.token)
	m.elections.Recall = m.recallElection
	m.out = Output{}
}

// bindSessions has snapshots take the rows of sessions from the table: those in the
// store are behind by the keep-alives since they were last written.
func (m *Machine) bindSessions() {
	m.sessions.Changes = func(s *sessions.Session) {
		m.tx.Former(tableSession, m.key(uint64(s.ID)), func() []byte {
			m.former = s.Append(m.former[:0])
			return m.former
		})
	}
	m.store.Newest = func(table store.Table, key, row string) string {
		if table != tableSession {
			return row
		}
		s := m.sessions.Get(sessions.ID(binary.BigEndian.Uint64([]byte(key))))
		if s == nil || !s.Behind() {
			return row
		}
		m.former = s.Append(m.former[:0])
		return string(m.former)
	}
}

// recall finds what the store remembers of a lock that nobody holds.
func (m *Machine) recall(n locks.Name) (locks.Token, locks.Tenure) {
	rec, ok := m.store.Get(store.Locks, string(n))
	if !ok {
		return 0, locks.Tenure{}
	}
	m.row = append(m.row[:0], rec.Value...)
	r, err := locks.ReadRecord(m.row)
	if err != nil {
		panic(fmt.Sprintf("machine: the record of lock %q: %v", n, err))
	}
	return r.Token, r.Last
}

// Begin opens the transaction for entries that are applied together.
func (m *Machine) Begin() {
	m.tx = m.store.Begin()
	clear(m.changes)
	m.changes = m.changes[:0]
	m.out.Results, m.out.Events, m.out.Hashes, m.out.Changes = again(m.out.Results), again(m.out.Events), m.out.Hashes[:0], nil
}

// again is a list to be filled anew, in the memory of the last one, unless that
// was large and mostly not needed: what one large entry took is not held for ever.
func again[T any](list []T) []T {
	clear(list)
	if cap(list) > maxIdleOutput && len(list) < cap(list)/4 {
		return nil
	}
	return list[:0]
}

// maxIdleOutput is how many results and how many events have memory while there
// are few.
const maxIdleOutput = 1024

// Apply applies one entry; its index follows that of the last one. An error
// means that this program does not understand the entry, and must stop. Data
// may be empty: an entry of the consensus' own.
//
// Rows are written at the end of every entry and not once for all of a
// transaction: what the state takes, which decides about the quota, must not
// depend on which entries happened to be applied together.
func (m *Machine) Apply(index, term uint64, data []byte) error {
	if index != m.index+1 {
		return fmt.Errorf("machine: entry %d after entry %d", index, m.index)
	}
	if len(data) > 0 && data[0] != Version {
		return fmt.Errorf("machine: entry %d: %w: version %d, known is %d", index, ErrVersion, data[0], Version)
	}
	m.index, m.term = index, term
	m.chain = crc64.Update(m.chain, crcTable, m.key(term))
	if len(data) > 0 {
		m.chain = crc64.Update(m.chain, crcTable, data)
		m.entry(data)
		m.tx.AutoCompact(m.millis)
	}
	m.flush()
	return nil
}

// entry applies what an entry says. One whose header is malformed says nothing.
func (m *Machine) entry(data []byte) {
	commands, err := m.header.read(data)
	if err != nil {
		m.malformed++
		return
	}
	m.tick(&m.header)
	for len(commands) > 0 {
		var one []byte
		if one, commands, err = Split(commands); err != nil {
			m.malformed++
			return
		}
		m.command(one)
	}
}

var crcTable = crc64.MakeTable(crc64.ECMA)

// Commit ends the transaction and tells what came of it.
func (m *Machine) Commit() Output {
	m.out.Changes = m.tx.Events()
	if len(m.changes) > 0 {
		m.changes = append(m.changes, m.out.Changes...)
		m.out.Changes = m.changes
	}
	m.tx.Commit()
	m.tx = nil
	return m.out
}

// hash is the hash of all the state as it is now. It ends the transaction and
// begins another one.
func (m *Machine) hash() Hashed {
	m.flush()
	m.changes = append(m.changes, m.tx.Events()...)
	m.tx.Commit()
	h := Hashed{Index: m.index, Revision: m.store.Revision(), Sum: m.store.Hash()}
	m.tx = m.store.Begin()
	return h
}

// flush writes the rows that changed since the last flush.
func (m *Machine) flush() {
	m.sessions.Flush(
		func(id sessions.ID, s *sessions.Session) {
			m.row = s.Append(m.row[:0])
			m.tx.Set(tableSession, m.key(uint64(id)), m.row)
		},
		func(id sessions.ID) { m.tx.Unset(tableSession, m.key(uint64(id))) },
	)
	m.row = m.appendMeta(m.row[:0])
	m.tx.Set(tableMeta, m.key(0), m.row)
}

// key spells the key of a row; it is used again for the next.
func (m *Machine) key(n uint64) []byte {
	binary.BigEndian.PutUint64(m.number[:], n)
	return m.number[:]
}

func (m *Machine) appendMeta(b []byte) []byte {
	b = append(b, Version)
	b = record.AppendUint(b, m.index)
	b = record.AppendUint(b, m.term)
	b = record.AppendInt(b, m.now)
	b = record.AppendInt(b, sessions.Time(m.millis))
	token := m.token
	if planted.On(planted.TokensAgain) {
		token = 0
	}
	b = record.AppendUint(b, token)
	b = record.AppendUint(b, m.sessions.Last())
	b = record.AppendUint(b, m.locks.Order())
	b = record.AppendUint(b, m.elections.Order())
	b = record.AppendUint(b, m.malformed)
	return record.AppendUint(b, m.chain)
}

// Snapshot pins the state between two Commits; read it while entries go on
// being applied.
func (m *Machine) Snapshot() *store.Snapshot { return m.store.Snapshot() }

// Restore replaces the state by what a snapshot taken at that index wrote; a
// snapshot without a byte is the state of a new cell. After an error the machine
// is as it was.
func (m *Machine) Restore(r io.Reader, index, term uint64) error {
	in := bufio.NewReaderSize(r, store.RestoreBuffer)
	fresh := &Machine{limits: m.limits}
	if _, err := in.Peek(1); err == io.EOF {
		fresh.create(index, term)
	} else {
		s, err := store.Restore(m.limits.Store, in)
		if err != nil {
			return fmt.Errorf("machine: %w", err)
		}
		fresh.reset(s)
		err = fresh.rebuild()
		if err == nil && (fresh.index != index || fresh.term != term) {
			err = fmt.Errorf("the state is that of entry %d of term %d, not of entry %d of term %d", fresh.index, fresh.term, index, term)
		}
		if err != nil {
			s.Close()
			return fmt.Errorf("machine: %w", err)
		}
	}
	m.store.Close()
	*m = *fresh
	// What points into the machine has to point into this one.
	m.locks.Rebind(&m.token, m.recall)
	m.elections.Rebind(&m.token, m.recallElection)
	m.bindSessions()
	return nil
}

// rebuild makes the tables in memory from the rows of the store.
func (m *Machine) rebuild() error {
	row, ok := m.store.Row(tableMeta, m.key(0))
	if !ok {
		return fmt.Errorf("the state has no row of the machine's own")
	}
	r := record.NewReader([]byte(row))
	if v := r.Byte(); v != Version {
		r.Fail("version %d of the state: %d is known", v, Version)
	}
	m.index, m.term = r.Uint(), r.Uint()
	m.now, m.millis = sessions.Time(r.Int()), r.Int()
	m.token = locks.Token(r.Uint())
	last, order, electionOrder := sessions.ID(r.Uint()), r.Uint(), r.Uint()
	m.malformed, m.chain = r.Uint(), r.Uint()
	if err := r.Done(); err != nil {
		return err
	}

	m.sessions.RestoreLast(last)
	err := m.rows(tableSession, func(id uint64, row []byte) error {
		return m.sessions.Restore(sessions.ID(id), row)
	})
	if err != nil {
		return err
	}
	restorer := locks.NewRestorer(m.locks, int(m.store.Len(store.Locks)))
	m.store.Visit(store.Query{Space: store.Locks, End: store.Everything}, func(rec store.Record) bool {
		m.row = append(m.row[:0], rec.Value...)
		err = restorer.Lock(locks.Name(rec.Key), m.row)
		return err == nil
	})
	if err != nil {
		return err
	}
	err = m.rows(tableClaim, restorer.Claim)
	if err != nil {
		return err
	}
	if err := restorer.Finish(order); err != nil {
		return err
	}
	return m.rebuildElections(electionOrder)
}

// rows calls f with the rows of a table until it fails. The row is used again
// afterwards.
func (m *Machine) rows(table store.Table, f func(id uint64, row []byte) error) (err error) {
	m.store.Rows(table, nil, func(key, row string) bool {
		if len(key) != 8 {
			err = fmt.Errorf("a row of table %q has a key of %d bytes", table, len(key))
			return false
		}
		m.row = append(m.row[:0], row...)
		err = f(binary.BigEndian.Uint64([]byte(key)), m.row)
		return err == nil
	})
	return err
}

// Close ends what the store keeps running.
func (m *Machine) Close() { m.store.Close() }
