package check

import (
	"cmp"
	"reflect"
	"slices"
)

// keys replays the audit of keys against the specification, and with it every
// transaction whose revision is known. A change that no answer accounts for must
// be the doing of an operation with an unknown outcome, or of the end of a
// session; whose doing it was then counts as known for the order in real time.
func keys(h *History, r *reporter) {
	if h.AuditFrom == 0 {
		return
	}
	l := readLedger(h, nothing)
	m := newKeyModel(l.heldAt)
	wrote := map[uint64]*Operation{} // by the revision that it made
	var reads []*Operation
	open := &suspects{byPut: map[string][]*Operation{}, byDelete: nil}
	asked := h.requests()
	for i := range asked {
		o := &asked[i]
		switch {
		case o.Kind != Keys || o.Txn == nil:
		case o.Outcome == Unknown:
			open.add(o)
		case o.Outcome != Done || o.Revision == 0 || o.Result == nil || o.Revision > h.AuditTo:
		case !o.wrote():
			reads = append(reads, o)
		case wrote[o.Revision] != nil:
			r.fail("two transactions made one revision: %v, %v", wrote[o.Revision], o)
		default:
			wrote[o.Revision] = o
		}
	}
	var resolved []*Operation
	for i := 0; i < len(h.Audit); {
		rev := h.Audit[i].Revision
		var changes []Change
		others := false
		for ; i < len(h.Audit) && h.Audit[i].Revision == rev; i++ {
			if c := h.Audit[i]; c.Space == OfKeys {
				c.Prev, c.Lock, c.Election = nil, nil, nil
				changes = append(changes, c)
			} else {
				others = true
			}
		}
		o := wrote[rev]
		delete(wrote, rev)
		switch {
		case o != nil:
			r.judge(keysWritten)
			result, want := m.run(o.Txn, rev-1)
			if others || !sameChanges(changes, want) {
				r.fail("revision %d changed keys to %+v: it was to change them to %+v: %v", rev, changes, want, o)
			} else if !sameResult(&result, o.Result) {
				r.fail("it was answered with %+v, and was to be with %+v: %v", *o.Result, result, o)
			}
		case len(changes) == 0:
		default:
			culprit := open.find(m, rev, changes)
			switch {
			case culprit != nil && !others:
				r.judge(keysUntold)
				known := *culprit
				known.Outcome, known.Revision, known.Return = Done, rev, Forever
				resolved = append(resolved, &known)
			case m.endOf(changes):
				r.judge(keysOfSessions)
			case h.Strangers && !open.knows(changes):
			default:
				r.fail("revision %d changed keys to %+v, and nobody did that", rev, changes)
			}
		}
		for j := range changes {
			m.add(&changes[j])
		}
	}
	for _, o := range wrote {
		r.fail("it was acknowledged, and its revision changed no key: %v", o)
	}
	// Reads come last: the model knows every revision.
	for _, o := range reads {
		r.judge(keysRead)
		result, changes := m.run(o.Txn, o.Revision)
		if len(changes) > 0 || !sameResult(&result, o.Result) {
			r.fail("it was answered with %+v, and was to be with %+v: %v", *o.Result, result, o)
		}
	}
	if len(resolved) > 0 {
		for i := range asked {
			if o := &asked[i]; o.Outcome == Done && o.Revision != 0 && !o.Stale {
				resolved = append(resolved, o)
			}
		}
		inOrder(resolved, func() {}, r)
	}
}

// endOf says whether changes are the end of a session, as far as keys go: all
// keys of one owner are deleted, and nothing else.
func (m *keyModel) endOf(changes []Change) bool {
	owner := uint64(0)
	for _, c := range changes {
		was := m.at(c.Record.Key, c.Revision-1)
		if !c.Deleted || was.Session == 0 || owner != 0 && was.Session != owner {
			return false
		}
		owner = was.Session
	}
	return len(changes) == len(m.owned[owner])
}

// heldAt says whether a token was a grant of a lock or election at a revision.
func (l *ledger) heldAt(lock string, token, revision uint64) bool {
	t := l.byToken[token]
	return t != nil && slices.Contains(t.names, lock) && t.from <= revision && (t.to == 0 || revision < t.to)
}

// suspects are transactions of which it is not known whether they happened.
type suspects struct {
	byPut    map[string][]*Operation // by key and value, each at all that it may put
	byDelete []*Operation            // those that may delete
}

func (s *suspects) add(o *Operation) {
	deletes := false
	for _, list := range [][]KeyOp{o.Txn.Then, o.Txn.Else} {
		for _, x := range list {
			switch x.Action {
			case Put:
				id := x.Key + "\x00" + x.Value
				s.byPut[id] = append(s.byPut[id], o)
			case Delete:
				deletes = true
			}
		}
	}
	if deletes {
		s.byDelete = append(s.byDelete, o)
	}
}

// find takes one that did these changes out of the suspects; nil: none did.
func (s *suspects) find(m *keyModel, rev uint64, changes []Change) *Operation {
	try := s.byDelete
	for _, c := range changes {
		if !c.Deleted {
			try = s.byPut[c.Record.Key+"\x00"+c.Record.Value]
			break
		}
	}
	for _, o := range try {
		if _, want := m.run(o.Txn, rev-1); sameChanges(changes, want) {
			is := func(x *Operation) bool { return x == o }
			for id, list := range s.byPut {
				if slices.Contains(list, o) {
					s.byPut[id] = slices.DeleteFunc(slices.Clone(list), is)
				}
			}
			s.byDelete = slices.DeleteFunc(slices.Clone(s.byDelete), is)
			return o
		}
	}
	return nil
}

// knows says whether somebody recorded writes one of these values.
func (s *suspects) knows(changes []Change) bool {
	return slices.ContainsFunc(changes, func(c Change) bool { return len(s.byPut[c.Record.Key+"\x00"+c.Record.Value]) > 0 })
}

func sameChanges(a, b []Change) bool {
	byKey := func(x, y Change) int { return cmp.Compare(x.Record.Key, y.Record.Key) }
	a, b = slices.SortedStableFunc(slices.Values(a), byKey), slices.SortedStableFunc(slices.Values(b), byKey)
	return slices.EqualFunc(a, b, func(x, y Change) bool {
		if x.Deleted && y.Deleted {
			return x.Record.Key == y.Record.Key && x.Revision == y.Revision
		}
		return x.Deleted == y.Deleted && x.Revision == y.Revision && x.Record == y.Record
	})
}

// sameResult compares answers; an empty list and none are the same.
func sameResult(a, b *Result) bool {
	if a.Succeeded != b.Succeeded || len(a.Results) != len(b.Results) {
		return false
	}
	for i := range a.Results {
		x, y := a.Results[i], b.Results[i]
		if x.Deleted != y.Deleted || len(x.Records) != len(y.Records) || len(x.Records) > 0 && !reflect.DeepEqual(x.Records, y.Records) {
			return false
		}
	}
	return true
}
