package store

import "sort"

// A chunk of the history is closed, at the end of a revision, once it has
// chunkEvents events or chunkBytes bytes.
const (
	chunkEvents = 64
	chunkBytes  = 16 << 10
)

// history knows the chunks: the closed ones, which are rows, and the open one.
type history struct {
	closed []chunkMark // ascending, without gaps in their revisions
	bytes  int64       // of all of them
	first  uint64      // first revision of the open chunk, or of the next one
	open   []byte      // events of the open chunk
	events int         // how many
	millis int64       // wall time of its last revision

	text string // what open held when it was read last
}

// chunkMark is a closed chunk.
type chunkMark struct {
	first  uint64 // its first revision
	millis int64  // wall time of its last revision
	bytes  int64
}

// reset empties the open chunk, which will begin with the revision first.
func (h *history) reset(first uint64) {
	h.first, h.open, h.events, h.text = first, h.open[:0], 0, ""
}

// add puts a chunk behind the closed ones.
func (h *history) add(m chunkMark) {
	h.closed = append(h.closed, m)
	h.bytes += m.bytes
}

// ripe says that the open chunk should be closed.
func (h *history) ripe() bool { return h.events >= chunkEvents || len(h.open) >= chunkBytes }

// append adds an event to the open chunk and returns by how much it has grown.
func (h *history) append(first bool, e *Event) int {
	size := len(h.open)
	h.open = appendEvent(h.open, first, e)
	h.events++
	h.millis = e.Millis
	return len(h.open) - size
}

// openText is the open chunk as text that stays.
func (h *history) openText() string {
	if len(h.text) != len(h.open) {
		h.text = string(h.open)
	}
	return h.text
}

// closeChunk makes the open chunk a row.
func (t *Tx) closeChunk() {
	s, h := t.s, &t.s.history
	s.resize(-len(h.open))
	s.set(chunkKey(h.first), h.openText())
	h.add(chunkMark{h.first, h.millis, int64(len(h.open))})
	h.reset(s.revision + 1)
	if cap(h.open) > 4*chunkBytes {
		h.open = nil // one large revision does not hold memory for ever
	}
}

// replay calls fn with the kept events of revisions >= from, in order, until
// it returns false. The event is reused.
func (s *Store) replay(from uint64, fn func(e *Event) bool) {
	h := &s.history
	if from > s.revision {
		return
	}
	// The last chunk whose first revision is <= from, or the first one.
	i := sort.Search(len(h.closed), func(i int) bool { return h.closed[i].first > from }) - 1
	if from >= h.first {
		i = len(h.closed)
	}
	var e Event
	for i = max(i, 0); i <= len(h.closed); i++ {
		r := s.chunk(i)
		for r.next(&e) {
			if e.Revision() >= from && !fn(&e) {
				return
			}
		}
		if r.bad {
			panic("store: a chunk of the history cannot be decoded")
		}
	}
}

// chunk reads the i-th chunk, the open one last.
func (s *Store) chunk(i int) eventReader {
	h := &s.history
	if i == len(h.closed) {
		return readChunk(h.first, h.openText())
	}
	text, ok := s.get(chunkKey(h.closed[i].first))
	if !ok {
		panic("store: a chunk of the history is missing")
	}
	return readChunk(h.closed[i].first, text)
}
