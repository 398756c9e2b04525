package store

import (
	"encoding/binary"
	"slices"

	"github.com/tidwall/btree"
	"github.com/tidwall/buntdb"
)

// What a snapshot holds, numbers as uvarints:
//
//	magic
//	revision, compacted, full (0 or 1)
//	first revision, length and bytes of the open chunk
//	every row in order: length of the key, length of the value, key, value
//	0, number of rows
const snapshotMagic = "conch store 1\n"

// snapshotPiece is about how many bytes Next returns; rows of any size are cut
// to it.
const snapshotPiece = 64 << 10

// Snapshot is a walk over all the state as it was when the walk began. Its
// bytes depend on that state alone. Several may be under way at once; each
// holds the former values of the rows that change ahead of it, so it should be
// walked to the end or closed soon.
type Snapshot struct {
	s      *Store
	ready  []byte // made and not yet returned: the header
	rest   string // what remains of the value of the last row
	cursor string // key of the last row; "" before the first
	rows   uint64 // how many have been made
	ended  bool   // all rows and the end have been made
	images *btree.BTreeG[image]
}

// image is a row as it was when the walk began, if it has changed since, and before
// the cursor had passed it. It is kept until the walk ends: taking one out of the
// tree costs more than writing it.
type image struct {
	key, value string
	had        bool // there was such a row
}

// Snapshot begins a walk. No batch is open.
func (s *Store) Snapshot() *Snapshot {
	if s.open != nil {
		panic("store: snapshot within a batch")
	}
	w := &Snapshot{s: s}
	w.images = btree.NewBTreeGOptions(func(a, b image) bool { return a.key < b.key }, btree.Options{NoLocks: true})
	full := uint64(0)
	if s.full {
		full = 1
	}
	b := append([]byte(nil), snapshotMagic...)
	b = binary.AppendUvarint(b, s.revision)
	b = binary.AppendUvarint(b, s.compacted)
	b = binary.AppendUvarint(b, full)
	b = binary.AppendUvarint(b, s.history.first)
	b = binary.AppendUvarint(b, uint64(len(s.history.open)))
	w.ready = append(b, s.history.open...)
	s.snapshots = append(s.snapshots, w)
	return w
}

// Close ends the walk, whether or not it came to its end. It may be repeated.
func (w *Snapshot) Close() {
	w.s.snapshots = slices.DeleteFunc(w.s.snapshots, func(o *Snapshot) bool { return o == w })
	w.images, w.ended, w.ready, w.rest = nil, true, nil, ""
}

// Next returns the next piece of the snapshot, in buf if it has room for one
// (64 KiB and some), and whether it is the last.
func (w *Snapshot) Next(buf []byte) (piece []byte, done bool) {
	b := append(buf[:0], w.ready...)
	w.ready = nil
	for {
		n := min(len(w.rest), max(0, snapshotPiece-len(b)))
		b, w.rest = append(b, w.rest[:n]...), w.rest[n:]
		switch {
		case len(w.rest) > 0 || len(b) >= snapshotPiece:
			return b, false
		case w.ended:
			return b, true
		}
		b = w.walk(b)
	}
}

// walk appends rows until the piece is full, a value does not fit any more or
// there are none left.
func (w *Snapshot) walk(b []byte) []byte {
	emit := func(key, value string) bool {
		b = binary.AppendUvarint(b, uint64(len(key)))
		b = binary.AppendUvarint(b, uint64(len(value)))
		b = append(b, key...)
		w.cursor = key
		w.rows++
		n := min(len(value), max(0, snapshotPiece-len(b)))
		b, w.rest = append(b, value[:n]...), value[n:]
		return len(w.rest) == 0 && len(b) < snapshotPiece
	}
	from := w.cursor
	if from != "" {
		from += "\x00" // the smallest key after it
	}
	images := w.images.Iter()
	defer images.Release()
	going, more := true, images.Seek(image{key: from})
	// former emits the images up to and including key, or all; an image of key
	// itself takes the place of the row.
	former := func(key string, all bool) (replaced bool) {
		for going && more {
			i := images.Item()
			if !all && i.key > key {
				break
			}
			more = images.Next()
			replaced = i.key == key
			w.cursor = i.key
			if i.had {
				going = emit(i.key, i.value)
			}
		}
		return replaced
	}
	w.s.view(func(tx *buntdb.Tx) {
		must(tx.AscendGreaterOrEqual("", from, func(key, value string) bool {
			if !former(key, false) && going {
				going = emit(key, w.s.newest(key, value))
			}
			return going
		}))
	})
	if going {
		former("", true)
	}
	if going {
		b = append(b, 0)
		b = binary.AppendUvarint(b, w.rows)
		w.ended = true
	}
	return b
}

// newest is how a row reads that was set to value.
func (s *Store) newest(key, value string) string {
	if s.Newest == nil || key[0] != tableRows {
		return value
	}
	return s.Newest(Table(key[1]), key[2:], value)
}

// keepImage tells the walks under way that a row has changed.
func (s *Store) keepImage(key, was string, had bool) {
	for _, w := range s.snapshots {
		if w.lacks(key) {
			w.images.Set(image{key, was, had})
		}
	}
}

// lacks says whether the walk has still to come to a row of which it has no image.
func (w *Snapshot) lacks(key string) bool {
	if w.ended || key <= w.cursor {
		return false
	}
	_, has := w.images.Get(image{key: key})
	return !has
}
