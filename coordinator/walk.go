package coordinator

import (
	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/store"
)

// maxVisited is how many records a listing looks at between two turns of the
// consensus.
const maxVisited = 10_000

// walk is a listing of the records of a space under way. What is not listed may
// lie between the others, so that a page may need more than one go.
type walk[T interface{ SizeVT() int }] struct {
	c     *call
	space store.Space
	// show makes an entry of a record; ok is false for one that is not listed.
	show   func(store.Record) (info T, ok bool)
	answer func(list []T, more bool, revision uint64) *api.Response

	limit     int
	from, end string
	list      []T
	size      int
}

// prepare checks a listing.
func (w *walk[T]) prepare(l *loop, q interface {
	GetLimit() uint32
	GetPrefix() string
	GetAfter() string
}) (it item, e *api.Error) {
	if w.limit, e = pageOf(q.GetLimit()); e != nil {
		return item{}, e
	}
	if e := checkPrefix("prefix", q.GetPrefix()); e != nil {
		return item{}, e
	}
	if e := checkPrefix("after", q.GetAfter()); e != nil {
		return item{}, e
	}
	w.from, w.end = q.GetPrefix(), prefixEnd(q.GetPrefix())
	if after := q.GetAfter(); after != "" && after+"\x00" > w.from {
		w.from = after + "\x00"
	}
	return item{call: w.c, run: func() { l.reading(w.c, func() { w.step(l) }) }}, nil
}

// prefixEnd is the first key after all that begin with a prefix, as a query
// names it.
func prefixEnd(prefix string) string {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return string(b[:i+1])
		}
	}
	return store.Everything
}

// step goes on to the end of the page, or for as long as one turn may take.
func (w *walk[T]) step(l *loop) {
	s := l.machine().Store()
	visited, unfinished, more := 0, false, false
	s.Visit(store.Query{Space: w.space, Key: w.from, End: w.end}, func(rec store.Record) bool {
		if visited++; visited > maxVisited {
			w.from, unfinished = rec.Key, true
			return false
		}
		info, ok := w.show(rec)
		if !ok {
			return true
		}
		w.size += info.SizeVT() + 8
		if len(w.list) >= w.limit || w.size > maxPageBytes && len(w.list) > 0 {
			more = true
			return false
		}
		w.list = append(w.list, info)
		return true
	})
	if unfinished && !w.c.over.Load() {
		l.submit(item{call: w.c, run: func() { w.step(l) }})
		return
	}
	l.reply(w.c, w.answer(w.list, more, s.Revision()))
}
