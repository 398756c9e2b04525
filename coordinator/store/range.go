package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/buntdb"
)

// Range answers a query. Errors: ErrSpace, ErrKeyBounds, ErrInvalidOp (an order
// that does not exist), ErrFuture, ErrCompacted. A present range costs time in
// proportion to its records, as Count counts them all; a past one also to the
// events since then. While a batch is open it sees what the batch has written.
func (s *Store) Range(q Query) (RangeResult, error) {
	if err := s.checkQuery(q); err != nil {
		return RangeResult{}, fmt.Errorf("range: %w", err)
	}
	pick := picker{q: q}
	if q.Revision == 0 || q.Revision == s.revision {
		s.visit(q, pick.take)
	} else {
		s.visitPast(q, func() bool { return true }, pick.take)
	}
	result := RangeResult{Revision: s.revision}
	result.Records, result.More = pick.finish()
	if !q.NoCount {
		result.Count = pick.count
	}
	return result, nil
}

func (s *Store) checkQuery(q Query) error {
	if err := checkSpace(q.Space); err != nil {
		return err
	}
	if err := checkSpan(q.Key, q.End); err != nil {
		return err
	}
	if q.Order >= orders {
		return fmt.Errorf("order %d: %w: orders are 0 to %d", q.Order, ErrInvalidOp, orders-1)
	}
	return s.checkRevision(q.Revision)
}

// checkSpan checks a key and the end of its range. The first of a range may be
// Everything, the smallest key there is.
func checkSpan(key, end string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if len(end) > MaxKey {
		return fmt.Errorf("end of range of %d bytes: %w: at most %d bytes are allowed", len(end), ErrKeyBounds, MaxKey)
	}
	return nil
}

// checkRevision checks a revision to read at.
func (s *Store) checkRevision(rev uint64) error {
	switch {
	case rev > s.revision:
		return fmt.Errorf("revision %d: %w: the newest is %d", rev, ErrFuture, s.revision)
	case rev != 0 && rev < s.compacted:
		return fmt.Errorf("revision %d: %w: the oldest kept is %d", rev, ErrCompacted, s.compacted)
	}
	return nil
}

// within says whether a key lies in the range of keys from key to end.
func within(key, first, end string) bool {
	switch end {
	case "":
		return key == first
	case Everything:
		return key >= first
	}
	return key >= first && key < end
}

// visit calls fn with the present records of a query's range in the order of
// their keys, until it returns false.
func (s *Store) visit(q Query, fn func(Record) bool) {
	if q.End == "" {
		if r, ok := s.Get(q.Space, q.Key); ok {
			fn(r)
		}
		return
	}
	first, last := recordKey(q.Space, q.Key), string([]byte{tableRecords, byte(q.Space) + 1})
	if q.End != Everything {
		last = recordKey(q.Space, q.End)
	}
	if first >= last {
		return
	}
	s.view(func(tx *buntdb.Tx) {
		must(tx.AscendRange("", first, last, func(key, row string) bool {
			return fn(mustRecord(key[2:], row))
		}))
	})
}

// visitPast is visit at the query's revision. It calls look for every change and
// every record that it looks at, and stops when that returns false.
func (s *Store) visitPast(q Query, look func() bool, fn func(Record) bool) {
	if q.End == "" {
		if r := s.past(q.Space, q.Key, q.Revision, look); r.Exists() {
			fn(r)
		}
		return
	}
	// 1. What the keys changed since then were: their first event knows.
	were := map[string]Record{}
	going := true
	s.replay(q.Revision+1, func(e *Event) bool {
		if e.Space == q.Space && within(e.Record.Key, q.Key, q.End) {
			if _, ok := were[e.Record.Key]; !ok {
				were[e.Record.Key] = e.Prev
			}
		}
		going = look()
		return going
	})
	changed := make([]string, 0, len(were))
	for key := range were {
		changed = append(changed, key)
	}
	slices.Sort(changed)
	// 2. Merged with the present records, which they hide.
	upTo := func(key string, all bool) {
		for going && len(changed) > 0 && (all || changed[0] <= key) {
			if r := were[changed[0]]; r.Exists() {
				going = fn(r)
			}
			changed = changed[1:]
		}
	}
	s.visit(q, func(r Record) bool {
		upTo(r.Key, false)
		going = going && look()
		if _, ok := were[r.Key]; !ok && going {
			going = fn(r)
		}
		return going
	})
	upTo("", true)
}

// past returns a record as it was at a revision, the zero Record when there was
// none. It costs time in proportion to the events from then to the key's first
// change after it.
func (s *Store) past(space Space, key string, rev uint64, look func() bool) Record {
	r, ok := s.Get(space, key)
	look()
	if ok && r.Mod <= rev {
		return r
	}
	s.replay(rev+1, func(e *Event) bool {
		if e.Space != space || e.Record.Key != key {
			return look()
		}
		r = e.Prev
		return false
	})
	return r
}

// picker collects the records that a query returns.
type picker struct {
	q       Query
	records []Record
	more    bool
	count   uint64 // of records that it was given
}

// take takes the next record of the range, and says whether to go on.
func (p *picker) take(r Record) bool {
	p.count++
	if !p.q.CountOnly {
		p.add(r)
	}
	return !p.q.NoCount || !p.more
}

func (p *picker) add(r Record) {
	q := &p.q
	if r.Mod < q.MinMod || q.MaxMod != 0 && r.Mod > q.MaxMod ||
		r.Create < q.MinCreate || q.MaxCreate != 0 && r.Create > q.MaxCreate {
		return
	}
	sorted := q.Order == ByKey && !q.Descending // as they come
	if sorted && q.Limit > 0 && uint64(len(p.records)) >= q.Limit {
		p.more = true
		return
	}
	if q.KeysOnly && q.Order != ByValue {
		r.Value = ""
	}
	p.records = append(p.records, r)
	// A limit bounds what is held, too.
	if !sorted && q.Limit > 0 && uint64(len(p.records)) >= 2*min(q.Limit, 1<<40)+1024 {
		p.cut()
	}
}

// cut sorts what is there and drops what is beyond the limit.
func (p *picker) cut() {
	q := &p.q
	slices.SortFunc(p.records, func(a, b Record) int {
		var c int
		switch q.Order {
		case ByVersion:
			c = cmp.Compare(a.Version, b.Version)
		case ByCreate:
			c = cmp.Compare(a.Create, b.Create)
		case ByMod:
			c = cmp.Compare(a.Mod, b.Mod)
		case ByValue:
			c = strings.Compare(a.Value, b.Value)
		case ByKey:
			c = strings.Compare(a.Key, b.Key)
		}
		if q.Descending {
			c = -c
		}
		if c == 0 {
			c = strings.Compare(a.Key, b.Key)
		}
		return c
	})
	if q.Limit > 0 && uint64(len(p.records)) > q.Limit {
		clear(p.records[q.Limit:])
		p.records, p.more = p.records[:q.Limit], true
	}
}

func (p *picker) finish() ([]Record, bool) {
	if p.q.Order != ByKey || p.q.Descending {
		p.cut()
	}
	if p.q.KeysOnly {
		for i := range p.records {
			p.records[i].Value = ""
		}
	}
	return p.records, p.more
}
