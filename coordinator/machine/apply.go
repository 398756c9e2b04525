package machine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// tick moves cluster time, takes in the keep-alives, and ends what fell due.
//
// Keep-alives come first: whoever was heard up to this entry is heard before
// anybody is judged by it.
func (m *Machine) tick(h *Header) {
	m.now += h.Elapsed
	if planted.On(planted.ExpiresByWallClock) {
		m.now = max(m.now, sessions.Time(h.Millis)*sessions.Millisecond)
	}
	m.millis = max(m.millis, h.Millis)
	m.out.Events = slices.Grow(m.out.Events, len(h.Heard))
	for _, x := range h.Heard {
		if m.sessions.Hear(x.Session, m.now) {
			m.out.Events = append(m.out.Events, Event{Kind: Alive, Session: x.Session, Number: x.Number, Revision: m.store.Revision()})
		} else {
			m.out.Events = append(m.out.Events, Event{Kind: SessionOver, Session: x.Session, Revision: m.store.Revision()})
		}
	}
	for {
		s := m.sessions.Due()
		at, waits := m.timers()
		switch {
		case s != nil && s.Deadline <= m.now && (!waits || s.Deadline <= at):
			m.endSession(s, locks.Expired, "")
		case waits && at <= m.now:
			m.expireOne()
		default:
			return
		}
	}
}

// timers is when the next wait, delay or tenure is over; ok is false for never.
func (m *Machine) timers() (at sessions.Time, ok bool) {
	at, ok = m.locks.Due()
	if due, some := m.elections.Due(); some && (!ok || due < at) {
		return due, true
	}
	return at, ok
}

// expireOne lets one wait, delay or tenure end: of locks before elections.
func (m *Machine) expireOne() {
	at, locked := m.locks.Due()
	if due, some := m.elections.Due(); some && (!locked || due < at) {
		m.expireElection()
		return
	}
	var c *locks.Claim
	m.change(func(at locks.Step) { c = m.locks.Expire(at) })
	if c == nil {
		return
	}
	m.claimOver(c, Reply{
		Code:     WaitTimedOut,
		Message:  "the claim was not granted before its wait ended",
		Revision: m.store.Revision(),
	})
}

// claimOver tells the session of a claim that it ended unasked, and remembers it.
func (m *Machine) claimOver(c *locks.Claim, p Reply) {
	m.sessions.KeepLate(c.ID.Session, c.ID.Sequence, p.append(nil))
	m.out.Events = append(m.out.Events, Event{
		Kind: ClaimOver, Session: c.ID.Session, Sequence: c.ID.Sequence, Revision: p.Revision, Reply: &p,
	})
}

// change runs f as one step: what it does to locks and elections is written, in
// one revision when it changed who holds one.
func (m *Machine) change(f func(at locks.Step)) {
	m.tx.BeginRevision(m.millis)
	f(locks.Step{Now: m.now, Revision: m.store.Revision() + 1, Millis: m.millis})
	m.locks.Flush((*sink)(m))
	m.elections.Flush((*audience)(m))
	m.tx.EndRevision()
}

// sink writes what a step changed of the locks.
type sink Machine

func (s *sink) Lock(l *locks.Lock) {
	s.row = l.Append(s.row[:0])
	if _, err := s.tx.Put(store.Locks, string(l.Name), s.row, 0); err != nil {
		panic(fmt.Sprintf("machine: the record of lock %q: %v", l.Name, err)) // its size is bounded
	}
}

func (s *sink) Granted(c *locks.Claim) {
	m := (*Machine)(s)
	told := &struct { // in one allocation
		reply Reply
		claim Claimed
	}{reply: Reply{Revision: c.Revision}}
	m.describe(&told.claim, c)
	told.reply.Claim = &told.claim
	m.out.Events = append(m.out.Events, Event{
		Kind: ClaimGranted, Session: c.ID.Session, Sequence: c.ID.Sequence, Revision: c.Revision, Reply: &told.reply,
	})
}

func (s *sink) Queue(order uint64, row []byte) { s.tx.Set(tableClaim, (*Machine)(s).key(order), row) }
func (s *sink) Settle(order uint64)            { s.tx.Unset(tableClaim, (*Machine)(s).key(order)) }

// claimed is the state of a claim.
func (m *Machine) claimed(c *locks.Claim) *Claimed {
	d := &Claimed{}
	m.describe(d, c)
	return d
}

func (m *Machine) describe(d *Claimed, c *locks.Claim) {
	d.ID, d.Granted = c.ID, c.Granted()
	d.Names = c.Names(d.one[:0])
	if d.Granted {
		d.Token, d.Revision, d.Since = c.Token, c.Revision, c.Since
		d.Predecessor = m.locks.Predecessor(c)
	} else {
		d.Position = m.locks.Position(c)
	}
}

// endSession ends a session with all that it has, in one revision.
func (m *Machine) endSession(s *sessions.Session, why locks.Why, reason string) {
	m.sessions.End(s.ID)
	m.change(func(at locks.Step) {
		m.locks.EndSession(at, s.ID, why)
		m.elections.EndSession(at, s.ID, why)
		for _, k := range m.store.Owned(uint64(s.ID)) {
			if planted.On(planted.SessionLeavesKeys) {
				break
			}
			m.tx.Delete(store.Keys, k)
		}
	})
	m.out.Events = append(m.out.Events, Event{
		Kind: SessionOver, Session: s.ID, Why: why, Reason: reason, Revision: m.store.Revision(),
	})
}

// command applies one command and answers it.
func (m *Machine) command(data []byte) {
	c, err := m.decoder.decode(data)
	var p Reply
	if err != nil {
		m.malformed++
		p = refuse(InvalidArgument, err)
	} else {
		p = m.do(c.Op)
	}
	if p.Revision == 0 {
		p.Revision = m.store.Revision()
	}
	if c.Origin != 0 {
		m.out.Results = append(m.out.Results, Result{Origin: c.Origin, Request: c.Request, Reply: p})
	}
}

func (m *Machine) do(op Op) Reply {
	switch o := op.(type) {
	case *OpenSession:
		return m.openSession(o)
	case *EndSession:
		return m.closeSession(o)
	case *Acquire:
		return m.acquire(o)
	case *Release:
		c := m.locks.Held(o.Name, o.Token)
		return m.once(o.Request, c != nil && c.ID.Session == o.Session, func() Reply { return m.release(o) })
	case *Cancel:
		id := locks.ClaimID{Session: o.Session, Sequence: o.Claim}
		return m.once(o.Request, m.locks.Find(id) != nil || m.elections.Find(id) != nil, func() Reply { return m.cancel(o) })
	case *Break:
		return m.breakLock(o)
	case *Campaign:
		return m.campaign(o)
	case *Proclaim:
		return m.asLeader(&o.Leadership, false, func() Reply { return m.proclaim(o) })
	case *Resign:
		return m.asLeader(&o.Leadership, true, func() Reply { return m.resign(o) })
	case *Transfer:
		return m.asLeader(&o.Leadership, true, func() Reply { return m.transfer(o) })
	case *Txn:
		return m.txn(o)
	case *Compact:
		return m.compact(o)
	case *Hash:
		h := m.hash()
		m.out.Hashes = append(m.out.Hashes, h)
		return Reply{Hash: h.Sum}
	}
	return refuse(InvalidArgument, fmt.Errorf("a %T is not known", op))
}

// maxKept is the size from which on a reply is not remembered, but only that
// there was one.
const maxKept = 256 << 10

// once answers a repeated request as before, and remembers the reply to a new
// one. needed: it gives something back, and is not refused for the number of
// replies that the session has not acknowledged.
func (m *Machine) once(q Request, needed bool, f func() Reply) Reply {
	cached, err := m.sessions.Begin(q.Session, q.Sequence, q.Acked, needed)
	if err != nil {
		return refuseSession(err)
	}
	if cached != nil {
		p, err := readReply(cached)
		if err != nil {
			panic(fmt.Sprintf("machine: reply %d of session %d: %v", q.Sequence, q.Session, err))
		}
		return p
	}
	p := f()
	if p.Revision == 0 {
		p.Revision = m.store.Revision()
	}
	if p.Claim == nil {
		m.sessions.Keep(q.Session, q.Sequence, p.remembered())
	}
	return p
}

// remembered spells a reply for the reply cache.
func (p *Reply) remembered() []byte {
	if p.Txn == nil || atLeast(p.Txn) <= maxKept {
		if b := p.append(make([]byte, 0, 32)); len(b) <= maxKept { // 32 is enough for most
			return b
		}
	}
	short := refuse(SequenceTooOld, fmt.Errorf("the request took effect, but its reply was too large to be remembered: at most %d bytes are", maxKept))
	short.Revision = p.Revision
	return short.append(nil)
}

func refuseSession(err error) Reply {
	switch {
	case errors.Is(err, sessions.ErrNotFound):
		return refuse(SessionNotFound, err)
	case errors.Is(err, sessions.ErrTooOld):
		return refuse(SequenceTooOld, err)
	default:
		return refuse(LimitReached, err)
	}
}

// full refuses what would make the state grow once the quota is reached.
func (m *Machine) full() (Reply, bool) {
	if !m.store.Full() {
		return Reply{}, false
	}
	return refuse(NoSpace, fmt.Errorf("the state has %d bytes, its quota is %d: delete, release or compact, then try again",
		m.store.Bytes(), m.limits.Store.QuotaBytes)), true
}

func (m *Machine) openSession(o *OpenSession) Reply {
	if p, full := m.full(); full && m.sessions.Opened(o.Nonce) == nil {
		return p
	}
	s, err := m.sessions.Open(o.Nonce, sessions.Duration(o.TTL)*sessions.Millisecond, o.Labels, m.now, m.store.Revision())
	if err != nil {
		return refuseSession(err)
	}
	return Reply{Session: s.ID, TTL: uint64(s.TTL / sessions.Millisecond), Revision: s.Created}
}

func (m *Machine) closeSession(o *EndSession) Reply {
	s := m.sessions.Get(o.Session)
	if s == nil {
		return refuse(SessionNotFound, fmt.Errorf("session %d: %w", o.Session, sessions.ErrNotFound))
	}
	m.endSession(s, o.Why, o.Reason)
	return Reply{}
}

// acquire makes a claim. The answer to a repeated one is the state of the claim
// while there is one, and its remembered outcome afterwards.
func (m *Machine) acquire(o *Acquire) Reply {
	id := locks.ClaimID{Session: o.Session, Sequence: o.Sequence}
	if c := m.locks.Find(id); c != nil {
		return Reply{Claim: m.claimed(c)}
	}
	if m.elections.Find(id) != nil {
		return inUse(id, "a candidacy")
	}
	return m.once(o.Request, false, func() Reply {
		if p, full := m.full(); full {
			return p
		}
		var c *locks.Claim
		var err error
		m.change(func(at locks.Step) {
			c, err = m.locks.Claim(at, locks.Request{
				ID: id, Items: o.Items, Try: o.Try, Labels: o.Labels,
				Wait:  sessions.Duration(o.Wait) * sessions.Millisecond,
				Delay: sessions.Duration(o.Delay) * sessions.Millisecond,
			})
		})
		if err != nil {
			return refuseClaim(err)
		}
		return Reply{Claim: m.claimed(c)}
	})
}

func refuseClaim(err error) Reply {
	var r *locks.Refusal
	if !errors.As(err, &r) {
		return refuse(InvalidArgument, err)
	}
	code := LimitReached
	switch {
	case errors.Is(err, locks.ErrHeld):
		code = Held
	case errors.Is(err, locks.ErrCapacity):
		code = CapacityMismatch
	}
	return Reply{
		Code: code, Message: r.Message, Session: r.Holder, Token: r.Token, Since: r.Since,
		Position: r.Position, Labels: r.Labels,
	}
}

func (m *Machine) release(o *Release) Reply {
	var c *locks.Claim
	var err error
	m.change(func(at locks.Step) { c, err = m.locks.Release(at, o.Session, o.Name, o.Token) })
	if err != nil {
		return refuse(NotHolder, err)
	}
	m.bar(o.Session, c.ID.Sequence, "was released")
	return Reply{}
}

// bar keeps a late copy of an acquire from taking effect after its claim ended.
func (m *Machine) bar(id sessions.ID, q sessions.Sequence, what string) {
	if q > m.sessions.Acked(id) && !planted.On(planted.ClaimComesBack) {
		p := Reply{Code: ClaimCancelled, Message: "the claim " + what}
		p.Revision = m.store.Revision()
		m.sessions.Keep(id, q, p.append(nil))
	}
}

func (m *Machine) cancel(o *Cancel) Reply {
	id := locks.ClaimID{Session: o.Session, Sequence: o.Claim}
	c := m.locks.Find(id)
	if d := m.elections.Find(id); d != nil {
		return m.withdraw(o, d)
	}
	if c == nil {
		if !m.sessions.Answered(o.Session, o.Claim) {
			m.bar(o.Session, o.Claim, "was cancelled before it was made")
		}
		return Reply{}
	}
	var was bool
	m.change(func(at locks.Step) { was = m.locks.Cancel(at, c) })
	m.bar(o.Session, o.Claim, "was cancelled")
	return Reply{WasGranted: was}
}

func (m *Machine) breakLock(o *Break) Reply {
	var c *locks.Claim
	var err error
	m.change(func(at locks.Step) { c, err = m.locks.Break(at, o.Name, o.Token) })
	if err != nil {
		return refuse(TokenMismatch, err)
	}
	if planted.On(planted.BreakNotTold) {
		return Reply{}
	}
	m.claimOver(c, Reply{
		Code: ClaimBroken, Revision: m.store.Revision(), Token: c.Token,
		Message: fmt.Sprintf("lock %q, token %d: an operator broke the grant: %s", o.Name, o.Token, o.Reason),
	})
	return Reply{}
}

func (m *Machine) compact(o *Compact) Reply {
	switch err := m.tx.Compact(o.Revision); {
	case errors.Is(err, store.ErrCompacted):
		return refuse(Compacted, err)
	case errors.Is(err, store.ErrFuture):
		return refuse(FutureRevision, err)
	case err != nil:
		return refuse(InvalidArgument, err)
	}
	return Reply{}
}
