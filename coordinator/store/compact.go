package store

import (
	"fmt"

	"github.com/conch-lock/conch/internal/planted"
)

// sweepChunks is how many chunks one step of compaction drops at most, so that
// no entry waits long for it. Closing a chunk is a step too: dropping keeps up
// with growing.
const sweepChunks = 2

// Compact forgets how things were before revision rev. Reads at and watches
// from rev and later ones still work. What can be dropped goes by and by, in
// the steps of AutoCompact. ErrCompacted: rev is not above Compacted;
// ErrFuture: rev is above Revision. Nothing has happened then.
func (t *Tx) Compact(rev uint64) error {
	s := t.s
	switch {
	case rev <= s.compacted:
		return fmt.Errorf("compact to revision %d: %w: it is compacted to revision %d already", rev, ErrCompacted, s.compacted)
	case rev > s.revision:
		return fmt.Errorf("compact to revision %d: %w: the newest is %d", rev, ErrFuture, s.revision)
	}
	s.compacted = rev
	t.sweep(rev)
	return nil
}

// historyPart is which part of the quota history may fill. A record that changes
// often weighs much more there than it does itself, above all a lock with many
// holders, each change of which tells all of them; without a bound of its own
// history would refuse what makes the state grow, until it is old enough.
const historyPart = 4

// AutoCompact moves the compacted revision ahead by age, by count and by size and
// drops up to two chunks below it. The machine calls it after every entry with the
// cell's wall time in milliseconds since 1970, not within a revision; the end
// of a chunk calls it too.
func (t *Tx) AutoCompact(nowMillis int64) {
	s, h := t.s, &t.s.history
	upTo, size := s.compacted, h.bytes
	for i := 0; i < len(h.closed) && i < sweepChunks; i++ {
		following := h.following(i)
		tooMany := following <= s.revision && s.revision-following+1 >= s.options.KeepRevisions
		tooOld := h.closed[i].millis <= nowMillis-s.options.KeepMillis
		// Not the newest one: watches follow on it, and one huge revision is not many.
		tooLarge := s.options.QuotaBytes > 0 && size > s.options.QuotaBytes/historyPart && i+1 < len(h.closed)
		if !tooMany && !tooOld && !tooLarge {
			break
		}
		size -= h.closed[i].bytes
		// With age goes even the newest chunk: else a store that one huge last
		// revision has filled would stay full, as nothing may follow it.
		upTo = max(upTo, following)
		s.compacted = max(s.compacted, min(following, s.revision))
	}
	t.sweep(upTo)
}

// following is the first revision after the i-th closed chunk.
func (h *history) following(i int) uint64 {
	if i+1 < len(h.closed) {
		return h.closed[i+1].first
	}
	return h.first
}

// oldest is the first revision of the chunks that are kept.
func (h *history) oldest() uint64 {
	if len(h.closed) > 0 {
		return h.closed[0].first
	}
	return h.first
}

// sweep drops chunks that lie wholly below the revision upTo.
func (t *Tx) sweep(upTo uint64) {
	s, h := t.s, &t.s.history
	for range sweepChunks {
		if len(h.closed) == 0 || h.following(0) > upTo && !planted.On(planted.CompactedTooFar) {
			return
		}
		t.dispose(s.chunk(0))
		s.unset(chunkKey(h.closed[0].first))
		h.bytes -= h.closed[0].bytes
		h.closed = h.closed[1:]
	}
}

// dispose removes the records whose last change is in the chunk and which mean
// no more than their absence.
func (t *Tx) dispose(r eventReader) {
	s := t.s
	if s.options.Disposable == nil {
		return
	}
	var e Event
	for r.next(&e) {
		if e.Deleted || e.Space == Keys || !s.options.Disposable(e.Space, e.Record) {
			continue
		}
		now, ok := s.Get(e.Space, e.Record.Key)
		if ok && now.Mod == e.Record.Mod && now.Version == e.Record.Version {
			s.unset(recordKey(e.Space, e.Record.Key))
			s.records[e.Space]--
		}
	}
}
