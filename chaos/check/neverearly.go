package check

import "time"

// allowance is how much of a difference is not held against anybody: reading
// the clock and writing down takes time.
const allowance = 5 * time.Millisecond

// neverEarly: when a session expired, its client could not rely on it any more.
// An ending is told after it happened, so what is told too early has happened
// too early.
func neverEarly(h *History, r *reporter) {
	sessions := map[uint64]*Session{}
	for i := range h.Sessions {
		s := &h.Sessions[i]
		sessions[s.ID] = s
	}
	for _, e := range h.Endings {
		if s := sessions[e.Session]; s != nil && e.Why == "expired" && e.At < s.Safe-allowance {
			r.fail("session %d of %s (TTL %v) had expired by %v, and its client could rely on it until %v", s.ID, s.Client, s.TTL, e.At, s.Safe)
		}
	}
}
