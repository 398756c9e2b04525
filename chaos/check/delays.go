package check

import (
	"slices"
	"time"
)

// soonest is how little of a delay may have passed: the clock of a leader may run a
// tenth fast, nobody can tell a jump of less than 100 ms from time that passed, and
// the delay counts from when the end was asked for, which may have been on its way
// into the log for up to 400 ms since.
func soonest(delay time.Duration) time.Duration { return delay - delay/10 - 500*time.Millisecond }

// delays: when a grant with a delay ends otherwise than by release, its locks are
// granted to nobody for so long. It ended after the last request was made that was
// answered at a revision before that, and the next one was granted before the first
// answer that knew of it: if even that is too short, it was granted too early.
func delays(h *History, r *reporter) {
	if h.AuditFrom == 0 {
		return
	}
	l, seen := readLedger(h, nothing), readSeen(h)
	for _, o := range h.requests() {
		t := l.byToken[o.Token]
		if !o.granted() || o.Kind != Acquire || o.Delay == 0 || t == nil || t.to == 0 || t.ended == "" || t.ended == "released" {
			continue
		}
		ended, ok := seen.since(t.to)
		if !ok || soonest(o.Delay) <= 0 {
			continue
		}
		for _, name := range t.names {
			list := l.byName[name]
			i := slices.IndexFunc(list, func(x *tenure) bool { return x.space == OfLocks && x.token != t.token && x.from >= t.to })
			if i < 0 {
				continue
			}
			r.judge(delaysKept)
			if granted := seen.by(list[i].from); granted-ended < soonest(o.Delay) {
				r.fail("%q was granted with token %d at revision %d by %v, and after %v the grant before ended (%s) at revision %d, which is to keep everybody out for %v: %v",
					name, list[i].token, list[i].from, granted, ended, t.ended, t.to, o.Delay, &o)
			}
		}
	}
}

// since is the last moment at which a request was made that was answered at a
// revision before this one: it came after that.
func (s *seen) since(revision uint64) (Time, bool) {
	i, _ := slices.BinarySearch(s.lowest, revision)
	if i == 0 {
		return 0, false
	}
	return s.invokes[i-1], true
}

// by is when this revision, or a later one, had been seen first.
func (s *seen) by(revision uint64) Time {
	i, _ := slices.BinarySearch(s.highest, revision)
	if i == len(s.highest) {
		return Forever
	}
	return s.returns[i]
}
