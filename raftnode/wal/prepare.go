package wal

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/raftnode/disk"
)

const (
	preparedName = "next.tmp"

	// prepareStep is how much of the next segment is prepared at once: about a
	// millisecond on a disk that writes 250 MB/s.
	prepareStep = 256 << 10

	// prepareRetry is how far the log grows on a full disk before it tries
	// again to prepare.
	prepareRetry = 64 << 10
)

// prepared is the file that becomes the next segment.
type prepared struct {
	file disk.File
	size int64 // zeros written and synced
	step *step // under way; nil: none. Nobody else touches the file meanwhile
}

// step makes the file longer.
type step struct {
	file  disk.File
	zeros []byte
	from  int64
	size  int64 // that the file is to have

	begun  atomic.Bool // somebody has taken it upon himself
	result chan stepped
}

// stepped is the end of a step.
type stepped struct {
	err     error
	unknown bool // what the file holds: the disk failed to sync
}

// run is for who has begun it.
func (s *step) run() (r stepped) {
	for at := s.from; at < s.size; {
		n := min(int64(len(s.zeros)), s.size-at)
		if _, err := s.file.WriteAt(s.zeros[:n], at); err != nil {
			return stepped{err: err}
		}
		at += n
	}
	err := s.file.Sync()
	return stepped{err, err != nil}
}

// take makes whoever asks the one to run the step, or to leave it; false when
// somebody else does.
func (s *step) take() bool { return s.begun.CompareAndSwap(false, true) }

// prepareAhead has the next segment brought one step further, beside the
// appends, when it lags behind how full the active one is. A full disk is noted
// and is no error yet.
func (l *Log) prepareAhead() error {
	if err := l.noted(l.collect()); err != nil {
		return err
	}
	if l.next.step != nil || l.next.size >= min(l.segmentBytes, l.pos+prepareStep) || l.noSpace && l.stats.Written < l.retryAt {
		return nil
	}
	s, err := l.begin(min(l.segmentBytes, l.next.size+prepareStep))
	if err != nil {
		return l.noted(err)
	}
	l.background(func() {
		if s.take() {
			s.result <- s.run()
		}
	})
	return l.noted(l.collect())
}

// Prepared takes in what became of work in the background, if it has ended, so
// that a disk that failed is known before the next append. An error is final, as
// in Append.
func (l *Log) Prepared() error {
	if l.err == nil && !planted.On(planted.PreparationUnwatched) {
		l.err = l.noted(l.collect())
	}
	return l.err
}

// noted turns the failure of a step for want of room into another try later.
func (l *Log) noted(err error) error {
	if !isNoSpace(err) {
		return err
	}
	l.noSpace, l.retryAt = true, l.stats.Written+prepareRetry
	return nil
}

// prepare gives the next segment size bytes now. When that fails for want of
// room, the log is as before.
func (l *Log) prepare(size int64) error {
	if err := l.noted(l.wait()); err != nil {
		return err
	}
	if l.next.size >= size {
		return nil
	}
	if _, err := l.begin(size); err != nil {
		return err
	}
	return l.wait()
}

// begin plans a step to a size, for somebody to take.
func (l *Log) begin(size int64) (*step, error) {
	if l.next.file == nil {
		file, err := l.fs.Create(l.preparedPath())
		if err != nil {
			return nil, fmt.Errorf("wal: prepare a segment: %w", err)
		}
		l.next = prepared{file: file}
	}
	if l.zeros == nil {
		l.zeros = make([]byte, min(prepareStep, l.segmentBytes))
	}
	l.next.step = &step{file: l.next.file, zeros: l.zeros, from: l.next.size, size: size, result: make(chan stepped, 1)}
	return l.next.step, nil
}

// wait ends the step under way: here, if nobody has begun it.
func (l *Log) wait() error {
	s := l.next.step
	switch {
	case s == nil:
		return nil
	case s.take():
		return l.ended(s, s.run())
	}
	return l.ended(s, <-s.result)
}

// collect takes in the step under way if it has ended.
func (l *Log) collect() error {
	s := l.next.step
	if s == nil {
		return nil
	}
	select {
	case r := <-s.result:
		return l.ended(s, r)
	default:
		return nil
	}
}

// ended takes in how a step ended.
func (l *Log) ended(s *step, r stepped) error {
	l.next.step = nil
	l.stats.Syncs++
	if r.err == nil {
		l.next.size, l.noSpace = s.size, false
		return nil
	}
	err := fmt.Errorf("wal: prepare a segment: %w", r.err)
	if !r.unknown || !isNoSpace(err) {
		return err
	}
	// A full disk may show only when it syncs, and what the file holds is not
	// known any more. It is given up, and the log lives.
	l.next = prepared{}
	return errors.Join(err, s.file.Close(), l.fs.Remove(l.preparedPath()))
}

// dropPrepared closes the file, and waits for who has begun a step of it.
func (l *Log) dropPrepared() error {
	if s := l.next.step; s != nil && !s.take() {
		<-s.result
	}
	if l.next.file == nil {
		return nil
	}
	err := l.next.file.Close()
	l.next = prepared{}
	return err
}

func (l *Log) preparedPath() string { return filepath.Join(l.dir, preparedName) }

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
