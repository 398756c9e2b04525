package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrSnapshot says that what was given to Restore is not a snapshot of a store.
var ErrSnapshot = errors.New("not a snapshot of a store")

// RestoreBuffer is the size of the buffer that Restore reads through; a
// bufio.Reader that has one as large serves as it is.
const RestoreBuffer = 16 << 10

// Restore makes a store of what a Snapshot held, read up to io.EOF. The options
// are those of the cell. What is damaged, cut short or followed by anything is
// refused with ErrSnapshot; an error of the reader is returned as it is.
func Restore(o Options, r io.Reader) (*Store, error) {
	s := New(o)
	l := loader{s: s, r: bufio.NewReaderSize(r, RestoreBuffer)}
	s.Begin()
	must(s.open.DeleteAll()) // of nothing: from then on buntdb does not note how to take rows back
	err := l.load()
	s.tx.Commit()
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("restore, byte %d: %w", l.offset, err)
	}
	return s, nil
}

// loader reads a snapshot into an empty store.
type loader struct {
	s      *Store
	r      *bufio.Reader
	offset int64 // bytes read
	last   string
	rows   uint64
	open   string // the open chunk
	next   uint64 // the revision that the next chunk begins with; 0: not known yet
	millis int64  // of the last event read
	full   bool
	piece  []byte // scratch
}

func damaged(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrSnapshot, fmt.Sprintf(format, a...))
}

// load reads all of it.
func (l *loader) load() error {
	if err := l.header(); err != nil {
		return err
	}
	for {
		more, err := l.row()
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	if n, err := l.uvarint(); err != nil {
		return err
	} else if n != l.rows {
		return damaged("%d rows where %d are announced", l.rows, n)
	}
	if _, err := l.r.ReadByte(); err == nil {
		return damaged("something follows its end")
	} else if err != io.EOF {
		return err
	}
	return l.finish()
}

func (l *loader) header() error {
	magic, err := l.text(uint64(len(snapshotMagic)), 1<<10)
	if err != nil {
		return err
	}
	if magic != snapshotMagic {
		return damaged("it begins with %q, not with %q", magic, snapshotMagic)
	}
	var numbers [5]uint64
	for i := range numbers {
		if numbers[i], err = l.uvarint(); err != nil {
			return err
		}
	}
	s := l.s
	s.revision, s.compacted, s.history.first = numbers[0], numbers[1], numbers[3]
	if s.revision == 0 || s.compacted > s.revision || numbers[2] > 1 ||
		s.history.first < 2 || s.history.first > s.revision+1 || s.revision+1 == 0 {
		return damaged("revision %d, compacted %d, full %d, open chunk from %d", numbers[0], numbers[1], numbers[2], numbers[3])
	}
	l.full = numbers[2] == 1
	l.open, err = l.text(numbers[4], chunkBytes)
	return err
}

// row reads a row, false at the mark after the last one.
func (l *loader) row() (more bool, err error) {
	keys, err := l.uvarint()
	if err != nil || keys == 0 {
		return false, err
	}
	values, err := l.uvarint()
	if err != nil {
		return false, err
	}
	if keys > maxRowKey || values > maxRowValue {
		return false, damaged("a row with a key of %d and a value of %d bytes", keys, values)
	}
	text, err := l.text(keys+values, maxRowKey+maxRowValue)
	if err != nil {
		return false, err
	}
	key, value := text[:keys], text[keys:]
	if key <= l.last {
		return false, damaged("rows out of order")
	}
	l.last = key
	switch key[0] {
	case tableHistory:
		err = l.chunk(key, value)
	case tableRecords:
		err = l.record(key, value)
	case tableRows:
		if len(key) < 3 {
			err = damaged("row without a key")
		}
	default:
		err = damaged("row of table %q, which does not exist", key[0])
	}
	if err != nil {
		return false, err
	}
	l.s.load(key, value)
	l.rows++
	return true, nil
}

func (l *loader) chunk(key, value string) error {
	if len(key) != 9 {
		return damaged("history with a key of %d bytes", len(key))
	}
	first := binary.BigEndian.Uint64([]byte(key[1:]))
	switch {
	case l.next == 0 && (first < 2 || first > max(2, l.s.compacted+1)):
		return damaged("history begins with revision %d, compacted to %d", first, l.s.compacted)
	case l.next != 0 && first != l.next:
		return damaged("history goes on with revision %d where %d is due", first, l.next)
	}
	if value == "" {
		return damaged("a chunk of history without events")
	}
	if _, err := l.events(first, value); err != nil {
		return err
	}
	l.s.history.add(chunkMark{first, l.millis, int64(len(value))})
	return nil
}

// events reads a chunk through and returns how many events it has.
func (l *loader) events(first uint64, chunk string) (n int, err error) {
	r := readChunk(first, chunk)
	var e Event
	for r.next(&e) {
		n++
	}
	if r.bad || r.revision > l.s.revision {
		return 0, damaged("events from revision %d on cannot be read", first)
	}
	l.next, l.millis = r.revision+1, r.millis
	return n, nil
}

func (l *loader) record(key, value string) error {
	if len(key) < 3 || len(key) > 2+MaxKey || Space(key[1]) >= spaces {
		return damaged("record with a key of %d bytes", len(key))
	}
	space := Space(key[1])
	r, ok := decodeRecord(key[2:], value)
	if !ok || r.Mod > l.s.revision || len(r.Value) > MaxValue {
		return damaged("record of key %q cannot be read", key[2:])
	}
	l.s.records[space]++
	if space == Keys {
		l.s.owned.move(r.Key, 0, r.Session)
	}
	return nil
}

// finish sets up what follows from the rows.
func (l *loader) finish() error {
	s, h := l.s, &l.s.history
	if len(h.closed) > 0 && h.first != l.next {
		return damaged("open chunk from revision %d where %d is due", h.first, l.next)
	}
	if len(h.closed) == 0 && h.first > max(2, s.compacted+1) {
		return damaged("history begins with revision %d, compacted to %d", h.first, s.compacted)
	}
	n, err := l.events(h.first, l.open)
	if err != nil {
		return err
	}
	if l.next != s.revision+1 {
		return damaged("history ends before revision %d, newest is %d", l.next, s.revision)
	}
	h.open, h.events, h.millis = []byte(l.open), n, l.millis
	if h.ripe() {
		return damaged("open chunk with %d events and %d bytes", n, len(l.open))
	}
	s.resize(len(h.open))
	s.full = l.full
	return nil
}

func (l *loader) uvarint() (uint64, error) {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		c, err := l.r.ReadByte()
		if err != nil {
			return 0, l.cut(err)
		}
		l.offset++
		if shift == 63 && c > 1 {
			break
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if c == 0 && shift > 0 {
				return 0, damaged("a number written longer than it is")
			}
			return v, nil
		}
	}
	return 0, damaged("a number of more than 64 bits")
}

// text reads n bytes, at most limit; memory grows with what is really there.
func (l *loader) text(n, limit uint64) (string, error) {
	if n > limit {
		return "", damaged("a length of %d bytes where at most %d are allowed", n, limit)
	}
	if n <= RestoreBuffer { // nearly all: no copy between
		piece, err := l.r.Peek(int(n))
		l.offset += int64(len(piece))
		if err != nil {
			return "", l.cut(err)
		}
		text := string(piece)
		_, err = l.r.Discard(int(n))
		return text, err
	}
	l.piece = l.piece[:0]
	for left := int(n); left > 0; {
		step := min(left, 64<<10)
		l.piece = slices.Grow(l.piece, step)
		at := len(l.piece)
		m, err := io.ReadFull(l.r, l.piece[at:at+step])
		l.piece = l.piece[:at+m]
		l.offset += int64(m)
		if err != nil {
			return "", l.cut(err)
		}
		left -= step
	}
	return string(l.piece), nil
}

// cut tells an end that comes too early from another failure to read.
func (l *loader) cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return damaged("it ends too early")
	}
	return err
}
