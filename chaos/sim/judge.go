package sim

import (
	"strings"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// judge looks at what an entry did.
func (x *witness) judge(out machine.Output) {
	var grants []*machine.Claimed
	x.waits.begin(x.machine.Now())
	x.first = x.first[:0]
	for _, e := range out.Events {
		if e.Kind == machine.SessionOver && e.Why != locks.NotEnded {
			x.over(e)
		}
	}
	results := out.Results
	for _, c := range x.asked {
		if c.origin == 0 || len(results) == 0 {
			continue
		}
		p := results[0].Reply
		results = results[1:]
		x.checked++
		x.answered(c, p)
		if p.Claim != nil && p.Claim.Granted {
			grants = append(grants, p.Claim)
		}
	}
	for _, e := range out.Events {
		switch e.Kind {
		case machine.ClaimGranted:
			grants = append(grants, e.Reply.Claim)
			x.w.check(InTime, x.waits.over(e.Reply.Claim.ID, true, machine.OK))
			x.w.sometimes(grantAfterWaiting)
		case machine.ClaimOver:
			id := locks.ClaimID{Session: e.Session, Sequence: e.Sequence}
			x.w.check(InTime, x.waits.over(id, false, e.Reply.Code))
			x.firstCome.over(id)
			if e.Reply.Code == machine.WaitTimedOut {
				x.w.sometimes(waitTimedOut)
			}
		case machine.Alive:
			if s := x.lives.sessions[e.Session]; s != nil {
				x.lives.alive(e.Session, s.client.safe(e.Session, e.Number), x.w.now)
			}
		case machine.SessionOver:
			x.firstCome.ended(e.Session)
		}
	}
	byToken(grants)
	for _, c := range grants {
		x.w.check(Tokens, x.tokens.granted(c.ID, c.Token))
		x.w.check(FirstServed, x.firstCome.granted(c.ID))
		x.waits.granted(c.ID, c.Token)
		if len(c.Names) > 1 {
			x.w.sometimes(severalGranted)
		}
	}
	x.w.check(Watches, x.changes.newRevisions(out.Changes))
	for i := range out.Changes {
		x.changed(&out.Changes[i])
	}
	x.did(out)
	x.w.check(FirstServed, x.firstCome.forgotten(
		func(n locks.Name) []locks.Holder { return x.held[n] }, func(n locks.Name) bool { return x.waits.now < x.waits.delayed[n] }))
	if x.machine.Locks().Waiting() > 1000 {
		x.w.sometimes(longQueue)
	}
}

// answered judges the answer to a command.
func (x *witness) answered(c command, p machine.Reply) {
	if _, ok := endedBy(c.op); ok {
		if p.Code == machine.OK {
			x.first = append(x.first, done{c.op, p})
		}
		return
	}
	var q *machine.Request
	claim, wait := false, uint64(0)
	switch o := c.op.(type) {
	case *machine.OpenSession:
		if p.Code == machine.OK {
			x.opened(o, p.Session)
		}
		return
	case *machine.Acquire:
		q, claim = &o.Request, true
		if p.Claim != nil {
			x.firstCome.accepted(locks.ClaimID{Session: q.Session, Sequence: q.Sequence}, o.Items)
		}
		x.waits.asks(locks.ClaimID{Session: q.Session, Sequence: q.Sequence}, o.Delay)
		wait = o.Wait
	case *machine.Campaign:
		q, claim, wait = &o.Request, true, o.Wait
	case *machine.Release:
		q = &o.Request
	case *machine.Cancel:
		q = &o.Request
		if p.Code == machine.OK {
			x.w.sometimes(cancelled)
			if p.WasGranted {
				x.w.sometimes(cancelledGranted)
			}
			id := locks.ClaimID{Session: q.Session, Sequence: o.Claim}
			x.w.check(InTime, x.waits.over(id, false, machine.OK))
			x.firstCome.over(id)
		}
	case *machine.Proclaim:
		q = &o.Request
	case *machine.Resign:
		q = &o.Request
	case *machine.Transfer:
		q = &o.Request
	case *machine.Txn:
		q = &o.Request
	default:
		return
	}
	id := locks.ClaimID{Session: q.Session, Sequence: q.Sequence}
	if _, again := x.once.answers[id]; !again && p.Code == machine.OK {
		x.first = append(x.first, done{c.op, p})
	}
	elsewhere, err := x.once.answered(id, c.origin, claim, p)
	x.w.check(OnceOnly, err)
	if elsewhere {
		x.w.sometimes(retriedElsewhere)
	}
	switch {
	case p.Code == machine.Held:
		x.w.sometimes(claimTried)
		if strings.Contains(p.Message, "delayed") {
			x.w.sometimes(lockDelayed)
		}
	case claim && p.Claim != nil && !p.Claim.Granted:
		x.waits.waits(id, wait)
	}
}

// opened: a session was opened, by the client that drew its nonce.
func (x *witness) opened(o *machine.OpenSession, id sessions.ID) {
	if x.lives.sessions[id] != nil {
		return
	}
	asked := x.byNonce[o.Nonce]
	if asked == nil {
		x.w.fail(Harness, "session %d was opened by nobody", id)
		return
	}
	x.lives.sessions[id] = &life{client: asked.client, safe: asked.safe, ttl: time.Duration(o.TTL) * time.Millisecond, heard: x.w.now}
}

// over: a session ended.
func (x *witness) over(e machine.Event) {
	waited := false
	for id := range x.waits.waiting {
		if id.Session == e.Session {
			delete(x.waits.waiting, id)
			waited = true
		}
	}
	s := x.lives.sessions[e.Session]
	if s == nil || e.Why != locks.Expired {
		return
	}
	x.w.sometimes(sessionExpired)
	if waited {
		x.w.sometimes(expiredWaiting)
	}
	if s.client.releasing(e.Session) {
		x.w.sometimes(expiredReleasing)
	}
	x.w.check(NeverEarly, x.lives.expired(e.Session, s.client.clock.local(x.w.now)))
	if x.w.healed != 0 {
		since := max(x.w.healed, x.stable) + x.w.set.election()
		x.w.check(NotForEver, x.lives.overdue(e.Session, x.w.now, since, x.w.set.election(), x.w.leader() != nil))
	}
}

// changed looks at one change of a record.
func (x *witness) changed(e *store.Event) {
	switch e.Space {
	case store.Elections:
		if wrong := x.leaders.observe(e); wrong != "" {
			x.w.fail(Leaders, "%s at revision %d: %s", e.Record.Key, e.Revision(), wrong)
		}
	case store.Locks:
		x.shared(e)
	case store.Keys:
		x.keys.changed(e)
		switch {
		case e.Deleted && e.Prev.Session != 0 && x.machine.Sessions().Get(sessions.ID(e.Prev.Session)) == nil:
			x.w.sometimes(keyOwnedDeleted)
		case !e.Deleted && x.values[e.Record.Value]:
			x.w.fail(OnceOnly, "the value %q of key %q was put twice, the second time at revision %d", e.Record.Value, e.Record.Key, e.Revision())
		case !e.Deleted:
			x.values[e.Record.Value] = true
		}
	}
}

// did holds what was answered with success, for the first time, against what the
// entry changed.
func (x *witness) did(out machine.Output) {
	changes := out.Changes
	for _, d := range x.first {
		if t, ok := endedBy(d.op); ok {
			if wrong := forced(t, d.reply.Revision, out); wrong != "" {
				x.w.fail(Ended, "%s", wrong)
			}
			x.w.sometimes(t.situation())
			continue
		}
		switch o := d.op.(type) {
		case *machine.Txn:
			if err := x.keys.txn(&o.Txn, d.reply.Txn); err != nil {
				x.w.fail(Specified, "the transaction of request %d of session %d, at revision %d: %v", o.Sequence, o.Session, d.reply.Revision, err)
			}
		case *machine.Proclaim, *machine.Resign, *machine.Transfer:
			if wrong := carriedOut(o, d.reply, changes); wrong != "" {
				x.w.fail(Leaders, "%s", wrong)
			}
		}
	}
	x.w.check(Specified, x.keys.end(changes, func(id uint64) bool { return x.machine.Sessions().Get(sessions.ID(id)) != nil }))
}

// shared: a lock that several hold.
func (x *witness) shared(e *store.Event) {
	if e.Deleted {
		delete(x.held, locks.Name(e.Record.Key))
		return
	}
	r, err := locks.ReadRecord([]byte(e.Record.Value))
	if err != nil {
		x.w.fail(Invariants, "the record of lock %q: %v", e.Record.Key, err)
		return
	}
	name := locks.Name(e.Record.Key)
	x.held[name] = r.Holders
	x.keys.lock(name, e.Revision(), r)
	if err := x.waits.lock(name, r); err != nil {
		x.w.fail(InTime, "lock %q at revision %d: %v", name, e.Revision(), err)
	}
	if err := compatible(r); err != nil {
		x.w.fail(Invariants, "lock %q at revision %d: %v", e.Record.Key, e.Revision(), err)
	}
	if len(r.Holders) > 1 {
		if r.Holders[0].Mode == locks.Shared {
			x.w.sometimes(sharedTogether)
		} else {
			x.w.sometimes(permitsTogether)
		}
	}
}
