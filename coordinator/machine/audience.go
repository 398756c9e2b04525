package machine

import (
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/elections"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// What follows reads the elections between two Commits.

// Elections is the table of elections that somebody leads, to be read only.
func (m *Machine) Elections() *elections.Table { return m.elections }

// ElectionView is an election as it is now.
type ElectionView struct {
	Name     locks.Name
	Record   elections.Record
	Create   uint64        // revision of its first leader, since it was last forgotten
	Mod      uint64        // revision of its newest change
	Preempt  sessions.Time // the leader will be pre-empted then, unless something changes; 0: nobody wants to
	Waiting  int           // candidates that wait
	Standing []Standing    // the first of them
}

// Standing is a candidate that waits.
type Standing struct {
	*elections.Candidate
	Position  int // 1 for the next
	Effective int // its priority with what it has gained by waiting
}

// Election shows an election, with at most so many of its candidates that wait;
// ok is false for one that nobody ever led, or that is forgotten.
func (m *Machine) Election(n locks.Name, candidates int) (v ElectionView, ok bool) {
	rec, ok := m.store.Get(store.Elections, string(n))
	if !ok {
		return ElectionView{}, false
	}
	return m.ElectionOf(rec, candidates)
}

// ElectionOf is Election for a record of the space of elections that was read
// from the store as it is now.
func (m *Machine) ElectionOf(rec store.Record, candidates int) (v ElectionView, ok bool) {
	v, ok = ReadElection(rec)
	e := m.elections.Get(v.Name)
	if !ok || e == nil {
		return v, ok
	}
	v.Waiting = e.Waiting()
	if at, ok := e.Preemption(); ok {
		v.Preempt = at
	}
	if candidates <= 0 {
		return v, true
	}
	m.elections.Candidates(e, func(c *elections.Candidate) bool {
		v.Standing = append(v.Standing, Standing{c, len(v.Standing) + 1, c.Effective(m.now)})
		return len(v.Standing) < candidates
	})
	return v, true
}

// ReadElection shows an election by its record alone, which may be one of an
// earlier revision.
func ReadElection(rec store.Record) (v ElectionView, ok bool) {
	r, err := elections.ReadRecord([]byte(rec.Value))
	if err != nil {
		return ElectionView{}, false
	}
	return ElectionView{Name: locks.Name(rec.Key), Record: r, Create: rec.Create, Mod: rec.Mod}, true
}

// Candidacies lists the candidacies of a session, waiting and leading, in order
// of acceptance.
func (m *Machine) Candidacies(id sessions.ID) []*Claimed {
	var l []*Claimed
	m.elections.Of(id, func(c *elections.Candidate) { l = append(l, m.candidacy(c)) })
	return l
}
