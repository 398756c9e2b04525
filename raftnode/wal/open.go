package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/conch-lock/conch/raftnode/disk"
)

// Open opens the log in dir, or makes dir and a log when there is none. The
// errors are disk.ErrLocked when another process has the log, a *CorruptError,
// ErrIdentity, ErrInvalid for options out of bounds, ErrNoSpace when a log
// cannot be made, and those of the disk. What Open returns is durable.
func Open(fsys disk.FS, dir string, o Options) (*Log, Contents, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	if o.SegmentBytes < MinSegment || o.SegmentBytes > MaxSegment {
		return nil, Contents{}, fmt.Errorf("%w: segments of %d bytes, allowed are %d to %d", ErrInvalid, o.SegmentBytes, MinSegment, MaxSegment)
	}
	l := &Log{
		fs: fsys, dir: dir, identity: o.Identity,
		segmentBytes: (o.SegmentBytes + frameAlign - 1) / frameAlign * frameAlign,
		background:   o.Background,
		span:         span{first: 1},
		seq:          1,
	}
	if l.background == nil {
		l.background = func(work func()) { work() }
	}
	found, err := l.open()
	if err != nil {
		l.abandon()
		return nil, Contents{}, err
	}
	return l, found, nil
}

func (l *Log) open() (Contents, error) {
	if err := l.fs.MkdirAll(l.dir); err != nil {
		return Contents{}, fmt.Errorf("wal: %w", err)
	}
	lock, err := l.fs.Lock(filepath.Join(l.dir, lockName))
	if err != nil {
		return Contents{}, fmt.Errorf("wal: %w", err)
	}
	l.lock = lock

	numbers, err := l.list()
	if err != nil {
		return Contents{}, err
	}
	if len(numbers) == 0 {
		if err := l.rotate(0); err != nil {
			// Half a segment helps nobody on a full disk.
			if isNoSpace(err) && l.next.file != nil {
				l.dropPrepared()
				l.fs.Remove(l.preparedPath())
			}
			return Contents{}, err
		}
		return Contents{New: true}, nil
	}
	r := &recovery{Log: l}
	if err := r.run(numbers); err != nil {
		return Contents{}, err
	}
	c := Contents{Base: l.base.Index, BaseTerm: l.base.Term, Entries: r.entries, Torn: r.torn}
	if l.state != nil {
		c.State = append([]byte{}, l.state...)
	}
	return c, nil
}

// list returns the numbers of the segments, and removes what was prepared for
// the next one.
func (l *Log) list() ([]uint64, error) {
	names, err := l.fs.List(l.dir)
	if err != nil {
		return nil, fmt.Errorf("wal: %w", err)
	}
	var numbers []uint64
	for _, name := range names {
		if name == preparedName {
			if err := l.fs.Remove(filepath.Join(l.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("wal: %w", err)
			}
		}
		if number, ok := parseSegmentName(name); ok {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	for i := 1; i < len(numbers); i++ {
		if missing := numbers[i-1] + 1; missing != numbers[i] {
			return nil, &CorruptError{File: filepath.Join(l.dir, segmentName(missing)), Reason: "the file is missing, though files before and after it are there"}
		}
	}
	return numbers, nil
}
