package sessions

import (
	"errors"
	"fmt"

	"github.com/conch-lock/conch/internal/planted"
)

// Refusals. They are values that a client is told; nothing happened.
var (
	// ErrNotFound: the session ended, or never was.
	ErrNotFound = errors.New("no such session: it ended or never was")
	// ErrTooOld: the client itself said that it has the reply of that sequence.
	ErrTooOld = errors.New("the reply of that sequence was acknowledged and is forgotten")
	// ErrTooMany: the table is full, or the session has too many unacknowledged replies.
	ErrTooMany = errors.New("too many")
)

// Table is all sessions of a cell.
type Table struct {
	// Changes is told of a session that is about to change or to end, unless it was
	// told since the last Flush and the row will be handed over by the next: Append
	// spells the row of before for the last time. Whoever reads the rows in pieces
	// meanwhile needs it. Nil: nobody.
	Changes func(*Session)

	last    ID // the newest that was drawn
	byID    map[ID]*Session
	byNonce map[Nonce]*Session
	due     *Deadlines[*Session]
	dirty   []*Session // whose rows have to be written, in the order of their first change
	ended   []ID       // whose rows have to be removed
	limit   int
}

// NewTable makes an empty table for at most limit sessions.
func NewTable(limit int) *Table {
	return &Table{
		byID: map[ID]*Session{}, byNonce: map[Nonce]*Session{}, limit: limit,
		due: NewDeadlines(
			func(a, b *Session) bool {
				return a.Deadline < b.Deadline || a.Deadline == b.Deadline && a.ID < b.ID
			},
			func(s *Session) *int32 { return &s.due }),
	}
}

// Opened finds the session that a nonce made, nil when there is none.
func (t *Table) Opened(nonce Nonce) *Session { return t.byNonce[nonce] }

// Open makes a session, or finds the one that the same nonce made before.
func (t *Table) Open(nonce Nonce, ttl Duration, labels Labels, now Time, revision uint64) (*Session, error) {
	if s := t.Opened(nonce); s != nil && !planted.On(planted.OpenedTwice) {
		return s, nil
	}
	if len(t.byID) >= t.limit {
		return nil, fmt.Errorf("%w sessions: %d is the limit", ErrTooMany, t.limit)
	}
	t.last++
	s := &Session{ID: t.last, TTL: ttl, Nonce: nonce, Labels: labels, Created: revision, Deadline: now + ttl}
	t.add(s)
	t.mark(s) // and not touch: there was no row before
	return s, nil
}

func (t *Table) add(s *Session) {
	t.byID[s.ID] = s
	t.byNonce[s.Nonce] = s
	t.due.Push(s)
}

// Get finds a session, nil when there is none.
func (t *Table) Get(id ID) *Session { return t.byID[id] }

// Len is how many sessions there are.
func (t *Table) Len() int { return len(t.byID) }

// Hear gives a session its full TTL from now. It says whether the session is there.
// Its row is not handed over for that: sessions are heard far more often than rows
// are read, which is at a snapshot.
func (t *Table) Hear(id ID, now Time) bool {
	s := t.byID[id]
	if s == nil {
		return false
	}
	if planted.On(planted.ExpiresEarly) {
		now -= s.TTL / 4
	}
	if planted.On(planted.ExpiresLate) {
		now += 2 * s.TTL
	}
	if d := now + s.TTL; d > s.Deadline {
		t.changes(s)
		s.Deadline = d
		s.behind = true
		t.due.Fix(s)
	}
	return true
}

// Due is the session whose deadline falls next; nil when there is none.
func (t *Table) Due() *Session {
	s, _ := t.due.First()
	return s
}

// End removes a session and says whether it was there.
func (t *Table) End(id ID) bool {
	s := t.byID[id]
	if s == nil {
		return false
	}
	t.changes(s)
	delete(t.byID, id)
	delete(t.byNonce, s.Nonce)
	t.due.Remove(s)
	t.ended = append(t.ended, id)
	return true
}

// Begin is asked before a request takes effect. It first takes in the client's
// watermark. Then: a reply means that the request took effect before; ErrTooOld,
// ErrNotFound and ErrTooMany refuse it; nil and nil let it pass. A request that
// gives something back passes however many replies there are already: needed
// says so.
func (t *Table) Begin(id ID, q, acked Sequence, needed bool) (reply []byte, err error) {
	s := t.byID[id]
	if s == nil {
		return nil, fmt.Errorf("session %d: %w", id, ErrNotFound)
	}
	if acked >= q && q > 0 {
		acked = q - 1 // a request cannot have been answered before it is made
	}
	if acked > s.replies.mark() {
		t.touch(s)
		s.remember().ack(acked)
	}
	if q == 0 {
		return nil, nil
	}
	if data, ok := s.replies.find(q); ok && !planted.On(planted.RepliesIgnored) {
		return data, nil
	}
	if q <= s.replies.mark() {
		return nil, fmt.Errorf("session %d, sequence %d: %w", id, q, ErrTooOld)
	}
	if !needed && s.replies.full() {
		return nil, fmt.Errorf("%w unacknowledged replies in session %d: %d of at most %d, %d bytes of at most %d",
			ErrTooMany, id, len(s.replies.kept), MaxReplies, s.replies.bytes, MaxReplyBytes)
	}
	return nil, nil
}

// Keep remembers the reply of a sequence until the client acknowledges it.
// The table owns data from then on.
func (t *Table) Keep(id ID, q Sequence, data []byte) {
	if s := t.byID[id]; s != nil && q > s.replies.mark() {
		t.touch(s)
		s.remember().keep(q, data)
	}
}

// KeepLate remembers an outcome that follows an earlier answer of the same
// sequence: among the last 64 of the session, and in any case as long as the
// client has not acknowledged the answer.
func (t *Table) KeepLate(id ID, q Sequence, data []byte) {
	s := t.byID[id]
	if s == nil {
		return
	}
	t.touch(s)
	p := s.remember()
	if q > p.acked {
		p.keep(q, data)
	}
	p.keepLate(q, data)
}

// Late calls f with the late outcomes of a session, oldest first. The table owns
// data.
func (t *Table) Late(id ID, f func(q Sequence, data []byte)) {
	s := t.byID[id]
	if s == nil || s.replies == nil {
		return
	}
	for _, x := range s.replies.late {
		f(x.sequence, x.data)
	}
}

// Answered says whether the table remembers an answer to a sequence.
func (t *Table) Answered(id ID, q Sequence) bool {
	s := t.byID[id]
	if s == nil {
		return false
	}
	_, ok := s.replies.find(q)
	return ok
}

// Acked is the watermark of a session.
func (t *Table) Acked(id ID) Sequence {
	if s := t.byID[id]; s != nil {
		return s.replies.mark()
	}
	return 0
}

// ShortestTTL is the smallest TTL among the sessions that end next, a hint for
// how often the leader should tick; zero without sessions.
func (t *Table) ShortestTTL() Duration {
	shortest := Duration(0)
	for i, s := range t.due.heap[:min(t.due.Len(), 8)] {
		if i == 0 || s.TTL < shortest {
			shortest = s.TTL
		}
	}
	return shortest
}

// changes comes before every change of a session.
func (t *Table) changes(s *Session) {
	if planted.On(planted.DeadlinesTorn) {
		return
	}
	if t.Changes != nil && !s.dirty {
		t.Changes(s)
	}
}

// touch has the row of a session written that is about to change.
func (t *Table) touch(s *Session) {
	t.changes(s)
	t.mark(s)
}

func (t *Table) mark(s *Session) {
	if !s.dirty {
		s.dirty = true
		t.dirty = append(t.dirty, s)
	}
}

// Last is the newest ID that was drawn.
func (t *Table) Last() ID { return t.last }

// Flush hands over the rows that changed since the last Flush, those of sessions
// that were no more than heard excepted.
func (t *Table) Flush(set func(ID, *Session), unset func(ID)) {
	for _, s := range t.dirty {
		s.dirty, s.behind = false, false
		if t.byID[s.ID] == s {
			set(s.ID, s)
		}
	}
	for _, id := range t.ended {
		unset(id)
	}
	clear(t.dirty)
	t.dirty, t.ended = t.dirty[:0], t.ended[:0]
}

// Restore puts a session back from its row.
func (t *Table) Restore(id ID, row []byte) error {
	s, err := readSession(id, row)
	if err != nil {
		return err
	}
	if t.byID[id] != nil {
		return fmt.Errorf("session %d stands twice", id)
	}
	t.add(s)
	return nil
}

// RestoreLast puts the counter back.
func (t *Table) RestoreLast(last ID) {
	if planted.On(planted.SessionIDsAgain) {
		return
	}
	t.last = last
}

// Check holds the table against its invariants.
func (t *Table) Check() error {
	if len(t.byID) != t.due.Len() || len(t.byID) != len(t.byNonce) {
		return fmt.Errorf("sessions: %d by id, %d by nonce, %d by deadline", len(t.byID), len(t.byNonce), t.due.Len())
	}
	if err := t.due.Check(); err != nil {
		return fmt.Errorf("sessions: %w", err)
	}
	for _, s := range t.due.heap {
		switch {
		case t.byID[s.ID] != s || t.byNonce[s.Nonce] != s:
			return fmt.Errorf("session %d: its indexes disagree", s.ID)
		case s.ID == 0 || s.ID > t.last:
			return fmt.Errorf("session %d was never drawn: the last is %d", s.ID, t.last)
		}
		if s.replies == nil {
			continue
		}
		n := 0
		for j, x := range s.replies.kept {
			n += len(x.data)
			if x.sequence <= s.replies.acked || j > 0 && x.sequence <= s.replies.kept[j-1].sequence {
				return fmt.Errorf("session %d: reply %d is out of order or acknowledged (%d)", s.ID, x.sequence, s.replies.acked)
			}
		}
		if n != s.replies.bytes || len(s.replies.late) > maxLate {
			return fmt.Errorf("session %d: %d bytes of replies, %d counted, %d late ones", s.ID, n, s.replies.bytes, len(s.replies.late))
		}
	}
	return nil
}
