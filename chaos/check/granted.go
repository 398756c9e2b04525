package check

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// last is when something of a session may have been heard at the latest.
func (s *Session) last() Time {
	if s.Died != 0 {
		return s.Died
	}
	return s.Safe
}

// lastOf are the sessions that nobody closed, with all that is known of each.
func lastOf(h *History) map[uint64]*Session {
	out := map[uint64]*Session{}
	for _, s := range h.Sessions {
		known := out[s.ID]
		if known == nil {
			out[s.ID] = &s
			continue
		}
		known.Safe, known.Closed = max(known.Safe, s.Safe), max(known.Closed, s.Closed)
		if known.Died == 0 || s.Died != 0 && s.Died < known.Died {
			known.Died = s.Died
		}
	}
	maps.DeleteFunc(out, func(_ uint64, s *Session) bool { return s.Closed != 0 || s.TTL == 0 })
	return out
}

func inOrderOf(m map[uint64]*Session) []*Session {
	return slices.SortedFunc(maps.Values(m), func(a, b *Session) int { return cmp.Compare(a.ID, b.ID) })
}

// left is when somebody stopped waiting for a claim.
func (o *Operation) left() Time {
	if o.Outcome == Unknown {
		return o.Left
	}
	return o.Return
}

// grantedAfterDeath looks at who waited for an exclusive lock, or a lead, of a
// session that was left: somebody has been granted it in time, as all see who ask
// for anything later, and is told of it in time when nothing is wrong.
// The longest delay that anybody has asked for of the lock comes on top.
//
// A lock that is claimed together with others may be kept from those who wait by
// who holds another one, and is not looked at.
func grantedAfterDeath(h *History, r *reporter) {
	if h.Promptness == nil || h.AuditFrom == 0 {
		return
	}
	d, seen := newDeadlines(h.Promptness), readSeen(h)
	l, lives := readLedger(h, nothing), lastOf(h)
	type thing struct {
		space Space
		name  string
	}
	claims, together, delay := map[thing][]*Operation{}, map[thing]bool{}, map[thing]time.Duration{}
	asked := h.requests()
	for i := range asked {
		o := &asked[i]
		space := OfLocks
		switch o.Kind {
		case Campaign:
			space = OfElections
		case Acquire:
		default:
			continue
		}
		for _, x := range o.Claim {
			n := thing{space, x.Name}
			together[n] = together[n] || len(o.Claim) > 1
			claims[n], delay[n] = append(claims[n], o), max(delay[n], o.Delay)
		}
	}
	for _, t := range l.list {
		s := lives[t.session]
		n := thing{t.space, t.names[0]}
		if s == nil || len(t.names) > 1 || t.mode != Exclusive || together[n] || t.to != 0 && t.ended != "expired" {
			continue
		}
		next := l.next(t)
		for _, o := range claims[n] {
			heir := o.granted() && o.Token == next.token
			if o.Session == t.session || o.left() < s.last() || o.granted() && !heir && t.to != 0 && o.Revision <= t.to {
				continue // it did not wait for that
			}
			due, clean, ok := d.due(max(s.last(), o.Invoke), s.TTL+d.Election+delay[n], s.Client, o.Client)
			if !ok || !heir && o.left() <= due || !clean && !(heir && next.from == t.to) {
				continue // it did not wait until then, or may not have got as far as the queue
			}
			found := seen.after(due)
			if found == never || next.token == 0 && found > h.AuditTo {
				continue
			}
			r.judge(heirsWaited)
			if found < next.from {
				r.fail("session %d of %s (TTL %v), which held %q with token %d, was left at %v, and nobody was granted it by %v (revision %d is the newest then, 0 for never: %d): %v",
					s.ID, s.Client, s.TTL, n.name, t.token, s.last(), due, found, next.from, o)
			}
			if !clean || !heir {
				continue
			}
			if o.Return > due {
				r.fail("session %d of %s (TTL %v), which held %q with token %d, was left at %v, and with nothing wrong the next was told by %v: %v",
					s.ID, s.Client, s.TTL, n.name, t.token, s.last(), due, o)
			}
		}
	}
}

// next is the grant that follows another one, of an exclusive lock or a lead;
// its revision is never when there is none.
func (l *ledger) next(t *tenure) tenure {
	out := tenure{from: never}
	for _, x := range l.byName[t.names[0]] {
		if x.space == t.space && x.from > t.from && x.from < out.from {
			out = *x
		}
	}
	return out
}
