package wal

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/conch-lock/conch/internal/planted"
)

const (
	segmentSuffix = ".wal"
	lockName      = "LOCK"
)

// segment is a file of the log.
type segment struct {
	number uint64
	size   int64
	max    uint64 // highest index of an entry in it; 0: none
}

func segmentName(number uint64) string {
	return fmt.Sprintf("%016x%s", number, segmentSuffix)
}

// parseSegmentName returns the number in a name; ok when the name is one that
// segmentName makes.
func parseSegmentName(name string) (number uint64, ok bool) {
	hex, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok {
		return 0, false
	}
	number, err := strconv.ParseUint(hex, 16, 64)
	return number, err == nil && number > 0 && segmentName(number) == name
}

// rotate makes the prepared segment the active one, with room for a frame of
// need bytes. The order matters: a segment that has its name is whole, and a
// segment that lacks its successor says so.
func (l *Log) rotate(need int) error {
	// 1. All of the old segment is durable.
	if err := l.sync(); err != nil {
		return err
	}

	// 2. The next one has its full size.
	size := max(l.segmentBytes, int64(maxHead+need+tailRoom+frameAlign-1)/frameAlign*frameAlign)
	if err := l.prepare(size); err != nil {
		if isNoSpace(err) {
			l.noSpace = true
			err = fmt.Errorf("%w of %d bytes; nothing of the batch was written, free some and start again: %w", ErrNoSpace, size, err)
		}
		return err
	}
	size = l.next.size

	// 3. It begins with a head, and is durable under its name.
	h := head{
		number: 1, size: size, identity: l.identity,
		previousEnd: l.pos, previousCheck: l.previous,
		base: l.base, last: l.last, state: l.state,
	}
	if n := len(l.segments); n > 0 {
		h.number = l.segments[n-1].number + 1
	}
	frame := h.encode(make([]byte, headerBytes, maxHead))
	payload := len(frame) - headerBytes
	frame = pad(frame)
	first := sealFrame(frame, payload, 0, 0, l.seq, 0)
	path := filepath.Join(l.dir, segmentName(h.number))
	if _, err := l.next.file.WriteAt(frame, 0); err != nil {
		return fmt.Errorf("wal: begin segment %s: %w", path, err)
	}
	l.stats.Syncs++
	if err := l.next.file.Sync(); err != nil {
		return fmt.Errorf("wal: begin segment %s: %w", path, err)
	}
	if err := l.fs.Rename(l.preparedPath(), path); err != nil {
		return fmt.Errorf("wal: begin segment %s: %w", path, err)
	}
	syncDir := l.fs.SyncDir
	if planted.On(planted.LogNameNotSynced) {
		syncDir = func(string) error { return nil }
	}
	if err := syncDir(l.dir); err != nil {
		return fmt.Errorf("wal: begin segment %s: %w", path, err)
	}
	// A handle keeps the name it was opened with, and errors would show that.
	file, err := l.fs.Open(path)
	if err != nil {
		return fmt.Errorf("wal: begin segment %s: %w", path, err)
	}
	err = l.next.file.Close()
	l.next = prepared{file: file}
	if err != nil {
		return fmt.Errorf("wal: begin segment %s: %w", path, err)
	}

	// 4. The old one says that it has a successor, before anything is logged
	// there.
	if l.file != nil {
		if err := l.writeNext(h.number); err != nil {
			return err
		}
		if err := l.file.Close(); err != nil {
			return fmt.Errorf("wal: close a full segment: %w", err)
		}
	}

	// 5. The new one is the active one.
	l.segments = append(l.segments, segment{number: h.number, size: size})
	l.file, l.next = l.next.file, prepared{}
	l.pos, l.durable = int64(len(frame)), int64(len(frame))
	l.salt, l.previous, l.seq = first.payloadCheck, first.headerCheck, l.seq+1
	l.sealed = true
	l.stats.Frames++
	l.stats.Written += uint64(len(frame))
	return nil
}

// writeNext ends the active segment with the frame that names its successor.
// It is no part of the chain that goes on in the successor.
func (l *Log) writeNext(number uint64) error {
	var frame [headerBytes + nextBytes]byte
	frame[headerBytes] = kindNext
	le.PutUint64(frame[headerBytes+8:], number)
	sealFrame(frame[:], nextBytes, l.salt, l.previous, l.seq, l.pos)
	if _, err := l.file.WriteAt(frame[:], l.pos); err != nil {
		return fmt.Errorf("wal: end a full segment: %w", err)
	}
	l.stats.Syncs++
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("wal: end a full segment: %w", err)
	}
	return nil
}

// pad adds zeros up to the end of a frame.
func pad(frame []byte) []byte {
	for len(frame)%frameAlign != 0 {
		frame = append(frame, 0)
	}
	return frame
}
