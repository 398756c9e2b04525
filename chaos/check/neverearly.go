package check

import (
	"cmp"
	"slices"
	"time"
)

// allowance is how much of a difference is not held against anybody: reading
// the clock and writing down takes time.
const allowance = 5 * time.Millisecond

// neverEarly: when a session expired, its client could not rely on it any more.
// An ending is told after it happened, so what is told too early has happened
// too early. Everybody who was told counts, the first of them.
//
// That a session expired is said by the end of a lock or of a lead. A key that
// goes with its session says that the session ended, and not why: it must not go
// before the session's client could not rely on it, or asked to close it.
func neverEarly(h *History, r *reporter) {
	sessions := map[uint64]Session{}
	for _, s := range h.Sessions {
		known, again := sessions[s.ID]
		if again {
			s.Safe = max(s.Safe, known.Safe)
			if s.Closed == 0 || known.Closed != 0 && known.Closed < s.Closed {
				s.Closed = known.Closed
			}
		}
		sessions[s.ID] = s
	}
	for _, e := range endings(h) {
		s, known := sessions[e.Session]
		if !known {
			continue
		}
		switch {
		case e.Why == goneWithSession:
			r.judge(expiredKeys)
			if e.At < s.Safe-allowance && (s.Closed == 0 || e.At < s.Closed-allowance) {
				r.fail("session %d of %s (TTL %v) had ended with its keys by %v, its client could rely on it until %v, and had not closed it (%v)",
					s.ID, s.Client, s.TTL, e.At, s.Safe, s.Closed)
			}
		case e.Why == "expired":
			r.judge(map[Space]string{OfLocks: expiredLocks, OfElections: expiredLeaders, "": expiredLocks}[e.of])
			if e.At < s.Safe-allowance {
				r.fail("session %d of %s (TTL %v) had expired by %v, and its client could rely on it until %v", s.ID, s.Client, s.TTL, e.At, s.Safe)
			}
		}
	}
}

// goneWithSession is why a session ended of which a key is gone.
const goneWithSession = "gone"

// ending is one of a session, as it was told by what it had.
type ending struct {
	Ending
	of Space // empty: by none of them
}

// endings are those of the history, and those that are told by the locks, leads
// and keys of sessions: of each session and kind the one that was told first.
func endings(h *History) []ending {
	type name struct {
		session uint64
		of      Space
	}
	first := map[name]ending{}
	add := func(e ending) {
		n := name{e.Session, e.of}
		if was, again := first[n]; !again || e.At < was.At {
			first[n] = e
		}
	}
	var out []ending
	for _, e := range h.Endings {
		out = append(out, ending{Ending: e})
	}
	gone := goneWithSessions(h)
	expired := func(t *Tenure, of Space, c *Change, at Time) {
		if t.Ended == "expired" {
			add(ending{Ending{Session: t.Session, Why: t.Ended, At: at, Revision: c.Revision}, of})
		}
	}
	for i := range h.Watches {
		for _, d := range h.Watches[i].Deliveries {
			for j := range d.Changes {
				c := &d.Changes[j]
				switch {
				case c.Space == OfLocks && c.Lock != nil:
					for k := range c.Lock.Ended {
						expired(&c.Lock.Ended[k], OfLocks, c, d.At)
					}
				case c.Space == OfElections && c.Election != nil && c.Election.Last != nil:
					expired(c.Election.Last, OfElections, c, d.At)
				case c.Space == OfKeys && c.Deleted:
					if owner := gone[revised{c.Revision, c.Record.Key}]; owner != 0 {
						add(ending{Ending{Session: owner, Why: goneWithSession, At: d.At, Revision: c.Revision}, OfKeys})
					}
				}
			}
		}
	}
	for _, e := range first {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b ending) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Session, b.Session), cmp.Compare(a.of, b.of))
	})
	return out
}

type revised struct {
	revision uint64
	key      string
}

// goneWithSessions are the owned keys that were deleted, with their owners, but
// for those that a transaction deleted or may have.
func goneWithSessions(h *History) map[revised]uint64 {
	done := map[revised]bool{}
	var perhaps []KeyOp
	for i := range h.Operations {
		o := &h.Operations[i]
		if o.Kind != Keys || o.Txn == nil || o.Outcome == Refused {
			continue
		}
		for _, list := range [][]KeyOp{o.Txn.Then, o.Txn.Else} {
			for _, x := range list {
				switch {
				case x.Action != Delete:
				case o.Outcome == Done && o.Revision != 0 && x.End == "":
					done[revised{o.Revision, x.Key}] = true
				default:
					perhaps = append(perhaps, x)
				}
			}
		}
	}
	out, owner := map[revised]uint64{}, map[string]uint64{}
	for i := range h.Audit {
		c := &h.Audit[i]
		if c.Space != OfKeys {
			continue
		}
		key := c.Record.Key
		if !c.Deleted {
			owner[key] = c.Record.Session
			continue
		}
		was := owner[key]
		delete(owner, key)
		if was == 0 || done[revised{c.Revision, key}] || slices.ContainsFunc(perhaps, func(x KeyOp) bool { return within(key, x.Key, x.End) }) {
			continue
		}
		out[revised{c.Revision, key}] = was
	}
	return out
}
