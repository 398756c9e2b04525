package wal

import (
	"errors"
	"fmt"
)

// What a payload can be, by its first byte. A value is never reused; an
// unknown one is refused, not skipped.
const (
	kindFill  = 0 // zeros: brings the next frame into a sector of its own
	kindHead  = 1 // the first frame of a segment
	kindBatch = 2
	kindNext  = 3 // the last of a segment: the next one exists, and holds all that follows
)

const (
	formatVersion = 1

	headBytes  = 72 // kind, version, has state, 0; state length; number; size; identity; previous end; previous check, 0; base; base term; last
	batchBytes = 40 // kind, flags, 0, 0; entries; state length; 0; mark index; mark term; first index
	entryBytes = 16 // term; data length; type, 0, 0, 0
	nextBytes  = 16 // kind and zeros; number of the next segment

	// tailRoom is kept free in a segment for its last frame.
	tailRoom = headerBytes + nextBytes

	// maxHead bounds the frame of a head.
	maxHead = headerBytes + headBytes + MaxStateBytes
)

const (
	flagState = 1 << iota // the batch has a state
	flagMark              // it has a mark
	flagReset             // the mark dropped all entries
)

// head is the first record of a segment.
type head struct {
	number        uint64
	size          int64 // of the file
	identity      uint64
	previousEnd   int64  // where the frames of the segment before ended; 0 in the first
	previousCheck uint32 // header check of its last frame; 0 in the first
	base          Mark
	last          uint64
	state         []byte // nil: none yet
}

func (h *head) encode(p []byte) []byte {
	var fixed [headBytes]byte
	fixed[0], fixed[1] = kindHead, formatVersion
	if h.state != nil {
		fixed[2] = 1
	}
	le.PutUint32(fixed[4:], uint32(len(h.state)))
	le.PutUint64(fixed[8:], h.number)
	le.PutUint64(fixed[16:], uint64(h.size))
	le.PutUint64(fixed[24:], h.identity)
	le.PutUint64(fixed[32:], uint64(h.previousEnd))
	le.PutUint32(fixed[40:], h.previousCheck)
	le.PutUint64(fixed[48:], h.base.Index)
	le.PutUint64(fixed[56:], h.base.Term)
	le.PutUint64(fixed[64:], h.last)
	return append(append(p, fixed[:]...), h.state...)
}

func decodeHead(p []byte) (head, error) {
	if len(p) < headBytes || p[0] != kindHead {
		return head{}, errors.New("the segment does not begin with a head")
	}
	if p[1] != formatVersion {
		return head{}, fmt.Errorf("%w: version %d, this program reads %d", errVersion, p[1], formatVersion)
	}
	h := head{
		number:        le.Uint64(p[8:]),
		size:          int64(le.Uint64(p[16:])),
		identity:      le.Uint64(p[24:]),
		previousEnd:   int64(le.Uint64(p[32:])),
		previousCheck: le.Uint32(p[40:]),
		base:          Mark{Index: le.Uint64(p[48:]), Term: le.Uint64(p[56:])},
		last:          le.Uint64(p[64:]),
	}
	n := int(le.Uint32(p[4:]))
	if p[2] > 1 || n != len(p)-headBytes || n > MaxStateBytes || h.size < MinSegment || h.previousEnd < 0 || h.last < h.base.Index {
		return head{}, errors.New("the head of the segment makes no sense")
	}
	if p[2] == 1 {
		h.state = append([]byte{}, p[headBytes:]...)
	}
	return h, nil
}

// encode appends the record of the batch to p. reset says that its mark drops
// all entries.
func (b *Batch) encode(p []byte, reset bool) []byte {
	var fixed [batchBytes]byte
	fixed[0] = kindBatch
	if b.State != nil {
		fixed[1] |= flagState
	}
	if b.Mark != (Mark{}) {
		fixed[1] |= flagMark
	}
	if reset {
		fixed[1] |= flagReset
	}
	le.PutUint32(fixed[4:], uint32(len(b.Entries)))
	le.PutUint32(fixed[8:], uint32(len(b.State)))
	le.PutUint64(fixed[16:], b.Mark.Index)
	le.PutUint64(fixed[24:], b.Mark.Term)
	if len(b.Entries) > 0 {
		le.PutUint64(fixed[32:], b.Entries[0].Index)
	}
	p = append(append(p, fixed[:]...), b.State...)
	for i := range b.Entries {
		e := &b.Entries[i]
		var fixed [entryBytes]byte
		le.PutUint64(fixed[0:], e.Term)
		le.PutUint32(fixed[8:], uint32(len(e.Data)))
		fixed[12] = e.Type
		p = append(append(p, fixed[:]...), e.Data...)
	}
	return p
}

// size is the length of the record of the batch.
func (b *Batch) size() int {
	n := batchBytes + len(b.State) + len(b.Entries)*entryBytes
	for i := range b.Entries {
		n += len(b.Entries[i].Data)
		if n > MaxFrameBytes {
			break
		}
	}
	return n
}

// decodeBatch reads a batch; nothing in it points into p.
func decodeBatch(p []byte) (b Batch, reset bool, err error) {
	bad := errors.New("the batch makes no sense although its check holds")
	if len(p) < batchBytes || p[0] != kindBatch || p[1] > flagState|flagMark|flagReset {
		return Batch{}, false, bad
	}
	flags, count, stateLen := p[1], int(le.Uint32(p[4:])), int(le.Uint32(p[8:]))
	b.Mark = Mark{Index: le.Uint64(p[16:]), Term: le.Uint64(p[24:])}
	reset = flags&flagReset != 0
	first := le.Uint64(p[32:])
	rest := p[batchBytes:]
	if (flags&flagMark != 0) != (b.Mark != Mark{}) || (reset && b.Mark == Mark{}) || stateLen > len(rest) || count > len(rest)/entryBytes {
		return Batch{}, false, bad
	}
	rest = append([]byte(nil), rest...) // the entries keep this copy
	if flags&flagState != 0 {
		b.State = append([]byte{}, rest[:stateLen]...)
	}
	rest = rest[stateLen:]
	if count > 0 {
		b.Entries = make([]Entry, count)
	}
	for i := range b.Entries {
		if len(rest) < entryBytes || uint64(len(rest)-entryBytes) < uint64(le.Uint32(rest[8:])) {
			return Batch{}, false, bad
		}
		e := &b.Entries[i]
		*e = Entry{Index: first + uint64(i), Term: le.Uint64(rest), Type: rest[12]}
		end := entryBytes + int(le.Uint32(rest[8:]))
		if end > entryBytes {
			e.Data = rest[entryBytes:end:end]
		}
		rest = rest[end:]
	}
	if len(rest) > 0 {
		return Batch{}, false, bad
	}
	return b, reset, nil
}
