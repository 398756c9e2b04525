package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Check verifies what must always hold between the rows and what follows from
// them. It walks all the state twice: for tests and simulation. An error is a
// defect of this package. No batch is open.
func (s *Store) Check() error {
	c := checker{s: s, owned: owned{}, newest: map[recordName]Record{}}
	c.walk()
	c.chunks()
	c.replay()
	return errors.Join(c.errs...)
}

// recordName is a key in its space.
type recordName struct {
	space Space
	key   string
}

// checker gathers what Check finds.
type checker struct {
	s       *Store
	errs    []error
	bytes   int64
	records [spaces]uint64
	owned   owned
	chunk   []uint64              // first revisions of the rows of history
	newest  map[recordName]Record // after the last kept event of a key; zero: deleted
}

func (c *checker) fail(format string, a ...any) {
	if len(c.errs) < 10 {
		c.errs = append(c.errs, fmt.Errorf(format, a...))
	}
}

// walk checks each row by itself and sums up.
func (c *checker) walk() {
	s := c.s
	s.ascend("", func(key, value string) bool {
		c.bytes += int64(len(key) + len(value) + rowOverhead)
		switch key[0] {
		case tableHistory:
			d := decoder{rest: key[1:]}
			var first uint64
			for range 8 {
				first = first<<8 | uint64(d.byte())
			}
			c.chunk = append(c.chunk, first)
		case tableRecords:
			r, ok := decodeRecord(key[2:], value)
			space := Space(key[1])
			if !ok || space >= spaces || r.Mod > s.revision || r.Create > r.Mod {
				c.fail("record %q of space %d: create %d, mod %d, version %d at revision %d", r.Key, space, r.Create, r.Mod, r.Version, s.revision)
				return true
			}
			c.records[space]++
			if space == Keys {
				c.owned.move(r.Key, 0, r.Session)
			}
		case tableRows:
		default:
			c.fail("row of table %q", key[0])
		}
		return true
	})
	c.bytes += int64(len(s.history.open))
	if c.bytes != s.bytes {
		c.fail("%d bytes, reckoned as %d", c.bytes, s.bytes)
	}
	if c.records != s.records {
		c.fail("%d records by space, reckoned as %d", c.records, s.records)
	}
	if !maps.EqualFunc(c.owned, s.owned, maps.Equal) {
		c.fail("the sessions that own keys disagree with the records")
	}
}

// chunks checks the chunks' marks, and that they follow each other.
func (c *checker) chunks() {
	s, h := c.s, &c.s.history
	marks := make([]uint64, 0, len(h.closed))
	for _, m := range h.closed {
		marks = append(marks, m.first)
	}
	if !slices.Equal(marks, c.chunk) {
		c.fail("chunks of history %d, known are %d", c.chunk, marks)
		return
	}
	oldest := h.oldest()
	if s.compacted > s.revision || oldest > max(2, s.compacted+1) {
		c.fail("history from revision %d, compacted to %d of %d", oldest, s.compacted, s.revision)
	}
	bytes := int64(0)
	var e Event
	next := oldest
	for i := 0; i <= len(h.closed); i++ {
		r := s.chunk(i)
		if r.revision+1 != next {
			c.fail("chunk from revision %d where %d is due", r.revision+1, next)
		}
		if i < len(h.closed) {
			bytes += h.closed[i].bytes
			if text, _ := s.get(chunkKey(h.closed[i].first)); int64(len(text)) != h.closed[i].bytes {
				c.fail("chunk %d has %d bytes, known are %d", i, len(text), h.closed[i].bytes)
			}
		}
		events := 0
		for r.next(&e) {
			events++
		}
		next = r.revision + 1
		switch {
		case r.bad:
			c.fail("chunk %d of history is damaged", i)
		case i < len(h.closed) && r.millis != h.closed[i].millis:
			c.fail("chunk %d ends at %d ms, known is %d ms", i, r.millis, h.closed[i].millis)
		case i < len(h.closed) && events == 0:
			c.fail("chunk %d has no events", i)
		case i == len(h.closed) && (events != h.events || h.ripe()):
			c.fail("open chunk with %d events, known are %d, %d bytes", events, h.events, len(h.open))
		}
	}
	if bytes != h.bytes {
		c.fail("%d bytes of history, known are %d", bytes, h.bytes)
	}
	if next != s.revision+1 {
		c.fail("history ends before revision %d of %d", next, s.revision)
	}
}

// replay checks that each event begins with what the one before it left, and
// that the last one left what the record is.
func (c *checker) replay() {
	s := c.s
	s.replay(0, func(e *Event) bool {
		name := recordName{e.Space, e.Record.Key}
		was, known := c.newest[name]
		if known && was != e.Prev && !(e.Prev == Record{} && c.mayBeGone(name.space, was)) {
			c.fail("event of %q at revision %d: the record before was %+v, told as %+v", name.key, e.Revision(), was, e.Prev)
		}
		now := e.Record
		if e.Deleted {
			now = Record{}
		}
		c.newest[name] = now
		return true
	})
	for name, last := range c.newest {
		now, _ := s.Get(name.space, name.key)
		if now != last && !(now == Record{} && c.mayBeGone(name.space, last)) {
			c.fail("record %q is %+v, its last event left %+v", name.key, now, last)
		}
	}
	slices.SortFunc(c.errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
}

// mayBeGone says that a record may have been removed without an event.
func (c *checker) mayBeGone(space Space, r Record) bool {
	return space != Keys && r.Exists() && r.Mod <= c.s.compacted &&
		c.s.options.Disposable != nil && c.s.options.Disposable(space, r)
}
