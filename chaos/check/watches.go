package check

import (
	"reflect"
	"slices"
	"sort"
)

// watches holds every delivery against the audit, those of observers of elections
// too. These are the nine things
// that etcd's validators look at (filter, order, uniqueness, atomic revisions,
// bookmarks, resuming, reliability, previous version, whether a put creates),
// as one comparison with what the audit says was to come.
func watches(h *History, r *reporter) {
	if h.AuditFrom == 0 {
		return
	}
	last := map[recordName]*Record{}
	prevs := make([]*Record, len(h.Audit)) // what each change replaced
	for i := range h.Audit {
		c := &h.Audit[i]
		n := recordName{c.Space, c.Record.Key}
		prevs[i] = last[n]
		if last[n] = &c.Record; c.Deleted {
			last[n] = nil
		}
	}
	for i := range h.Watches {
		h.follow(&h.Watches[i], prevs, r)
	}
}

type recordName struct {
	space Space
	key   string
}

// follow walks one watch and the audit side by side.
func (h *History) follow(w *Watch, prevs []*Record, r *reporter) {
	seek := func(revision uint64) int {
		return sort.Search(len(h.Audit), func(i int) bool { return h.Audit[i].Revision >= revision })
	}
	at, told := seek(w.From), w.From-1 // the next change of the audit; what the watch is known to have reached
	wanted := func(c *Change) bool { return c.Space == w.Space && within(c.Record.Key, w.Key, w.End) }
	skip := func() { // to the next change that is in the range
		for at < len(h.Audit) && !wanted(&h.Audit[at]) {
			at++
		}
	}
	for _, d := range w.Deliveries {
		if d.Resumed != 0 {
			skip()
			r.judge(watchesResumed)
			if missed := at < len(h.Audit) && h.Audit[at].Revision < d.Resumed; missed && !d.Compacted {
				r.fail("watch %s resumed at revision %d without the change of revision %d", w.Name, d.Resumed, h.Audit[at].Revision)
			}
			if d.Resumed <= told {
				r.fail("watch %s resumed at revision %d, and had been told everything up to revision %d", w.Name, d.Resumed, told)
			}
			at, told = seek(d.Resumed), d.Resumed-1
			continue
		}
		for i := range d.Changes {
			got := &d.Changes[i]
			skip()
			r.judge(changesTold)
			if got.Prev != nil {
				r.judge(prevsTold)
			}
			switch {
			case !wanted(got):
				r.fail("watch %s of %s from %q to %q was told of %s %q", w.Name, w.Space, w.Key, w.End, got.Space, got.Record.Key)
				continue
			case got.Revision > h.AuditTo:
				continue // the audit ends before it
			case got.Revision <= told:
				r.fail("watch %s was told of revision %d after it had been told everything up to revision %d", w.Name, got.Revision, told)
			case at == len(h.Audit):
				r.fail("watch %s was told of %s %q at revision %d, which nothing changed", w.Name, got.Space, got.Record.Key, got.Revision)
				return
			case !sameChange(got, &h.Audit[at]):
				r.fail("watch %s was told of %+v, and %+v was next", w.Name, *got, h.Audit[at])
				return
			case w.Prev && !samePrev(got.Prev, prevs[at]):
				r.fail("watch %s was told that revision %d replaced %+v, which was %+v", w.Name, got.Revision, got.Prev, prevs[at])
			}
			at++
		}
		if n := len(d.Changes); n > 0 {
			skip()
			if at < len(h.Audit) && h.Audit[at].Revision == d.Changes[n-1].Revision {
				r.fail("watch %s was told of revision %d in parts", w.Name, h.Audit[at].Revision)
			}
			told = max(told, d.Changes[n-1].Revision)
		}
		if d.Revision != 0 {
			skip()
			if at < len(h.Audit) && h.Audit[at].Revision <= d.Revision {
				r.fail("watch %s was told that everything up to revision %d was delivered, without the change of revision %d", w.Name, d.Revision, h.Audit[at].Revision)
				at = seek(d.Revision + 1)
			}
			told = max(told, d.Revision)
		}
	}
	skip()
	if at < len(h.Audit) && h.Audit[at].Revision <= w.Upto {
		r.fail("watch %s waited until revision %d and has not been told of revision %d", w.Name, w.Upto, h.Audit[at].Revision)
	}
}

func sameChange(a, b *Change) bool {
	if a.Revision != b.Revision || a.Space != b.Space || a.Deleted != b.Deleted || a.Record.Key != b.Record.Key {
		return false
	}
	if a.Deleted {
		return true
	}
	told := a.Record.Version != 0 // an observer is not told of the record around a leader
	if told && a.Record != b.Record || !reflect.DeepEqual(a.Election, b.Election) || (a.Lock == nil) != (b.Lock == nil) {
		return false
	}
	return a.Lock == nil || a.Lock.Mode == b.Lock.Mode && a.Lock.Capacity == b.Lock.Capacity && slices.Equal(a.Lock.Holders, b.Lock.Holders)
}

func samePrev(a, b *Record) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
