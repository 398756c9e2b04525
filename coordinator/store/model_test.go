package store

import (
	"maps"
	"slices"
	"sort"
	"strings"
)

// model is the store as one would write it down: a full copy of all records
// for every revision, and every event there ever was.
type model struct {
	states  []map[recordName]Record // by revision
	events  [][]Event               // by revision
	current map[recordName]Record
	pending []Event // of the revision under way
}

func newModel() *model {
	m := &model{current: map[recordName]Record{}}
	m.states = []map[recordName]Record{{}, {}} // revisions 0 and 1
	m.events = [][]Event{nil, nil}
	return m
}

func (m *model) revision() uint64 { return uint64(len(m.states) - 1) }

// now is the revision that reads within a revision see.
func (m *model) now() uint64 {
	if len(m.pending) > 0 {
		return m.revision() + 1
	}
	return m.revision()
}

func (m *model) put(space Space, key, value string, session uint64, millis int64) Record {
	name := recordName{space, key}
	rev := m.revision() + 1
	was := m.current[name]
	r := Record{Key: key, Value: value, Create: rev, Mod: rev, Version: 1, Session: session}
	if was.Mod != 0 {
		r.Create, r.Version = was.Create, was.Version+1
	}
	m.current[name] = r
	m.pending = append(m.pending, Event{Space: space, Record: r, Prev: was, Millis: millis})
	return was
}

func (m *model) delete(space Space, key string, millis int64) Record {
	name := recordName{space, key}
	was, ok := m.current[name]
	if ok {
		delete(m.current, name)
		gone := Record{Key: key, Mod: m.revision() + 1}
		m.pending = append(m.pending, Event{Space: space, Deleted: true, Record: gone, Prev: was, Millis: millis})
	}
	return was
}

func (m *model) end() {
	if len(m.pending) > 0 {
		m.states = append(m.states, maps.Clone(m.current))
		m.events = append(m.events, m.pending)
		m.pending = nil
	}
}

func inRange(key, first, end string) bool {
	if end == "" {
		return key == first
	}
	return key >= first && (end == Everything || key < end)
}

func sorted(state map[recordName]Record, space Space, first, end string) []Record {
	var all []Record
	for name, r := range state {
		if name.space == space && inRange(name.key, first, end) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b Record) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// state is that of a query; gone says which records are to be overlooked.
func (m *model) query(q Query, gone func(Space, Record) bool) RangeResult {
	state := m.current
	if q.Revision != 0 {
		if q.Revision <= m.revision() {
			state = m.states[q.Revision]
		}
	}
	all := slices.DeleteFunc(sorted(state, q.Space, q.Key, q.End), func(r Record) bool { return gone(q.Space, r) })
	result := RangeResult{Count: uint64(len(all)), Revision: m.now()}
	if q.CountOnly {
		return result
	}
	all = slices.DeleteFunc(all, func(r Record) bool {
		return r.Mod < q.MinMod || q.MaxMod > 0 && r.Mod > q.MaxMod || r.Create < q.MinCreate || q.MaxCreate > 0 && r.Create > q.MaxCreate
	})
	sort.SliceStable(all, func(i, j int) bool {
		a, b := all[i], all[j]
		if q.Descending {
			a, b = b, a
		}
		switch q.Order {
		case ByVersion:
			return a.Version < b.Version
		case ByCreate:
			return a.Create < b.Create
		case ByMod:
			return a.Mod < b.Mod
		case ByValue:
			return a.Value < b.Value
		}
		return a.Key < b.Key
	})
	if q.Limit > 0 && uint64(len(all)) > q.Limit {
		all, result.More = all[:q.Limit], true
	}
	if q.KeysOnly {
		for i := range all {
			all[i].Value = ""
		}
	}
	result.Records = all
	return result
}

func (m *model) holds(c Compare, held func(string, uint64) bool) bool {
	if c.Target == TargetHeldLock {
		return held(c.Key, c.Number) == (c.Relation == Equal)
	}
	one := func(r Record) bool {
		var less, equal bool
		n := map[Target]uint64{TargetVersion: r.Version, TargetCreate: r.Create, TargetMod: r.Mod, TargetSession: r.Session}[c.Target]
		less, equal = n < c.Number, n == c.Number
		if c.Target == TargetValue {
			less, equal = r.Value < c.Value, r.Value == c.Value
		}
		switch c.Relation {
		case Equal:
			return equal
		case NotEqual:
			return !equal
		case Less:
			return less
		}
		return !less && !equal
	}
	all := sorted(m.current, Keys, c.Key, c.End)
	if len(all) == 0 {
		return c.Target != TargetValue && one(Record{})
	}
	for _, r := range all {
		if !one(r) {
			return false
		}
	}
	return true
}

// txn carries a transaction out. Compares see the state as it was before, which
// is handed down.
func (m *model) txn(before *model, txn *Txn, held func(string, uint64) bool, gone func(Space, Record) bool, millis int64) TxnResult {
	result := TxnResult{Succeeded: true}
	for _, c := range txn.Compares {
		result.Succeeded = result.Succeeded && before.holds(c, held)
	}
	ops := txn.Failure
	if result.Succeeded {
		ops = txn.Success
	}
	for _, op := range ops {
		var r OpResult
		switch {
		case op.Range != nil:
			found := m.query(*op.Range, gone)
			r.Range = &found
		case op.Put != nil:
			now := m.current[recordName{Keys, op.Put.Key}]
			value, session := string(op.Put.Value), op.Put.Session
			if op.Put.KeepValue {
				value = now.Value
			}
			if op.Put.KeepSession {
				session = now.Session
			}
			m.put(Keys, op.Put.Key, value, session, millis)
			r.Put = &PutResult{}
			if op.Put.Prev {
				r.Put.Prev = now
			}
		case op.Delete != nil:
			all := sorted(m.current, Keys, op.Delete.Key, op.Delete.End)
			r.Delete = &DeleteResult{Deleted: uint64(len(all))}
			for _, d := range all {
				m.delete(Keys, d.Key, millis)
			}
			if op.Delete.Prev {
				r.Delete.Prevs = all
			}
		case op.Txn != nil:
			nested := m.txn(before, op.Txn, held, gone, millis)
			r.Txn = &nested
		}
		result.Results = append(result.Results, r)
	}
	result.Revision = m.now()
	return result
}
