package machine

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// What follows reads the state between two Commits.

// Applied is the index and term of the last entry applied.
func (m *Machine) Applied() (index, term uint64) { return m.index, m.term }

// Now is cluster time.
func (m *Machine) Now() sessions.Time { return m.now }

// Token is the newest grant's.
func (m *Machine) Token() locks.Token { return m.token }

// Malformed counts commands that could not be read.
func (m *Machine) Malformed() uint64 { return m.malformed }

// Chain is a checksum over all entries applied: equal on all nodes at one index.
func (m *Machine) Chain() uint64 { return m.chain }

// Store is the revisioned store, to be read only.
func (m *Machine) Store() *store.Store { return m.store }

// Sessions is the table of sessions, to be read only.
func (m *Machine) Sessions() *sessions.Table { return m.sessions }

// SessionsAfter lists up to limit sessions with an ID above id, in order of ID.
// It looks at no others.
func (m *Machine) SessionsAfter(id sessions.ID, limit int) []*sessions.Session {
	if limit <= 0 || id == math.MaxUint64 {
		return nil
	}
	var l []*sessions.Session
	m.store.Rows(tableSession, m.key(uint64(id)+1), func(key, _ string) bool {
		l = append(l, m.sessions.Get(sessions.ID(binary.BigEndian.Uint64([]byte(key)))))
		return len(l) < limit
	})
	return l
}

// Locks is the table of locks, to be read only.
func (m *Machine) Locks() *locks.Table { return m.locks }

// NextDue is the cluster time at which something falls due next; ok is false
// when nothing will.
func (m *Machine) NextDue() (at sessions.Time, ok bool) {
	at, ok = m.timers()
	if s := m.sessions.Due(); s != nil && (!ok || s.Deadline < at) {
		return s.Deadline, true
	}
	return at, ok
}

// ShortestTTL tells how finely time has to move; zero without sessions.
func (m *Machine) ShortestTTL() sessions.Duration { return m.sessions.ShortestTTL() }

// Aging says that there is history which time will let go.
func (m *Machine) Aging() bool { return m.store.Aging() }

// Claims lists the claims of a session in order of acceptance.
func (m *Machine) Claims(id sessions.ID) []*Claimed {
	var l []*Claimed
	m.locks.Claims(id, func(c *locks.Claim) { l = append(l, m.claimed(c)) })
	return l
}

// Check holds the whole state against its invariants.
func (m *Machine) Check() error {
	if err := m.sessions.Check(); err != nil {
		return err
	}
	if err := m.locks.Check(m.now, func(id sessions.ID) bool { return m.sessions.Get(id) != nil }); err != nil {
		return err
	}
	if err := m.elections.Check(m.now, func(id sessions.ID) bool { return m.sessions.Get(id) != nil }); err != nil {
		return err
	}
	return m.store.Check()
}

// Ended tells how the last claims and candidacies of a session ended that it did
// not end itself, oldest first.
func (m *Machine) Ended(id sessions.ID) []Event {
	var l []Event
	m.sessions.Late(id, func(q sessions.Sequence, data []byte) {
		p, err := readReply(data)
		if err != nil {
			panic(fmt.Sprintf("machine: outcome %d of session %d: %v", q, id, err))
		}
		l = append(l, Event{Kind: ClaimOver, Session: id, Sequence: q, Revision: p.Revision, Reply: &p})
	})
	return l
}
