package store

import "encoding/binary"

// Event is one change of one record.
type Event struct {
	Space   Space
	Deleted bool
	// Record as the event left it. Of a deleted one there are Key and Mod, the
	// revision that deleted it; the rest is zero.
	Record Record
	Prev   Record // as it was before; the zero Record when it was absent
	Millis int64  // wall time of the revision, in milliseconds since 1970
}

// Revision is that of the event.
func (e *Event) Revision() uint64 { return e.Record.Mod }

// Flags of an event in a chunk.
const (
	eventDelete = 1 << iota
	eventFirst  // the first of its revision
	eventPrev   // with the record as it was before

	eventFlags = eventDelete | eventFirst | eventPrev
)

// appendEvent appends an event to a chunk. What follows from the record before
// (create revision and version) and from the place in the chunk (revision) is
// not written.
func appendEvent(b []byte, first bool, e *Event) []byte {
	var flags byte
	if e.Deleted {
		flags |= eventDelete
	}
	if first {
		flags |= eventFirst
	}
	if e.Prev.Exists() {
		flags |= eventPrev
	}
	b = append(b, flags, byte(e.Space))
	if first {
		b = binary.AppendVarint(b, e.Millis)
	}
	b = appendText(b, e.Record.Key)
	if !e.Deleted {
		b = binary.AppendUvarint(b, e.Record.Session)
		b = appendText(b, e.Record.Value)
	}
	if p := &e.Prev; p.Exists() {
		b = binary.AppendUvarint(b, e.Record.Mod-p.Mod)
		b = binary.AppendUvarint(b, p.Mod-p.Create)
		b = binary.AppendUvarint(b, p.Version)
		b = binary.AppendUvarint(b, p.Session)
		b = appendText(b, p.Value)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// eventReader reads the events of one chunk in order.
type eventReader struct {
	d        decoder
	revision uint64
	millis   int64
	started  bool // an event has been read
	bad      bool // the chunk is damaged
}

// readChunk starts before the first event of a chunk whose first revision is
// first.
func readChunk(first uint64, chunk string) eventReader {
	return eventReader{d: decoder{rest: chunk}, revision: first - 1}
}

// next reads an event into e; false at the end and when the chunk is damaged.
// Texts of the event share memory with the chunk.
func (r *eventReader) next(e *Event) bool {
	if len(r.d.rest) == 0 || r.bad {
		return false
	}
	flags := r.d.byte()
	space := Space(r.d.byte())
	if flags&eventFirst != 0 {
		r.revision++
		zigzag := r.d.uvarint()
		r.millis = int64(zigzag>>1) ^ -int64(zigzag&1)
	}
	*e = Event{Space: space, Deleted: flags&eventDelete != 0, Millis: r.millis}
	e.Record.Key = r.d.text()
	e.Record.Mod = r.revision
	if !e.Deleted {
		e.Record.Create = r.revision
		e.Record.Version = 1
		e.Record.Session = r.d.uvarint()
		e.Record.Value = r.d.text()
	}
	sound := true
	if flags&eventPrev != 0 {
		p := &e.Prev
		p.Key = e.Record.Key
		since := r.d.uvarint()
		p.Mod = r.revision - since
		age := r.d.uvarint()
		p.Create = p.Mod - age
		p.Version = r.d.uvarint()
		p.Session = r.d.uvarint()
		p.Value = r.d.text()
		sound = since < r.revision && p.Mod > 1 && age < p.Mod && p.Create > 1 && p.Version > 0 && p.Version < 1<<63
		if !e.Deleted {
			e.Record.Create = p.Create
			e.Record.Version = p.Version + 1
		}
	}
	sound = sound && !r.d.failed && flags <= eventFlags && space < spaces &&
		len(e.Record.Key) >= 1 && len(e.Record.Key) <= MaxKey &&
		(flags&eventFirst != 0 || r.started) && (!e.Deleted || flags&eventPrev != 0)
	r.started, r.bad = true, !sound
	return sound
}
