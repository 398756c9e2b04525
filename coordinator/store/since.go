package store

import (
	"fmt"

	"github.com/conch-lock/conch/internal/planted"
)

// Since returns the events of the revisions from..., whole revisions only, and
// the revision to go on from. It stops before the revision with which it would
// return more than maxEvents events or maxBytes bytes of keys and values
// (before-images included), but returns at least one revision when there is
// one. From a revision that has not happened yet there are no events and next
// is from. ErrCompacted: from is below WatchableFrom.
func (s *Store) Since(from uint64, maxEvents, maxBytes int) (events []Event, next uint64, err error) {
	if kept := s.WatchableFrom(); from < kept {
		return nil, 0, fmt.Errorf("events since revision %d: %w: they are kept from revision %d on", from, ErrCompacted, kept)
	}
	if from > s.revision {
		return nil, from, nil
	}
	bytes, whole := 0, 0 // whole: how many events the finished revisions have
	s.replay(from, func(e *Event) bool {
		if len(events) > 0 && e.Revision() != events[len(events)-1].Revision() {
			whole = len(events)
		}
		bytes += len(e.Record.Key) + len(e.Record.Value) + len(e.Prev.Value)
		if whole > 0 && (len(events) >= maxEvents || bytes > maxBytes) {
			events = events[:whole]
			next = events[whole-1].Revision() + 1
			if planted.On(planted.HistoryHasGaps) {
				next++
			}
			return false
		}
		events = append(events, *e)
		return true
	})
	if next == 0 {
		next = s.revision + 1
	}
	return events, next, nil
}

// WatchableFrom is the oldest revision that Since takes: Compacted, or, when
// even the newest revision has been dropped for its age, the one after it.
func (s *Store) WatchableFrom() uint64 {
	if oldest := s.history.oldest(); oldest > 2 {
		return max(s.compacted, oldest)
	}
	return s.compacted
}
