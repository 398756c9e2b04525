package check

// notForEver: who asks anything after a session had to be over finds the revision
// at which it had ended. Only what was asked for after that moment proves
// anything, so nobody's delay in writing down is held against the cell.
func notForEver(h *History, r *reporter) {
	if h.Promptness == nil || h.AuditFrom == 0 {
		return
	}
	d, seen := newDeadlines(h.Promptness), readSeen(h)
	l := readLedger(h, nothing)
	over, lives := sessionsOver(h, l), lastOf(h)
	for _, s := range inOrderOf(lives) {
		end, ended := over[s.ID]
		if !ended {
			if !l.has(h, s.ID) {
				continue // it had nothing by which its end could be told
			}
			end = never
		}
		due, _, ok := d.due(s.last(), s.TTL, s.Client)
		if !ok {
			continue
		}
		found := seen.after(due)
		if found == never || !ended && found > h.AuditTo {
			continue // nobody looked
		}
		r.judge(sessionsLeft)
		if found < end {
			r.fail("session %d of %s (TTL %v) was left at %v and had to be over by %v, and revision %d was the newest after that: it ended at revision %d (0: never)",
				s.ID, s.Client, s.TTL, s.last(), due, found, over[s.ID])
		}
	}
}

// has says whether a session has something at the end of the audit.
func (l *ledger) has(h *History, session uint64) bool {
	for _, t := range l.list {
		if t.session == session && t.to == 0 {
			return true
		}
	}
	owned := map[string]uint64{}
	for i := range h.Audit {
		if c := &h.Audit[i]; c.Space == OfKeys {
			owned[c.Record.Key] = 0
			if !c.Deleted {
				owned[c.Record.Key] = c.Record.Session
			}
		}
	}
	for _, s := range owned {
		if s == session {
			return true
		}
	}
	return false
}
