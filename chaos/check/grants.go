package check

import "slices"

// grants holds what clients were told of locks and elections against the audit,
// both ways: what was acknowledged is there, and what is there was asked for.
func grants(h *History, r *reporter) {
	if h.AuditFrom == 0 {
		return
	}
	l := readLedger(h, nothing)
	proclaimed := proclamations(h)
	silent := auditedAfter(h)
	seen, did := readSeen(h), doings(h)
	for i := range h.Operations {
		o := &h.Operations[i]
		if o.Outcome == Done && o.Revision > h.AuditTo {
			continue // the audit ends before it
		}
		switch {
		case o.granted():
			r.judge(grantsTold)
			l.holdsGrant(o, r)
		case o.Outcome == Refused && o.Token != 0 && o.Code == "HELD":
			r.judge(refusalsTold)
			l.holdsRefusal(seen, o, r)
		case o.Outcome == Refused && o.Token != 0 && o.Code == "NOT_HOLDER":
			l.holdsDenial(h, seen, o, r)
			l.holdsNothing(did, proclaimed, o, r)
		case o.Outcome != Done:
		case o.Kind == Release:
			l.holdsEnd(silent, o, "released", r)
		case o.Kind == Resign:
			l.holdsEnd(silent, o, "released", r)
		case o.Kind == Transfer:
			l.holdsEnd(silent, o, "transferred", r)
		case o.Kind == Proclaim:
			r.judge(proclamationsTold)
			if t := l.byToken[o.Token]; t == nil || !proclaimed[proclamation{o.Token, o.Value}] {
				r.fail("the value %q was acknowledged as proclaimed and stands nowhere: %v", o.Value, o)
			}
		}
	}
	l.explain(h, r)
}

type proclamation struct {
	token uint64
	value string
}

func proclamations(h *History) map[proclamation]bool {
	out := map[proclamation]bool{}
	for i := range h.Audit {
		if e := h.Audit[i].Election; e != nil && e.Leader != nil {
			out[proclamation{e.Leader.Token, e.Leader.Value}] = true
		}
	}
	return out
}

// holdsGrant: a grant that was told stands in the audit as it was told.
func (l *ledger) holdsGrant(o *Operation, r *reporter) {
	t := l.byToken[o.Token]
	if t == nil {
		r.fail("it was granted and stands nowhere: %v", o)
		return
	}
	want := OfLocks
	if o.Kind == Campaign {
		want = OfElections
	}
	if t.space != want || t.session != o.Session || o.Revision != 0 && t.from != o.Revision {
		r.fail("it was granted at revision %d to session %d (%s): %v", t.from, t.session, t.space, o)
	}
	for _, x := range o.Claim {
		if !slices.Contains(t.names, x.Name) {
			r.fail("it was granted %q alone: %v", t.names, o)
			continue
		}
		mode := x.Mode
		if mode == "" {
			mode = Exclusive
		}
		if o.Kind == Acquire && (mode != t.mode || mode == Permits && x.Permits != t.item[x.Name].Permits) {
			r.fail("lock %q was granted in mode %s with %d permits: %v", x.Name, t.mode, t.item[x.Name].Permits, o)
		}
	}
	if len(o.Claim) != len(t.names) {
		r.fail("it was granted %q: %v", t.names, o)
	}
	if o.Kind == Campaign && o.Term != t.term {
		r.fail("it leads in term %d, and was told term %d: %v", t.term, o.Term, o)
	}
}

// holdsEnd: an end that was acknowledged stands in the audit as that one.
func (l *ledger) holdsEnd(silent Time, o *Operation, why string, r *reporter) {
	r.judge(endsTold)
	t := l.byToken[o.Token]
	switch {
	case t == nil:
		r.fail("it ended a grant that stands nowhere: %v", o)
	case t.to == 0 && (o.Revision != 0 || o.Return < silent):
		r.fail("it was acknowledged, and the grant of revision %d has not ended: %v", t.from, o)
	case o.Revision != 0 && t.to != 0 && t.to != o.Revision:
		r.fail("it ended at revision %d: %v", t.to, o)
	case t.to != 0 && t.ended != "" && t.ended != why:
		r.fail("it was acknowledged, and the grant is told to have ended as %q: %v", t.ended, o)
	case t.session != o.Session && o.Session != 0:
		r.fail("it ended a grant of session %d: %v", t.session, o)
	}
}

// auditedAfter is a moment after which the audit may not tell of everything: the
// first moment at which some operation made or saw a revision beyond it.
func auditedAfter(h *History) Time {
	out := Forever
	for i := range h.Operations {
		if o := &h.Operations[i]; o.Outcome == Done && o.Revision > h.AuditTo {
			out = min(out, o.Invoke)
		}
	}
	return out
}

// holdsRefusal: who was refused because somebody holds the lock was told of one
// that held it at some moment of the claim: that had not ended before the claim
// was made, and was not granted after it was answered.
func (l *ledger) holdsRefusal(seen *seen, o *Operation, r *reporter) {
	t := l.byToken[o.Token]
	if t == nil {
		r.fail("it was refused for a holder that never was: %v", o)
		return
	}
	if !slices.ContainsFunc(o.Claim, func(x Item) bool { return slices.Contains(t.names, x.Name) }) {
		r.fail("it was refused for a holder of %q: %v", t.names, o)
	}
	before, after := seen.before(o.Invoke), seen.after(o.Return)
	if t.to != 0 && before >= t.from {
		r.judge(refusalsInTime)
	}
	if t.to != 0 && t.to <= before {
		r.fail("it was refused for a holder that ended at revision %d, and revision %d had been seen before it was asked for: %v", t.to, before, o)
	}
	if after < t.from {
		r.fail("it was refused for a holder since revision %d, and revision %d was the newest after it was answered: %v", t.from, after, o)
	}
}

// holdsDenial: who is told that a grant is none of its own had it not all the while
// from asking to being answered.
func (l *ledger) holdsDenial(h *History, seen *seen, o *Operation, r *reporter) {
	t := l.byToken[o.Token]
	if t == nil || t.session != o.Session {
		return
	}
	before, after := seen.before(o.Invoke), seen.after(o.Return)
	if before >= t.from && after <= h.AuditTo && (t.to == 0 || t.to > after) {
		r.fail("it was refused to who held it since revision %d, seen up to %d before and up to %d after it: %v", t.from, before, after, o)
	}
}

// doing is what somebody wanted to happen to a grant.
type doing struct {
	kind  Kind
	token uint64
	value string // that was proclaimed
}

// doings are those that were done, or may have been. A request that was repeated is
// one: what it did it did as that one.
func doings(h *History) map[doing]bool {
	out := map[doing]bool{}
	for _, o := range h.requests() {
		if o.Outcome != Refused && (o.ends() || o.Kind == Proclaim) {
			out[doing{o.Kind, o.Token, o.Value}] = true
		}
	}
	for _, x := range h.Interventions {
		if x.Outcome != Refused && x.Kind == Transfer {
			out[doing{Transfer, x.Token, ""}] = true
		}
		if x.Outcome != Refused && x.Kind == ResignAs {
			out[doing{Resign, x.Token, ""}] = true
		}
	}
	return out
}

// holdsNothing: what was refused to somebody who is told not to hold the grant has
// not been done, unless by another request.
func (l *ledger) holdsNothing(did map[doing]bool, proclaimed map[proclamation]bool, o *Operation, r *reporter) {
	t := l.byToken[o.Token]
	if t == nil || did[doing{o.Kind, o.Token, o.Value}] {
		return
	}
	done := false
	switch o.Kind {
	case Release, Resign:
		done = t.to != 0 && t.ended == "released"
	case Transfer:
		done = t.to != 0 && t.ended == "transferred"
	case Proclaim:
		done = o.Value != t.value && proclaimed[proclamation{o.Token, o.Value}]
	}
	if done {
		r.fail("it was refused and took effect: the grant of revision %d ended at revision %d (%s), and nobody else asked for that: %v", t.from, t.to, t.ended, o)
	}
}

// explain: every grant in the audit was asked for. Somebody was told of it, or
// some claim of that session for those locks has an unknown outcome.
func (l *ledger) explain(h *History, r *reporter) {
	if h.Strangers {
		return
	}
	told := map[uint64]bool{}
	open := map[uint64][]*Operation{} // by session: claims that may have been granted untold
	asked := h.requests()             // one that was repeated is one claim
	for i := range asked {
		o := &asked[i]
		switch {
		case o.granted():
			told[o.Token] = true
		case o.Kind != Acquire && o.Kind != Campaign:
		case o.Outcome == Unknown:
			open[o.Session] = append(open[o.Session], o)
		}
	}
	for _, t := range l.list {
		if told[t.token] {
			continue
		}
		r.judge(grantsUntold)
		i := slices.IndexFunc(open[t.session], func(o *Operation) bool {
			if len(o.Claim) != len(t.names) || (o.Kind == Campaign) != (t.space == OfElections) {
				return false
			}
			return !slices.ContainsFunc(o.Claim, func(x Item) bool { return !slices.Contains(t.names, x.Name) })
		})
		if i < 0 {
			r.fail("revision %d: %q was granted with token %d to session %d, which had not asked for it", t.from, t.names, t.token, t.session)
			continue
		}
		open[t.session] = slices.Delete(open[t.session], i, i+1) // one claim, one grant
	}
}
