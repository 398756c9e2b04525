package wal

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"

	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/raftnode/disk"
)

// recovery reads a log back into its Log.
type recovery struct {
	*Log
	entries []Entry
	torn    int64
	buf     []byte // the segment being read
}

// opened is a segment with its head read.
type opened struct {
	path   string
	head   head
	header header // of the head's frame
}

// damage is why no frame could be read at a place.
type damage struct {
	reason string
	sure   bool // a torn write cannot look like this
}

// run reads the segments with these numbers, oldest first, and leaves the last
// one active.
func (r *recovery) run(numbers []uint64) error {
	all := make([]opened, len(numbers))
	for i, number := range numbers {
		o, err := r.readHead(number)
		if err != nil {
			return err
		}
		all[i] = o
	}
	r.base, r.last, r.first = all[0].head.base, all[0].head.last, all[0].head.last+1
	for i := range all {
		if err := r.readSegment(all, i); err != nil {
			return err
		}
	}
	if r.last > r.base.Index && r.first > r.base.Index+1 {
		return &CorruptError{
			File: filepath.Join(r.dir, segmentName(numbers[0]-1)),
			Reason: fmt.Sprintf("the file is missing: the entries from %d to %d were in it or before it, and the last snapshot is at %d",
				r.base.Index+1, r.first-1, r.base.Index),
		}
	}
	return nil
}

// readHead reads the first frame of a segment.
func (r *recovery) readHead(number uint64) (opened, error) {
	o := opened{path: filepath.Join(r.dir, segmentName(number))}
	file, err := r.fs.Open(o.path)
	if err != nil {
		return o, fmt.Errorf("wal: %w", err)
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return o, fmt.Errorf("wal: size of %s: %w", o.path, err)
	}
	p := make([]byte, min(size, (maxHead+frameAlign-1)/frameAlign*frameAlign))
	if err := readFull(file, p, o.path); err != nil {
		return o, err
	}
	bad := &CorruptError{File: o.path, Reason: "the head of the segment does not check"}
	var ok bool
	if o.header, ok = parseHeader(p, 0); !ok || o.header.length > len(p)-headerBytes || frameSize(o.header.length) > len(p) {
		return o, bad
	}
	payload := p[headerBytes : headerBytes+o.header.length]
	if crc32.Checksum(p[headerBytes:frameSize(o.header.length)], castagnoli) != o.header.payloadCheck {
		return o, bad
	}
	if o.head, err = decodeHead(payload); err != nil {
		if errors.Is(err, errVersion) {
			return o, fmt.Errorf("%w in %s", err, o.path)
		}
		return o, &CorruptError{File: o.path, Reason: err.Error()}
	}
	switch {
	case o.head.identity != r.identity:
		return o, fmt.Errorf("%w: %s has identity %#x, this group's is %#x; nothing was changed", ErrIdentity, o.path, o.head.identity, r.identity)
	case o.head.number != number:
		return o, &CorruptError{File: o.path, Reason: fmt.Sprintf("it is segment %d under the name of another", o.head.number)}
	case size < o.head.size:
		return o, &CorruptError{File: o.path, Offset: size, Reason: fmt.Sprintf("the file ends here, it was made with %d bytes: it was truncated", o.head.size)}
	}
	return o, nil
}

// readSegment reads the frames of segment i. All but the last have to be whole
// up to where their successor says that they ended.
func (r *recovery) readSegment(all []opened, i int) error {
	o, last := all[i], i == len(all)-1
	file, err := r.fs.Open(o.path)
	if err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	defer func() {
		if r.file != file {
			file.Close()
		}
	}()
	if int64(cap(r.buf)) < o.head.size {
		r.buf = make([]byte, o.head.size)
	}
	data := r.buf[:o.head.size]
	if err := readFull(file, data, o.path); err != nil {
		return err
	}

	// 1. The head, which repeats what is known from the segments before it.
	r.segments = append(r.segments, segment{number: o.head.number, size: o.head.size})
	if o.head.state != nil || i > 0 {
		r.state = o.head.state
	}
	if i > 0 && (o.header.seq != r.seq || o.head.base != r.base || o.head.last != r.last || !bytes.Equal(o.head.state, r.state)) {
		return &CorruptError{File: o.path, Reason: "the head of the segment does not go on where the one before it ended"}
	}
	r.salt, r.previous, r.seq = o.header.payloadCheck, o.header.headerCheck, o.header.seq+1
	r.pos = int64(frameSize(o.header.length))
	r.durable = r.pos
	r.sealed = true

	// 2. The frames.
	end := o.head.size
	if !last {
		if end = all[i+1].head.previousEnd; end < r.pos || end > o.head.size {
			return &CorruptError{File: all[i+1].path, Reason: "the head of the segment says that the one before it ended where it cannot have"}
		}
	}
	bad, err := r.readFrames(o, data[:end], last)
	if err != nil {
		return err
	}

	// 3. What comes after them.
	switch {
	case last:
		r.file = file
		return r.repairTail(o, data, bad)
	case bad != nil:
		return &CorruptError{File: o.path, Offset: r.pos, Reason: bad.reason}
	case r.previous != all[i+1].head.previousCheck:
		return &CorruptError{File: o.path, Offset: r.pos, Reason: "its last frame is not the one that the next segment follows"}
	case i == len(all)-2:
		return r.repairNext(file, data, all[i+1].head.number)
	}
	return nil
}

// readFrames reads frames from pos on until data ends or one does not check.
func (r *recovery) readFrames(o opened, data []byte, last bool) (*damage, error) {
	for r.pos < int64(len(data)) {
		h, payload, bad := r.frame(data[r.pos:])
		if bad != nil {
			return bad, nil
		}
		if len(payload) > 0 && payload[0] == kindNext {
			if !last || len(payload) != nextBytes {
				return &damage{reason: "the frame that ends a segment is in the middle of it", sure: true}, nil
			}
			return nil, &CorruptError{
				File:   filepath.Join(r.dir, segmentName(le.Uint64(payload[8:]))),
				Reason: fmt.Sprintf("the file is missing: %s says at byte %d that the log goes on there", o.path, r.pos),
			}
		}
		if err := r.replay(payload); err != nil {
			return nil, &CorruptError{File: o.path, Offset: r.pos, Reason: err.Error()}
		}
		r.durable = max(r.durable, h.durable)
		r.pos += int64(frameSize(h.length))
		r.previous, r.seq = h.headerCheck, r.seq+1
		r.sealed = h.length == 0
	}
	return nil, nil
}

// frame reads the frame at the start of p, which lies at pos.
func (r *recovery) frame(p []byte) (h header, payload []byte, bad *damage) {
	h, ok := parseHeader(p, r.salt)
	switch {
	case !ok:
		return h, nil, &damage{reason: "no frame begins here"}
	case frameSize(h.length) > len(p):
		return h, nil, &damage{reason: "the frame here reaches past the end of the segment", sure: true}
	case h.seq != r.seq:
		return h, nil, &damage{reason: fmt.Sprintf("the frame here has number %d, not %d", h.seq, r.seq), sure: true}
	case h.durable > r.pos:
		return h, nil, &damage{reason: "the frame here says that bytes after it were durable before it was written", sure: true}
	case planted.On(planted.FrameUnchecked):
	case crc32.Update(r.previous, castagnoli, p[headerBytes:frameSize(h.length)]) != h.payloadCheck:
		return h, nil, &damage{reason: "the frame here does not check, or does not follow the one before it", sure: h.length == 0}
	}
	return h, p[headerBytes : headerBytes+h.length], nil
}

// replay does what a frame says.
func (r *recovery) replay(payload []byte) error {
	if len(payload) == 0 || payload[0] == kindFill {
		return nil
	}
	if payload[0] != kindBatch {
		return fmt.Errorf("the frame here has kind %d, which this program does not know", payload[0])
	}
	b, reset, err := decodeBatch(payload)
	if err != nil {
		return err
	}
	if m := b.Mark; m != (Mark{}) {
		if m.Index < r.base.Index || (!reset && m.Index > r.last) {
			return fmt.Errorf("the mark here is at %d, the log goes from %d to %d", m.Index, r.base.Index, r.last)
		}
	}
	if reset {
		r.entries = nil
	}
	if len(b.Entries) > 0 {
		base, last, first := r.base.Index, r.last, b.Entries[0].Index
		if b.Mark != (Mark{}) {
			base = b.Mark.Index
		}
		if reset {
			last = base
		}
		if first <= base || first > last+1 {
			return fmt.Errorf("the entries here begin at %d, the log goes from %d to %d", first, base, last)
		}
		if n := len(r.entries); n > 0 {
			r.entries = r.entries[:max(first, r.entries[0].Index)-r.entries[0].Index]
		}
		r.entries = append(r.entries, b.Entries...)
		active := &r.segments[len(r.segments)-1]
		active.max = max(active.max, b.Entries[len(b.Entries)-1].Index)
	}
	r.apply(&b, reset)
	return nil
}

// repairTail decides what the end of the last segment is, corruption or a
// write that a crash interrupted, and clears away the latter.
func (r *recovery) repairTail(o opened, data []byte, bad *damage) error {
	if bad == nil {
		bad = &damage{reason: "the segment is full to its end", sure: true}
	}
	rest := bytes.TrimRight(data[r.pos:], "\x00")
	if len(rest) > 0 {
		if bad.sure {
			return &CorruptError{File: o.path, Offset: r.pos, Reason: bad.reason}
		}
		if at, durable := r.search(data); durable > r.pos && !planted.On(planted.DurableOffsetIgnored) {
			return &CorruptError{File: o.path, Offset: r.pos,
				Reason: fmt.Sprintf("%s, and the frame at byte %d says that the log was durable up to byte %d", bad.reason, at, durable)}
		}
	}
	if n := len(rest); n > 0 && !planted.On(planted.TornTailLeft) {
		r.torn = int64(n)
		clear(data[r.pos : r.pos+int64(n)])
	}
	// What was read may be in memory only, even where an earlier process
	// synced it without success: so it is written again before it is synced.
	if again := data[r.durable : r.pos+int64(len(rest))]; len(again) > 0 {
		if _, err := r.file.WriteAt(again, r.durable); err != nil {
			return fmt.Errorf("wal: repair the end of %s: %w", o.path, err)
		}
	}
	r.stats.Syncs++
	if err := r.file.Sync(); err != nil {
		return fmt.Errorf("wal: repair the end of %s: %w", o.path, err)
	}
	r.durable = r.pos
	return nil
}

// search looks past pos for a frame header that shows how much was durable.
func (r *recovery) search(data []byte) (at, durable int64) {
	magic := le.AppendUint32(nil, frameMagic)
	for off := r.pos + frameAlign; off < int64(len(data)); off += frameAlign {
		i := bytes.Index(data[off:], magic)
		if i < 0 {
			break
		}
		if off += int64(i); off%frameAlign != 0 {
			off = off / frameAlign * frameAlign
			continue
		}
		if h, ok := parseHeader(data[off:], r.salt); ok && h.durable <= off && h.durable > durable {
			at, durable = off, h.durable
		}
	}
	return at, durable
}

// repairNext writes the frame that ends the last segment but one, when a crash
// came before it was durable.
func (r *recovery) repairNext(file disk.File, data []byte, next uint64) error {
	if h, payload, bad := r.frame(data[r.pos:]); bad == nil && h.length == nextBytes && payload[0] == kindNext && le.Uint64(payload[8:]) == next {
		return nil
	}
	if r.pos+tailRoom > int64(len(data)) {
		return nil
	}
	active := r.file
	defer func() { r.file = active }()
	r.file = file
	return r.writeNext(next)
}

// readFull reads all of p from the start of the file.
func readFull(file disk.File, p []byte, path string) error {
	n, err := file.ReadAt(p, 0)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("wal: read %s: %d of %d bytes: %w", path, n, len(p), err)
}
