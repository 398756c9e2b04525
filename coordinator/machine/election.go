package machine

import (
	"errors"
	"fmt"

	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/elections"
	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// recallElection finds what the store remembers of an election that nobody leads.
func (m *Machine) recallElection(n locks.Name) (elections.Record, bool) {
	rec, ok := m.store.Get(store.Elections, string(n))
	if !ok {
		return elections.Record{}, false
	}
	r, err := elections.ReadRecord([]byte(rec.Value))
	if err != nil {
		panic(fmt.Sprintf("machine: the record of election %q: %v", n, err))
	}
	return r, true
}

// audience writes what a step changed of the elections.
type audience Machine

func (s *audience) Election(e *elections.Election) {
	r := e.Record()
	s.row = r.Append(s.row[:0])
	if _, err := s.tx.Put(store.Elections, string(e.Name), s.row, 0); err != nil {
		panic(fmt.Sprintf("machine: the record of election %q: %v", e.Name, err)) // its size is bounded
	}
}

func (s *audience) Granted(c *elections.Candidate) {
	m := (*Machine)(s)
	m.out.Events = append(m.out.Events, Event{
		Kind: ClaimGranted, Session: c.ID.Session, Sequence: c.ID.Sequence, Revision: c.Revision,
		Reply: &Reply{Revision: c.Revision, Claim: m.candidacy(c)},
	})
}

func (s *audience) Queue(order uint64, row []byte) {
	s.tx.Set(tableCandidate, (*Machine)(s).key(order), row)
}
func (s *audience) Settle(order uint64) { s.tx.Unset(tableCandidate, (*Machine)(s).key(order)) }

// candidacy is the state of a candidate.
func (m *Machine) candidacy(c *elections.Candidate) *Claimed {
	d := &Claimed{ID: c.ID, Granted: c.Granted(), Election: true}
	d.Names = append(d.one[:0], c.Election)
	if d.Granted {
		d.Token, d.Revision, d.Since = c.Token, c.Revision, c.Since
		d.Term = m.elections.Get(c.Election).Term()
		d.Predecessor = m.elections.Predecessor(c)
	} else {
		d.Position = m.elections.Position(c)
	}
	return d
}

// expireElection lets one pre-emption or wait of an election happen.
func (m *Machine) expireElection() {
	var preempted, timedOut *elections.Candidate
	m.change(func(at locks.Step) { preempted, timedOut = m.elections.Expire(at) })
	m.preempted(preempted)
	if timedOut != nil {
		m.claimOver(timedOut.Claim, Reply{
			Code:     WaitTimedOut,
			Message:  "the candidate did not lead before its wait ended",
			Revision: m.store.Revision(),
		})
	}
}

// preempted tells a leader, if there is one, that a candidate ended its tenure.
func (m *Machine) preempted(c *elections.Candidate) {
	if c != nil {
		m.leaderOver(c, ClaimTransferred, "a candidate of higher priority leads now")
	}
}

// leaderOver tells a leader that its tenure ended unasked.
func (m *Machine) leaderOver(c *elections.Candidate, code Code, what string) {
	if code == ClaimTransferred && planted.On(planted.HandoverNotTold) {
		return
	}
	m.claimOver(c.Claim, Reply{
		Code: code, Revision: m.store.Revision(), Token: c.Token,
		Message: fmt.Sprintf("election %q, token %d: %s", c.Election, c.Token, what),
	})
}

// campaign makes a candidate. The answer to a repeated one is its state while it
// stands, and its remembered outcome afterwards.
func (m *Machine) campaign(o *Campaign) Reply {
	id := locks.ClaimID{Session: o.Session, Sequence: o.Sequence}
	if c := m.elections.Find(id); c != nil {
		return Reply{Claim: m.candidacy(c)}
	}
	if m.locks.Find(id) != nil {
		return inUse(id, "a claim for locks")
	}
	return m.once(o.Request, false, func() Reply {
		if p, full := m.full(); full {
			return p
		}
		var c, ended *elections.Candidate
		var err error
		m.change(func(at locks.Step) {
			c, ended, err = m.elections.Campaign(at, elections.Request{
				ID: id, Name: o.Name, Value: o.Value, Labels: o.Labels, Terms: o.terms(), Try: o.Try,
				Wait: sessions.Duration(o.Wait) * sessions.Millisecond,
			})
		})
		if errors.Is(err, elections.ErrAging) {
			p := refuseClaim(err)
			p.Code = AgingMismatch
			return p
		}
		if err != nil {
			return refuseClaim(err)
		}
		m.preempted(ended)
		return Reply{Claim: m.candidacy(c)}
	})
}

// inUse refuses a sequence that names something else already.
func inUse(id locks.ClaimID, what string) Reply {
	return refuse(InvalidArgument, fmt.Errorf("session %d, sequence %d: it names %s, and a sequence is never used twice", id.Session, id.Sequence, what))
}

// asLeader runs a command of a leader once, or an operator's. needed: it gives
// something back when its session leads.
func (m *Machine) asLeader(o *Leadership, needed bool, f func() Reply) Reply {
	if o.Session == 0 || o.Sequence == 0 {
		return f()
	}
	c := m.elections.Leading(o.Name, o.Token)
	return m.once(o.Request, needed && c != nil && c.ID.Session == o.Session, f)
}

func refuseLeader(err error) Reply {
	code := InvalidArgument
	switch {
	case errors.Is(err, elections.ErrNotLeader):
		code = NotHolder
	case errors.Is(err, elections.ErrMismatch):
		code = TokenMismatch
	case errors.Is(err, elections.ErrNotCandidate):
		code = NotFound
	}
	return refuse(code, err)
}

func (m *Machine) proclaim(o *Proclaim) Reply {
	if p, full := m.full(); full {
		return p
	}
	var err error
	m.change(func(at locks.Step) { err = m.elections.Proclaim(at, o.Session, o.Name, o.Token, o.Value) })
	if err != nil {
		return refuseLeader(err)
	}
	return Reply{}
}

func (m *Machine) resign(o *Resign) Reply {
	var c *elections.Candidate
	var err error
	m.change(func(at locks.Step) {
		if o.Session == 0 {
			c, err = m.elections.Break(at, o.Name, o.Token)
		} else {
			c, err = m.elections.Resign(at, o.Session, o.Name, o.Token)
		}
	})
	switch {
	case err != nil:
		return refuseLeader(err)
	case o.Session == 0:
		m.leaderOver(c, ClaimBroken, "an operator ended the leadership: "+o.Reason)
	case o.Sequence == 0:
		m.leaderOver(c, ClaimCancelled, "it was resigned in the leader's name: "+o.Reason)
	default:
		m.bar(o.Session, c.ID.Sequence, "was resigned")
	}
	return Reply{}
}

func (m *Machine) transfer(o *Transfer) Reply {
	var c *elections.Candidate
	var err error
	m.change(func(at locks.Step) { c, err = m.elections.Transfer(at, o.Session, o.Name, o.Token, o.To) })
	switch {
	case err != nil:
		return refuseLeader(err)
	case o.Session == 0:
		m.leaderOver(c, ClaimTransferred, fmt.Sprintf("an operator handed the leadership over to session %d: %s", o.To, o.Reason))
	default:
		m.bar(o.Session, c.ID.Sequence, "was handed over")
	}
	return Reply{Token: m.elections.Get(o.Name).Leader().Token}
}

// withdraw cancels a candidacy whatever its state.
func (m *Machine) withdraw(o *Cancel, c *elections.Candidate) Reply {
	var led bool
	m.change(func(at locks.Step) { led = m.elections.Cancel(at, c) })
	m.bar(o.Session, o.Claim, "was cancelled")
	return Reply{WasGranted: led}
}

// rebuildElections makes the table of elections from the rows of the store.
func (m *Machine) rebuildElections(order uint64) (err error) {
	restorer := elections.NewRestorer(m.elections, int(m.store.Len(store.Elections)))
	m.store.Visit(store.Query{Space: store.Elections, End: store.Everything}, func(rec store.Record) bool {
		err = restorer.Election(locks.Name(rec.Key), []byte(rec.Value))
		return err == nil
	})
	if err != nil {
		return err
	}
	err = m.rows(tableCandidate, restorer.Candidate)
	if err != nil {
		return err
	}
	return restorer.Finish(order)
}
