package cell

import (
	"slices"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/sessions"
)

// How the leader counts time.
const (
	// maxGap is the longest gap between two turns that counts: a longer one is a
	// pause of this process, in which it could not hear anybody, or a jump of its
	// clock.
	maxGap = 100 * time.Millisecond
	// slowGaps is how many such gaps within slowTime are not counted at all: who
	// is late so often is slow, and each further one counts as maxGap, or its
	// sessions would never end.
	slowGaps = 4
	slowTime = 5 * time.Second
	// maxStall is for how long an entry may be under way until time stands
	// still: a leader that cannot commit cannot say that time has passed.
	maxStall = 250 * time.Millisecond

	minInterval = 50 * time.Millisecond
	maxInterval = 500 * time.Millisecond
	// maxHeard is how many keep-alives one entry tells of: some 20 bytes each, it
	// stays far below what an entry may have.
	maxHeard = 16384

	// idleInterval is for cells where nothing but the history grows old.
	idleInterval = 10 * time.Second
)

// ticker is the leader's account of time and of whom it heard. It is nobody's
// state but the leader's: a new leader starts with an empty one.
type ticker struct {
	running  bool
	last     time.Duration // of the last turn
	elapsed  time.Duration // counted, not proposed yet
	proposed time.Duration // when the last entry was
	heard    map[sessions.ID]uint64
	under    []underway // entries proposed and not yet applied
	ids      []sessions.ID
	gaps     []time.Duration // when the latest of the long gaps ended, slowGaps at most
}

type underway struct {
	at      time.Duration
	elapsed time.Duration
}

// start begins to count from nothing.
func (t *ticker) start() { *t = ticker{heard: map[sessions.ID]uint64{}} }

// hear notes keep-alive n of a session.
func (t *ticker) hear(id sessions.ID, n uint64) { note(t.heard, id, n) }

// turn counts the time since the last turn.
func (t *ticker) turn(now time.Duration) {
	if !t.running {
		t.running, t.last, t.proposed = true, now, now
		return
	}
	gap := max(now-t.last, 0)
	if gap > maxGap && !planted.On(planted.PauseCounted) {
		gap = t.long(now)
	}
	t.last = max(t.last, now)
	if len(t.under) > 0 && now-t.under[0].at > maxStall && !planted.On(planted.StallCounted) {
		return
	}
	t.elapsed += gap
}

// long takes notice of a gap longer than maxGap, and returns how much of it
// counts.
func (t *ticker) long(now time.Duration) time.Duration {
	var counts time.Duration
	if len(t.gaps) == slowGaps {
		if now-t.gaps[0] < slowTime {
			counts = maxGap
		}
		t.gaps = append(t.gaps[:0], t.gaps[1:]...)
	}
	t.gaps = append(t.gaps, now)
	return counts
}

// due says whether an entry has to be proposed for the sake of time alone.
func (t *ticker) due(now time.Duration, m *machine.Machine) bool {
	next, timers := m.NextDue()
	if !timers && len(t.heard) == 0 {
		return m.Aging() && now-t.proposed >= idleInterval
	}
	interval := min(max(time.Duration(m.ShortestTTL())*time.Microsecond/10, minInterval), maxInterval)
	if len(t.under) == 0 && now-t.proposed >= interval {
		return true
	}
	if !timers {
		return false
	}
	coming := m.Now()
	for _, u := range t.under {
		coming += micros(u.elapsed)
	}
	return next > coming && next <= coming+micros(t.elapsed)
}

// header takes what was counted, and as many as fit of those that were heard,
// into the header of an entry.
func (t *ticker) header(now time.Duration, millis int64) machine.Header {
	h := machine.Header{Millis: millis, Elapsed: min(micros(t.elapsed), machine.MaxElapsed)}
	t.ids = t.ids[:0]
	for id := range t.heard {
		t.ids = append(t.ids, id)
	}
	slices.Sort(t.ids)
	for _, id := range t.ids[:min(len(t.ids), maxHeard)] {
		h.Heard = append(h.Heard, machine.Heard{Session: id, Number: t.heard[id]})
		delete(t.heard, id)
	}
	t.under = append(t.under, underway{now, t.elapsed})
	t.elapsed, t.proposed = 0, now
	return h
}

// dropped notes that the newest entry will not be in the log. The time that it
// told of is lost, which harms nobody.
func (t *ticker) dropped() {
	if len(t.under) > 0 {
		t.under = t.under[:len(t.under)-1]
	}
}

// applied notes that the oldest entry under way was applied.
func (t *ticker) applied() {
	if len(t.under) > 0 {
		t.under = append(t.under[:0], t.under[1:]...)
	}
}

func micros(d time.Duration) sessions.Duration { return sessions.Duration(d / time.Microsecond) }
