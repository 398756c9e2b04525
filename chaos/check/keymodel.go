package check

import (
	"slices"
	"sort"
	"strings"
)

// keyModel is the specification of keys: all versions that there ever were. A
// version with no Version says that the key was deleted.
type keyModel struct {
	versions map[string][]Record
	names    []string // sorted; all keys that there ever were
	owned    map[uint64]map[string]bool
	held     func(lock string, token, revision uint64) bool
}

func newKeyModel(held func(lock string, token, revision uint64) bool) *keyModel {
	return &keyModel{versions: map[string][]Record{}, owned: map[uint64]map[string]bool{}, held: held}
}

// at is a key as of a revision; a Version of 0: it is not there.
func (m *keyModel) at(key string, revision uint64) Record {
	list := m.versions[key]
	i := sort.Search(len(list), func(i int) bool { return list[i].Mod > revision })
	if i == 0 {
		return Record{Key: key}
	}
	return list[i-1]
}

// scan is the records of a range as of a revision, in the order of their keys.
func (m *keyModel) scan(first, end string, revision uint64) []Record {
	var out []Record
	i, _ := slices.BinarySearch(m.names, first)
	for ; i < len(m.names) && within(m.names[i], first, end); i++ {
		if rec := m.at(m.names[i], revision); rec.Version != 0 {
			out = append(out, rec)
		}
	}
	return out
}

// add takes a change of the audit.
func (m *keyModel) add(c *Change) {
	key := c.Record.Key
	list := m.versions[key]
	if len(list) == 0 {
		i, _ := slices.BinarySearch(m.names, key)
		m.names = slices.Insert(m.names, i, key)
	} else {
		m.own(list[len(list)-1].Session, key, false)
	}
	rec := c.Record
	if c.Deleted {
		rec = Record{Key: key, Mod: c.Revision}
	}
	if n := len(list); n > 0 && list[n-1].Mod == rec.Mod {
		list[n-1] = rec // a transaction that deletes a key and puts it again
	} else {
		m.versions[key] = append(list, rec)
	}
	m.own(rec.Session, key, true)
}

func (m *keyModel) own(session uint64, key string, yes bool) {
	switch {
	case session == 0:
	case !yes:
		delete(m.owned[session], key)
	default:
		if m.owned[session] == nil {
			m.owned[session] = map[string]bool{}
		}
		m.owned[session][key] = true
	}
}

// run carries a transaction out on the state of a revision and gives its answer
// and its changes, which make the next revision.
func (m *keyModel) run(t *Txn, revision uint64) (Result, []Change) {
	result := Result{Succeeded: true}
	for _, c := range t.If {
		if !m.holds(c, revision) {
			result.Succeeded = false
			break
		}
	}
	var changes []Change
	mine := map[string]Record{}
	now := func(key string) Record {
		if rec, ok := mine[key]; ok {
			return rec
		}
		return m.at(key, revision)
	}
	for _, op := range t.chosen(result.Succeeded) {
		var x KeyResult
		switch op.Action {
		case Get:
			x.Records = m.get(op, revision, mine)
		case Put:
			was := now(op.Key)
			rec := Record{Key: op.Key, Value: op.Value, Create: revision + 1, Mod: revision + 1, Version: 1, Session: op.Owner}
			if was.Version != 0 {
				rec.Create, rec.Version = was.Create, was.Version+1
			}
			mine[op.Key] = rec
			changes = append(changes, Change{Revision: revision + 1, Space: OfKeys, Record: rec})
		case Delete:
			for _, rec := range m.get(op, revision, mine) {
				gone := Record{Key: rec.Key, Mod: revision + 1}
				mine[rec.Key] = gone
				changes = append(changes, Change{Revision: revision + 1, Space: OfKeys, Deleted: true, Record: gone})
				x.Deleted++
			}
		}
		result.Results = append(result.Results, x)
	}
	return result, changes
}

// get is the records of an operation's range, with what the transaction did.
func (m *keyModel) get(op KeyOp, revision uint64, mine map[string]Record) []Record {
	if op.At != 0 {
		return m.scan(op.Key, op.End, op.At)
	}
	out := slices.DeleteFunc(m.scan(op.Key, op.End, revision), func(r Record) bool { _, changed := mine[r.Key]; return changed })
	for key, rec := range mine {
		if rec.Version != 0 && within(key, op.Key, op.End) {
			out = append(out, rec)
		}
	}
	slices.SortFunc(out, func(a, b Record) int { return strings.Compare(a.Key, b.Key) })
	return out
}

func (m *keyModel) holds(c Compare, revision uint64) bool {
	if c.Target == HeldLock {
		return m.held(c.Key, c.Number, revision) == (c.Is == "=")
	}
	rec := m.at(c.Key, revision)
	var order int
	switch c.Target {
	case ValueOf:
		if rec.Version == 0 {
			return false // no comparison of the value of an absent key holds
		}
		order = strings.Compare(rec.Value, c.Value)
	case VersionOf:
		order = compare(rec.Version, c.Number)
	case CreateOf:
		order = compare(rec.Create, c.Number)
	case ModOf:
		if rec.Version == 0 {
			rec.Mod = 0
		}
		order = compare(rec.Mod, c.Number)
	case OwnerOf:
		order = compare(rec.Session, c.Number)
	}
	switch c.Is {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	default:
		return order > 0
	}
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
