package store

import (
	"fmt"
	"slices"
	"strings"
)

// budget is what a transaction costs, reckoned before its first write: the
// records that its compares and operations look at, the bytes of those that it
// returns, and those that it deletes. Operations see what those before them did,
// so it knows what they will have done.
type budget struct {
	t        *Tx
	visited  int
	returned int
	deleted  int
	dropped  int // bytes of what is deleted

	wide  bool // the operations chosen mean more than single keys of the present
	parts int  // how many of them return or delete something

	puts []Record // that are put, in the order of their keys
	gone []span   // that are deleted, in the order of their first
}

// span is the keys from first to last; last is not meant.
type span struct{ first, last string }

// mostRecords is more than a transaction can return.
const mostRecords = MaxReturned/recordOverhead + 1

// look counts a record, or a change that leads to one, and says whether that is
// within bounds.
func (b *budget) look() bool {
	b.visited++
	return b.visited <= MaxVisited
}

// give counts a record that is returned, and says whether that is within bounds.
func (b *budget) give(r Record) bool {
	b.returned += len(r.Key) + len(r.Value) + recordOverhead
	return b.returned <= MaxReturned
}

// drop counts a record that is deleted, and says whether that is within bounds.
func (b *budget) drop(r Record) bool {
	b.deleted++
	b.dropped += len(r.Key) + len(r.Value)
	return b.deleted <= MaxDeleted && b.dropped <= MaxDropped
}

// check says what is out of bounds.
func (b *budget) check() error {
	if b.visited > MaxVisited {
		return fmt.Errorf("%d records or more to look at: %w: its compares and operations look at %d at most, counted, read, deleted and compared ones together; nothing happened", b.visited, ErrTooLarge, MaxVisited)
	}
	if b.returned > MaxReturned {
		return fmt.Errorf("%d bytes of records or more to return: %w: its operations return %d at most, with %d for each record beside its key and value; nothing happened: limit its ranges, or ask for keys or counts only", b.returned, ErrTooLarge, MaxReturned, recordOverhead)
	}
	if b.deleted > MaxDeleted || b.dropped > MaxDropped {
		return fmt.Errorf("%d records of %d bytes or more to delete: %w: its operations delete %d of %d bytes at most; nothing happened: delete a part of the range at a time", b.deleted, b.dropped, ErrTooLarge, MaxDeleted, MaxDropped)
	}
	return nil
}

// note notes an operation that is chosen.
func (b *budget) note(op *Op) {
	counts := false
	switch {
	case op.Range != nil:
		b.wide = b.wide || op.Range.End != "" || op.Range.Revision != 0
		counts = !op.Range.CountOnly
	case op.Put != nil:
		counts = op.Put.Prev
	case op.Delete != nil:
		b.wide = b.wide || op.Delete.End != ""
		counts = true
	}
	if counts {
		b.parts++
	}
}

// exhaustible says whether the operations chosen can be out of bounds at all: no
// record is by itself.
func (b *budget) exhaustible() bool {
	return b.wide || b.parts > 1 || b.visited > MaxVisited-MaxOps
}

// weigh reckons what the operations chosen cost.
func (b *budget) weigh(txn *Txn, w way) error {
	for i, op := range w.ops(txn) {
		switch {
		case op.Range != nil:
			b.weighRange(*op.Range)
		case op.Put != nil:
			b.weighPut(op.Put)
		case op.Delete != nil:
			b.weighDelete(op.Delete)
		case op.Txn != nil:
			if err := b.weigh(op.Txn, w.nested[0]); err != nil {
				return fmt.Errorf("operation %d: %w", i, err)
			}
			w.nested = w.nested[1:]
		}
		if err := b.check(); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
	}
	return nil
}

func (b *budget) weighRange(q Query) {
	if q.Limit == 0 || q.Limit > mostRecords {
		q.Limit = mostRecords // that many are out of bounds whichever they are
	}
	pick := picker{q: q}
	if q.Revision == 0 {
		b.visit(q, pick.take)
	} else {
		b.t.s.visitPast(q, b.look, pick.take)
	}
	records, _ := pick.finish()
	for _, r := range records {
		if !b.give(r) {
			return
		}
	}
}

func (b *budget) weighPut(op *PutOp) {
	r := Record{Key: op.Key, Value: string(op.Value), Create: b.t.s.revision, Version: 1}
	if !b.t.wrote {
		r.Create++
	}
	r.Mod = r.Create
	b.visit(Query{Key: op.Key}, func(was Record) bool {
		r.Create, r.Version = was.Create, was.Version+1
		if op.KeepValue {
			r.Value = was.Value
		}
		if op.Prev {
			b.give(was)
		}
		return false
	})
	i, twice := slices.BinarySearchFunc(b.puts, r.Key, func(p Record, key string) int { return strings.Compare(p.Key, key) })
	if twice {
		b.puts[i] = r
		return
	}
	b.puts = slices.Insert(b.puts, i, r)
}

func (b *budget) weighDelete(op *DeleteOp) {
	b.visit(Query{Key: op.Key, End: op.End}, func(r Record) bool { return b.drop(r) && (!op.Prev || b.give(r)) })
	b.puts = slices.DeleteFunc(b.puts, func(p Record) bool { return within(p.Key, op.Key, op.End) })
	s := span{op.Key, op.End}
	switch op.End {
	case "":
		s.last = op.Key + "\x00"
	case Everything:
		s.last = strings.Repeat("\xff", MaxKey+1)
	}
	i, _ := slices.BinarySearchFunc(b.gone, s.first, func(x span, first string) int { return strings.Compare(x.first, first) })
	b.gone = slices.Insert(b.gone, i, s)
}

// visit is the store's, of the present as the operations before this one will
// have left it.
func (b *budget) visit(q Query, fn func(Record) bool) {
	if q.Space != Keys {
		b.t.s.visit(q, func(r Record) bool { return b.look() && fn(r) })
		return
	}
	puts, gone, deleted := b.puts, b.gone, ""
	going := true
	upTo := func(key string, all bool) {
		for going && len(puts) > 0 && (all || puts[0].Key < key) {
			if within(puts[0].Key, q.Key, q.End) {
				going = b.look() && fn(puts[0])
			}
			puts = puts[1:]
		}
	}
	b.t.s.visit(q, func(r Record) bool {
		upTo(r.Key, false)
		for len(gone) > 0 && gone[0].first <= r.Key {
			deleted, gone = max(deleted, gone[0].last), gone[1:]
		}
		if !going || !b.look() {
			going = false
			return false
		}
		if len(puts) > 0 && puts[0].Key == r.Key {
			r, puts = puts[0], puts[1:]
		} else if r.Key < deleted {
			return true
		}
		going = fn(r)
		return going
	})
	upTo("", true)
}
