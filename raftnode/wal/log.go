package wal

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/raftnode/disk"
)

// maxSpareBuffer is how large a buffer is kept from one append to the next.
const maxSpareBuffer = 4 << 20

// Log is an open log. One goroutine owns it: no method is safe for use by
// several at once. An append allocates nothing once its buffer has grown.
type Log struct {
	fs           disk.FS
	dir          string
	segmentBytes int64
	identity     uint64
	lock         io.Closer
	err          error // the first error, or ErrClosed; nothing is done after it

	span // what the log covers

	segments []segment // oldest first; the last is the active one
	next     prepared

	file     disk.File // of the active segment
	pos      int64     // end of its frames
	durable  int64     // up to here it is known durable
	salt     uint32    // of its header checks
	previous uint32    // header check of the last frame
	seq      uint64    // of the next frame
	sealed   bool      // the last frame says that all before it is durable

	buf        []byte
	zeros      []byte
	background func(work func())
	noSpace    bool
	retryAt    uint64 // value of stats.Written
	stats      Stats
}

// Append logs a batch as one frame, durable on return when it asks for Sync.
// The batch is not kept. Any error is final: whether the batch is in the log is
// then unknown (with ErrInvalid and ErrNoSpace it is not), every later call
// returns the same error, and all that is left to do is to close the log, stop,
// and open it again. In particular a failed sync is never tried again.
func (l *Log) Append(b Batch) error {
	if l.err == nil {
		l.err = l.append(&b)
	}
	return l.err
}

func (l *Log) append(b *Batch) error {
	reset, err := l.check(b)
	if err != nil {
		return err
	}
	if b.State == nil && b.Mark == (Mark{}) && len(b.Entries) == 0 {
		if b.Sync {
			return l.sync()
		}
		return nil
	}
	frame := b.encode(append(l.buf[:0], make([]byte, headerBytes)...), reset)
	payload := len(frame) - headerBytes
	frame = pad(frame)
	if l.buf = frame; cap(frame) > maxSpareBuffer {
		l.buf = nil
	}
	if err := l.room(len(frame)); err != nil {
		return err
	}
	l.chain(frame, payload)
	if err := l.write(frame, b.Sync); err != nil {
		return err
	}
	l.apply(b, reset)
	if n := len(b.Entries); n > 0 {
		active := &l.segments[len(l.segments)-1]
		active.max = max(active.max, b.Entries[n-1].Index)
	}
	return l.prepareAhead()
}

// room sees to it that the active segment has room for n bytes, with a new one if
// need be.
func (l *Log) room(n int) error {
	if l.pos+int64(n)+tailRoom <= l.segments[len(l.segments)-1].size {
		return nil
	}
	return l.rotate(n)
}

// chain makes a frame the last one of the log.
func (l *Log) chain(frame []byte, payload int) {
	h := sealFrame(frame, payload, l.salt, l.previous, l.seq, l.durable)
	l.pos += int64(len(frame))
	l.previous, l.seq = h.headerCheck, l.seq+1
	l.sealed = false
	l.stats.Frames++
	l.stats.Written += uint64(len(frame))
}

// write puts the frames that were chained last where they belong.
func (l *Log) write(frames []byte, sync bool) error {
	from := l.pos - int64(len(frames))
	if sync && from == l.durable && !careless() {
		l.stats.Syncs++
		return l.synced(disk.WriteSync(l.file, frames, from))
	}
	if _, err := l.file.WriteAt(frames, from); err != nil {
		return fmt.Errorf("wal: append: %w", err)
	}
	if sync {
		return l.sync()
	}
	return nil
}

// sync makes all frames durable.
func (l *Log) sync() error {
	if l.pos == l.durable {
		return nil
	}
	if careless() {
		l.durable = l.pos
		return nil
	}
	l.stats.Syncs++
	return l.synced(l.file.Sync())
}

// careless is never true: it is a bug to plant.
func careless() bool { return planted.On(planted.LogNotSynced) }

// synced takes in how making everything durable ended.
func (l *Log) synced(err error) error {
	if err != nil && !planted.On(planted.SyncErrorIgnored) {
		return fmt.Errorf("wal: the disk failed to sync, what it holds is unknown: %w", err)
	}
	l.durable = l.pos
	return nil
}

// Mark records, durably, that a snapshot at index, whose entry has term, is
// durable. When the log ends before index, or has an entry of another term
// there, the snapshot came from elsewhere: all entries are dropped and the next
// one is index+1. A mark never goes back. A hard state that belongs to the
// snapshot can be logged in the same frame with Batch.Mark.
func (l *Log) Mark(index, term uint64) error {
	return l.Append(Batch{Mark: Mark{Index: index, Term: term}, Sync: true})
}

// Release removes the segments that hold only entries at or below index, or at
// or below the mark if that is less. The active segment stays. An error is
// final, as in Append.
func (l *Log) Release(index uint64) error {
	if l.err == nil {
		l.err = l.release(min(index, l.base.Index))
	}
	return l.err
}

func (l *Log) release(index uint64) error {
	for len(l.segments) > 1 && l.segments[0].max <= index {
		// A mark or an entry that allows the removal may not be durable yet.
		if err := l.sync(); err != nil {
			return err
		}
		// One after the other, so that a crash leaves no gap.
		path := filepath.Join(l.dir, segmentName(l.segments[0].number))
		if err := l.fs.Remove(path); err != nil {
			return fmt.Errorf("wal: release: %w", err)
		}
		if err := l.fs.SyncDir(l.dir); err != nil {
			return fmt.Errorf("wal: release %s: %w", path, err)
		}
		if held := l.segments[0].max; held > 0 {
			l.span.release(held + 1)
		}
		l.segments = append(l.segments[:0], l.segments[1:]...)
	}
	return nil
}

// Seal makes everything durable and then says so in the log, so that damage of
// the last batch too is told from a torn write; call it when nothing was
// appended for a moment. It writes at most 544 bytes, in two frames: the second
// lies in a sector that holds nothing else of the log, so that no lost sector
// takes both the last batch and the proof that it was there. Without anything
// appended since the last Seal it does nothing, save try again to prepare the
// next segment when the disk was full. An error is final, as in Append.
func (l *Log) Seal() error {
	if l.err == nil {
		l.err = l.seal()
	}
	return l.err
}

func (l *Log) seal() error {
	if l.noSpace {
		l.retryAt = 0
		if err := l.prepareAhead(); err != nil {
			return err
		}
	}
	if l.sealed {
		return nil
	}
	if err := l.sync(); err != nil {
		return err
	}
	if l.pos+disk.SectorBytes+headerBytes+tailRoom > l.segments[len(l.segments)-1].size {
		// The head of a new segment says it as well. On a full disk the proof
		// has to wait; what is durable is so without it.
		if err := l.rotate(0); !errors.Is(err, ErrNoSpace) {
			return err
		}
		return nil
	}
	fill := -headerBytes // no first frame
	if used := l.pos % disk.SectorBytes; used > 0 {
		fill = max(0, disk.SectorBytes-int(used)-headerBytes)
	}
	frames := make([]byte, headerBytes+fill+headerBytes)
	if fill >= 0 {
		l.chain(frames[:headerBytes+fill], fill)
	}
	l.chain(frames[headerBytes+fill:], 0)
	if err := l.write(frames, true); err != nil {
		return err
	}
	l.sealed = true
	return l.prepareAhead()
}

// Stats counts what the log did and holds.
func (l *Log) Stats() Stats {
	s := l.stats
	s.First, s.Last, s.Base = l.first, l.last, l.base.Index
	s.Segments = len(l.segments)
	s.Bytes, s.Used, s.NoSpace = l.next.size, l.pos, l.noSpace
	for i := range l.segments {
		s.Bytes += l.segments[i].size
	}
	return s
}

// Close makes the log durable, unless an error came before, and gives it back.
// The methods return ErrClosed from then on.
func (l *Log) Close() error {
	if errors.Is(l.err, ErrClosed) {
		return ErrClosed
	}
	var err error
	if l.err == nil {
		err = l.sync()
	}
	l.err = ErrClosed
	return errors.Join(err, l.abandon())
}

// abandon closes what is open.
func (l *Log) abandon() error {
	errs := []error{l.dropPrepared()}
	if l.file != nil {
		errs = append(errs, l.file.Close())
	}
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
	}
	return errors.Join(errs...)
}
