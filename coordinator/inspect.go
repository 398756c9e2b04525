package coordinator

import (
	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/elections"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// Bounds of what is shown of one session or lock, and of one answer.
const (
	maxShown     = 1000
	maxPageBytes = 2 << 20
)

// listSessions answers with the sessions above an id.
func (l *loop) listSessions(c *call, after sessions.ID, limit int) {
	l.reading(c, func() {
		m := l.machine()
		list := m.SessionsAfter(after, limit+1)
		r := &api.ListSessionsResponse{Revision: m.Store().Revision()}
		size := 0
		for i, s := range list {
			if i == limit {
				r.More = true
				break
			}
			info := l.sessionInfo(s)
			if size += info.SizeVT() + 8; size > maxPageBytes && i > 0 {
				r.More = true
				break
			}
			r.Sessions = append(r.Sessions, info)
		}
		l.reply(c, &api.Response{Result: &api.Response_ListSessions{ListSessions: r}})
	})
}

func (l *loop) showSession(c *call, id sessions.ID) {
	l.reading(c, func() {
		m := l.machine()
		s := m.Sessions().Get(id)
		if s == nil {
			l.refuse(c, sessionNotFound(id))
			return
		}
		l.reply(c, &api.Response{Result: &api.Response_ShowSession{ShowSession: &api.ShowSessionResponse{
			Session: l.sessionInfo(s), Revision: m.Store().Revision(),
		}}})
	})
}

func (l *loop) sessionInfo(s *sessions.Session) *api.SessionInfo {
	m := l.machine()
	info := &api.SessionInfo{
		Id: uint64(s.ID), TtlMs: millis(s.TTL), RemainingMs: millis(s.Remaining(m.Now())),
		Labels: s.Labels.Map(), CreatedRevision: s.Created,
	}
	m.Locks().Claims(s.ID, func(c *locks.Claim) {
		if !c.Granted() {
			return
		}
		for _, it := range c.Items() {
			info.LockCount++
			if len(info.Locks) < maxShown {
				info.Locks = append(info.Locks, string(it.Name))
			}
		}
	})
	m.Elections().Of(s.ID, func(c *elections.Candidate) {
		if c.Granted() && len(info.Elections) < maxShown {
			info.Elections = append(info.Elections, string(c.Election))
		}
	})
	owned := m.Store().Owned(uint64(s.ID))
	info.KeyCount = uint32(len(owned))
	for _, k := range owned[:min(len(owned), maxShown)] {
		info.Keys = append(info.Keys, []byte(k))
	}
	return info
}

// until is in how many milliseconds a time comes that something waits for.
func (l *loop) until(t sessions.Time) uint64 {
	return max(1, millis(t-l.machine().Now())) // 0 means that nothing waits, or that it does for ever
}

func millis(d sessions.Duration) uint64 { return uint64(max(0, d) / sessions.Millisecond) }

// prepareListLocks checks a listing of locks.
func (l *loop) prepareListLocks(c *call, q *api.ListLocksRequest) (item, *api.Error) {
	w := &walk[*api.LockInfo]{
		c: c, space: store.Locks, show: l.listed,
		answer: func(list []*api.LockInfo, more bool, revision uint64) *api.Response {
			return &api.Response{Result: &api.Response_ListLocks{ListLocks: &api.ListLocksResponse{Locks: list, More: more, Revision: revision}}}
		},
	}
	return w.prepare(l, q)
}

// listed is a lock as a listing shows it, but for one that nobody holds or
// awaits.
func (l *loop) listed(rec store.Record) (_ *api.LockInfo, ok bool) {
	lock := l.machine().Locks().Get(locks.Name(rec.Key))
	if lock == nil {
		return nil, false
	}
	info := l.lockInfo(locks.Name(rec.Key), lock.Record(), rec.Mod)
	info.WaiterCount = uint32(lock.Waiting())
	return info, true
}

// showLock answers with a lock, its holders and its queue.
func (l *loop) showLock(c *call, n locks.Name) {
	l.reading(c, func() {
		m := l.machine()
		lock := m.Locks().Get(n)
		if lock == nil {
			l.refuse(c, lockNotFound(n))
			return
		}
		rec, _ := m.Store().Get(store.Locks, string(n))
		info := l.lockInfo(n, lock.Record(), rec.Mod)
		info.WaiterCount = uint32(lock.Waiting())
		lock.Waiters(func(w *locks.Claim, it locks.Item) bool {
			info.Waiters = append(info.Waiters, l.waiterOf(w, it, len(info.Waiters)+1))
			return len(info.Waiters) < maxShown
		})
		if len(info.Holders) == 0 && len(info.Waiters) > 0 {
			info.Mode = info.Waiters[0].Mode
		}
		l.reply(c, &api.Response{Result: &api.Response_ShowLock{ShowLock: &api.ShowLockResponse{
			Lock: info, Revision: m.Store().Revision(),
		}}})
	})
}

func lockNotFound(n locks.Name) *api.Error {
	return refuse(api.Code_LOCK_NOT_FOUND, "lock %q: nobody holds or awaits it", string(n))
}

func (l *loop) waiterOf(w *locks.Claim, it locks.Item, position int) *api.LockWaiter {
	a := &api.LockWaiter{
		Session: uint64(w.ID.Session), Sequence: uint64(w.ID.Sequence), Position: uint32(position),
		SinceUnixMs: w.Queued, Labels: w.Labels.Map(), Mode: api.Mode(it.Mode), Permits: it.Permits,
	}
	if w.Deadline != 0 {
		a.DeadlineMs = l.until(w.Deadline)
	}
	return a
}

// lockInfo is the record of a lock as a client is told.
func (l *loop) lockInfo(n locks.Name, r locks.Record, mod uint64) *api.LockInfo {
	info := &api.LockInfo{
		Name: string(n), Token: uint64(r.Token), Revision: mod, Last: predecessorOf(r.Last),
		DelayedMs: millis(r.Delayed - l.machine().Now()),
	}
	for _, h := range r.Holders {
		info.Mode, info.Capacity = api.Mode(h.Mode), h.Capacity
		info.Holders = append(info.Holders, &api.LockHolder{
			Session: uint64(h.Claim.Session), Sequence: uint64(h.Claim.Sequence), Token: uint64(h.Token),
			SinceUnixMs: h.Since, SinceRevision: h.Revision, Labels: h.Labels.Map(), Permits: h.Permits,
		})
	}
	for _, t := range r.Ended {
		info.Ended = append(info.Ended, predecessorOf(t))
	}
	return info
}

// lockValue is the value of a lock's record as a client is told.
func (l *loop) lockValue(rec store.Record) []byte {
	r, err := locks.ReadRecord([]byte(rec.Value))
	if err == nil {
		var b []byte
		if b, err = l.lockInfo(locks.Name(rec.Key), r, rec.Mod).MarshalVT(); err == nil {
			return b
		}
	}
	l.log.Error().Err(err).Str("lock", rec.Key).Msg("the record of a lock cannot be shown")
	return nil
}

// checkToken says whether a token is a current grant, of a lock or of an
// election, which may have the same name: a token is of one grant alone.
func (l *loop) checkToken(c *call, q *api.CheckTokenRequest) {
	l.reading(c, func() {
		m := l.machine()
		n := locks.Name(q.GetName())
		r := &api.CheckTokenResponse{Revision: m.Store().Revision()}
		if lock := m.Locks().Get(n); lock != nil && lock.Holders() > 0 {
			r.CurrentToken = uint64(lock.Record().Token)
			r.Current = m.Locks().Held(n, locks.Token(q.GetToken())) != nil
		}
		if e := m.Elections().Get(n); e != nil && !r.Current {
			leads := uint64(e.Leader().Token)
			r.Current = leads == q.GetToken()
			if r.Current || r.CurrentToken == 0 {
				r.CurrentToken = leads
			}
		}
		l.reply(c, &api.Response{Result: &api.Response_CheckToken{CheckToken: r}})
	})
}
