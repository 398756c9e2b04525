package check

// deadSessions: a session is over at the revision in which it ended, for all
// that comes in that revision or later. When it ended is told by endings, by
// tenures that ended with their session, and by keys that did.
func deadSessions(h *History, r *reporter) {
	l := readLedger(h, nothing)
	over := sessionsOver(h, l)
	for _, t := range l.list {
		at, dead := over[t.session]
		if dead {
			r.judge(deadHolds)
		}
		if dead && t.from >= at {
			r.fail("revision %d: %q was granted with token %d to session %d, which ended at revision %d", t.from, t.names, t.token, t.session, at)
		}
		if dead && (t.to == 0 && h.AuditTo >= at || t.to > at) {
			r.fail("session %d ended at revision %d, and its hold of %q with token %d did not (revision %d)", t.session, at, t.names, t.token, t.to)
		}
	}
	owned := map[string]Record{}
	for i := range h.Audit {
		c := &h.Audit[i]
		if c.Space != OfKeys {
			continue
		}
		if c.Deleted {
			delete(owned, c.Record.Key)
			continue
		}
		owned[c.Record.Key] = c.Record
		at, dead := over[c.Record.Session]
		if !dead || c.Record.Session == 0 {
			continue
		}
		r.judge(deadKeys)
		if c.Revision >= at {
			r.fail("revision %d: key %q was given to session %d, which ended at revision %d", c.Revision, c.Record.Key, c.Record.Session, at)
		}
	}
	for key, rec := range owned {
		if at, dead := over[rec.Session]; dead && rec.Session != 0 && h.AuditTo >= at && rec.Mod < at {
			r.fail("session %d ended at revision %d, and its key %q was not deleted", rec.Session, at, key)
		}
	}
}

// withSession says whether a tenure that ended so ended with its session.
func withSession(why string) bool { return why == "expired" || why == "closed" || why == "ended" }

// sessionsOver are the revisions by which sessions had ended, as far as anything
// tells of it.
func sessionsOver(h *History, l *ledger) map[uint64]uint64 {
	over := map[uint64]uint64{}
	ends := func(session, revision uint64) {
		if at, ok := over[session]; revision != 0 && (!ok || revision < at) {
			over[session] = revision
		}
	}
	for _, e := range h.Endings {
		ends(e.Session, e.Revision)
	}
	for gone, owner := range goneWithSessions(h) {
		ends(owner, gone.revision)
	}
	for _, t := range l.list {
		if withSession(t.ended) {
			ends(t.session, t.to)
		}
	}
	return over
}
