package check

import (
	"slices"
	"time"
)

// The kinds of interventions beside Resign and Transfer.
const (
	BreakLock  Kind = "break lock"  // Name, Token
	ResignAs   Kind = "resign as"   // Name, Token, Session: in the leader's name
	EndSession Kind = "end session" // Session
)

// Intervention is what an operator asked for: to end what somebody else holds.
type Intervention struct {
	Kind    Kind // Resign and Transfer as an operator, BreakLock, ResignAs, EndSession
	Name    string
	Token   uint64
	Session uint64 // Transfer: the session that is to lead
	Invoke  Time
	Return  Time
	Outcome Outcome
	Code    string
}

// ends is how the tenure ends that it is about.
func (x *Intervention) ends() string {
	switch x.Kind {
	case Transfer:
		return "transferred"
	case ResignAs:
		return "released"
	case EndSession:
		return "ended"
	}
	return "broken"
}

// takings are interventions by what they take away.
type takings struct {
	byToken   map[uint64][]*Intervention
	bySession map[uint64][]*Intervention
	handed    map[uint64]bool // tokens of leads that their leaders may have handed over
}

func readTakings(h *History) *takings {
	t := &takings{byToken: map[uint64][]*Intervention{}, bySession: map[uint64][]*Intervention{}, handed: map[uint64]bool{}}
	for i := range h.Operations {
		if o := &h.Operations[i]; o.Kind == Transfer && o.Outcome != Refused {
			t.handed[o.Token] = true
		}
	}
	for i := range h.Interventions {
		x := &h.Interventions[i]
		if x.Kind == EndSession {
			t.bySession[x.Session] = append(t.bySession[x.Session], x)
		} else {
			t.byToken[x.Token] = append(t.byToken[x.Token], x)
		}
	}
	return t
}

// of are those that a grant may have ended by.
func (t *takings) of(token, session uint64) []*Intervention {
	return slices.Concat(t.byToken[token], t.bySession[session])
}

// from is when a grant may have been taken away at the earliest: from then on
// the token alone protects, until its holder is told.
func (t *takings) from(token, session uint64) Time {
	from := Forever
	for _, x := range t.of(token, session) {
		if x.Outcome != Refused {
			from = min(from, x.Invoke)
		}
	}
	return from
}

// by is when a grant had been taken away for certain.
func (t *takings) by(token, session uint64) Time {
	by := Forever
	for _, x := range t.of(token, session) {
		if x.Outcome == Done {
			by = min(by, x.Return)
		}
	}
	return by
}

// interventions holds what operators asked for against the audit, both ways, and
// looks when those who lost something by it stopped to believe in it, and whether
// what they were told is true.
func interventions(h *History, r *reporter) {
	t := readTakings(h)
	t.truly(h, r)
	if len(h.Interventions) == 0 || h.AuditFrom == 0 {
		return
	}
	l, seen, silent := readLedger(h, nothing), readSeen(h), auditedAfter(h)
	for i := range h.Interventions {
		switch x := &h.Interventions[i]; {
		case x.Outcome == Done && x.Kind == EndSession:
			r.judge(sessionsEnded)
			for _, e := range l.list {
				if e.session == x.Session {
					e.hasEnded(h, seen, silent, x, r)
				}
			}
		case x.Outcome == Done:
			r.judge(tenuresEnded)
			e := l.byToken[x.Token]
			switch {
			case e == nil || !slices.Contains(e.names, x.Name):
				r.fail("it was done to %q with token %d, which stands nowhere: %+v", x.Name, x.Token, *x)
			case e.ended != "" && e.ended != x.ends():
				r.fail("it was done, and the tenure of session %d is told to have ended as %q: %+v", e.session, e.ended, *x)
			default:
				e.hasEnded(h, seen, silent, x, r)
			}
		case x.Outcome == Refused && x.Code == "TOKEN_MISMATCH":
			r.judge(tokensRefused)
			e, before, after := l.byToken[x.Token], seen.before(x.Invoke), seen.after(x.Return)
			if e != nil && slices.Contains(e.names, x.Name) && before >= e.from && after <= h.AuditTo && (e.to == 0 || e.to > after) {
				r.fail("it was refused for its token, which was the current one from revision %d to %d (0: still is), seen up to %d before and from %d on after it: %+v",
					e.from, e.to, before, after, *x)
			}
		}
	}
	t.explain(l, r)
	t.believed(h, r)
}

// hasEnded: what was acknowledged as over is so for all that is asked for later.
func (t *tenure) hasEnded(h *History, seen *seen, silent Time, x *Intervention, r *reporter) {
	after := seen.after(x.Return)
	switch {
	case t.from > after && x.Kind == EndSession:
		r.fail("its session was ended, revision %d was seen after that, and at revision %d it was granted %q: %+v", after, t.from, t.names, *x)
	case t.to == 0 && x.Return < silent:
		r.fail("it was done, and the grant of %q of revision %d has not ended: %+v", t.names, t.from, *x)
	case t.to > after:
		r.fail("it was done, revision %d was seen after that, and the grant of %q ended at revision %d: %+v", after, t.names, t.to, *x)
	}
}

// explain: nothing was taken away that nobody asked for.
func (t *takings) explain(l *ledger, r *reporter) {
	for _, e := range l.list {
		switch e.ended {
		case "broken", "transferred", "ended":
		default:
			continue
		}
		r.judge(takenAway)
		if e.ended == "transferred" && t.handed[e.token] {
			continue
		}
		if !slices.ContainsFunc(t.of(e.token, e.session), func(x *Intervention) bool { return x.Outcome != Refused && x.ends() == e.ended }) {
			r.fail("revision %d: the tenure of %q by session %d with token %d ended as %q, and nobody had asked for that", e.to, e.names, e.session, e.token, e.ended)
		}
	}
}

// believed: who had what was taken away is told so: within a time to live, with
// all that may have been wrong allowed for, and soon when nothing was.
func (t *takings) believed(h *History, r *reporter) {
	if h.Promptness == nil {
		return
	}
	d, ttl := newDeadlines(h.Promptness), map[uint64]time.Duration{}
	for _, s := range h.Sessions {
		ttl[s.ID] = s.TTL
	}
	asked := h.requests()
	for i := range asked {
		o := &asked[i]
		by := t.by(o.Token, o.Session)
		if !o.granted() || by == Forever || o.Until < by || ttl[o.Session] == 0 {
			continue
		}
		r.judge(beliefsTaken)
		if due, _, ok := d.due(by, ttl[o.Session], o.Client); ok && o.Until > due {
			r.fail("it was taken away by %v, its holder had to hear of it by %v, and believed in it until %v: %v", by, due, o.Until, o)
		}
		if _, clean, ok := d.due(by, 0, o.Client); ok && clean && o.Until > by+d.Election {
			r.fail("it was taken away by %v, and with nothing wrong its holder believed in it until %v: %v", by, o.Until, o)
		}
	}
}
