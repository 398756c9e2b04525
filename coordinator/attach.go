package coordinator

import (
	"fmt"
	"slices"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// maxAttached is how many sessions a stream may have attached.
const maxAttached = 262_144

// maxAlive is how many sessions one Alive tells of.
const maxAlive = 32_768

// attach makes a stream the one that is told of a session, or says why not.
//
// It takes the session from an earlier stream and never from a later one: a
// client opens a stream when it has given up the one before, and what it had
// sent on that may be read at any time after, as when this process was stopped.
// The session would be attached to a stream whose end nobody reads, and the
// grants of its claims would be lost on the client.
func (l *loop) attach(st *stream, id sessions.ID) *api.Error {
	old := l.attached[id]
	if old == st {
		return nil
	}
	if old != nil && old.number > st.number && !planted.On(planted.OldStreamAttached) {
		return invalid("session %d: it is attached to a stream of this node that was opened after this one", id)
	}
	if st.closed || len(st.attached) >= maxAttached {
		return refuse(api.Code_LIMIT_REACHED, "session %d: %d sessions are attached to this stream, which is the limit", id, maxAttached)
	}
	if old != nil {
		delete(old.attached, id)
	}
	l.attached[id] = st
	st.attached[id] = struct{}{}
	return nil
}

// detach undoes attach, unless another stream has taken the session over.
func (l *loop) detach(st *stream, id sessions.ID) {
	if l.attached[id] == st {
		delete(l.attached, id)
		delete(st.attached, id)
	}
}

// attachSession binds a session to a stream and then, linearizably, tells what
// it has. The binding comes first: whatever happens after the reading is pushed.
func (l *loop) attachSession(c *call, id sessions.ID) {
	if e := l.attach(c.stream, id); e != nil {
		l.refuse(c, e)
		return
	}
	l.reading(c, func() {
		m := l.machine()
		s := m.Sessions().Get(id)
		if s == nil {
			l.detach(c.stream, id)
			l.refuse(c, sessionNotFound(id))
			return
		}
		r := &api.AttachSessionResponse{
			Session: uint64(id), TtlMs: uint64(s.TTL / sessions.Millisecond), Revision: m.Store().Revision(),
		}
		for _, d := range m.Claims(id) {
			r.Claims = append(r.Claims, claimOf(d, r.Revision))
		}
		for _, d := range m.Candidacies(id) {
			r.Candidacies = append(r.Candidacies, candidacyOf(d, r.Revision))
		}
		for _, e := range m.Ended(id) {
			r.Ended = append(r.Ended, eventOf(&e).GetClaim())
		}
		l.reply(c, &api.Response{Result: &api.Response_AttachSession{AttachSession: r}})
	})
}

func sessionNotFound(id sessions.ID) *api.Error {
	return refuse(api.Code_SESSION_NOT_FOUND, "session %d: %v", id, sessions.ErrNotFound)
}

// prepareKeepAlive checks a keep-alive. On a stream the answer is an Alive or a
// SessionEnded; a unary call awaits them for all its sessions.
func (l *loop) prepareKeepAlive(c *call, q *api.KeepAliveRequest) (item, *api.Error) {
	if n := len(q.GetSessions()); n < 1 || n > maxKeepAlives {
		return item{}, invalid("sessions: %d of them: 1 to %d are allowed", n, maxKeepAlives)
	}
	for i, k := range q.GetSessions() {
		if k.GetSession() == 0 || k.GetNumber() == 0 {
			return item{}, invalid("sessions[%d]: session %d, number %d: neither may be 0", i, k.GetSession(), k.GetNumber())
		}
	}
	return item{call: c, run: func() { l.keepAlive(c, q.GetSessions()) }}, nil
}

func (l *loop) keepAlive(c *call, list []*api.KeepAlive) {
	if c.stream == nil {
		l.waits.keepAlive(l.now(), c, list)
	}
	for _, k := range list {
		id := sessions.ID(k.GetSession())
		if c.stream != nil {
			l.attach(c.stream, id)
		}
		l.cell.Hear(id, k.GetNumber())
	}
	if c.stream != nil {
		c.finish(api.Code_OK)
	}
}

// events tells sessions what happened to them.
func (l *loop) events(list []machine.Event) {
	var alive []*stream
	for i := range list {
		e := &list[i]
		st := l.attached[e.Session]
		if e.Kind == machine.Alive {
			l.waits.alive(l, e)
			if st != nil {
				if len(st.alive) == 0 {
					alive = append(alive, st)
				}
				st.alive = append(st.alive, &api.KeepAlive{Session: uint64(e.Session), Number: e.Number})
			}
			continue
		}
		r := eventOf(e)
		l.waits.event(l, e, r)
		if st == nil {
			continue
		}
		l.pushed++
		st.tell(r)
		if e.Kind == machine.SessionOver {
			l.detach(st, e.Session)
		}
	}
	for _, st := range alive {
		for part := range slices.Chunk(st.alive, maxAlive) {
			l.pushed++
			st.tell(&api.Response{Result: &api.Response_Alive{Alive: &api.Alive{Sessions: part}}})
		}
		st.alive = nil
	}
}

// eventOf is an event as a stream is told.
func eventOf(e *machine.Event) *api.Response {
	switch e.Kind {
	case machine.ClaimGranted:
		r := &api.ClaimEvent{Session: uint64(e.Session), Sequence: uint64(e.Sequence), Revision: e.Revision}
		if d := e.Reply.Claim; d.Election {
			r.Leads = candidacyOf(d, e.Revision)
		} else {
			r.Granted = claimOf(d, e.Revision)
		}
		return &api.Response{Result: &api.Response_Claim{Claim: r}}
	case machine.ClaimOver:
		return &api.Response{Result: &api.Response_Claim{Claim: &api.ClaimEvent{
			Session: uint64(e.Session), Sequence: uint64(e.Sequence), Revision: e.Revision,
			Error: refusalOf(nil, e.Reply),
		}}}
	default:
		return &api.Response{Result: &api.Response_SessionEnded{SessionEnded: &api.SessionEnded{
			Session: uint64(e.Session), Reason: api.EndReason(e.Why), Revision: e.Revision, Message: endedText(e),
		}}}
	}
}

func endedText(e *machine.Event) string {
	switch e.Why {
	case locks.NotEnded:
		return fmt.Sprintf("session %d: %v", e.Session, sessions.ErrNotFound)
	case locks.Expired:
		return fmt.Sprintf("session %d: the cell heard no keep-alive within its TTL", e.Session)
	case locks.Ended:
		if e.Reason != "" {
			return fmt.Sprintf("session %d was ended by an operator: %s", e.Session, e.Reason)
		}
		return fmt.Sprintf("session %d was ended by an operator", e.Session)
	default:
		return fmt.Sprintf("session %d was %v", e.Session, e.Why)
	}
}
