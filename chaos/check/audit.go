package check

// audit looks whether the audit can be one: revisions without a hole, and the
// revisions and version of each record as its changes make them.
func audit(h *History, r *reporter) {
	if h.AuditFrom == 0 {
		return
	}
	type name struct {
		space Space
		key   string
	}
	now := map[name]*Change{}
	next := h.AuditFrom
	for i := range h.Audit {
		c := &h.Audit[i]
		r.judge(changesReplayed)
		switch {
		case c.Revision > next || c.Revision+1 < next || i == 0 && c.Revision != next:
			r.fail("revision %d comes where revision %d was to come", c.Revision, next)
		}
		next = c.Revision + 1
		n := name{c.Space, c.Record.Key}
		was := now[n]
		if was != nil && was.Deleted {
			was = nil
		}
		if was != nil && was.Revision == c.Revision && c.Space != OfKeys {
			r.fail("revision %d changes %s %q twice", c.Revision, c.Space, c.Record.Key)
		}
		now[n] = c
		rec := c.Record
		if rec.Mod != c.Revision {
			r.fail("revision %d: the record of %s %q says that it was changed at revision %d", c.Revision, c.Space, rec.Key, rec.Mod)
		}
		switch {
		case c.Deleted && was == nil:
			r.fail("revision %d: %s %q was deleted and was not there", c.Revision, c.Space, rec.Key)
		case c.Deleted:
		case was != nil && rec.Create == was.Record.Create:
			if rec.Version != was.Record.Version+1 {
				r.fail("revision %d: version %d of %s %q comes after version %d", c.Revision, rec.Version, c.Space, rec.Key, was.Record.Version)
			}
		case rec.Create != c.Revision || rec.Version != 1:
			r.fail("revision %d: %s %q begins with version %d, created at revision %d", c.Revision, c.Space, rec.Key, rec.Version, rec.Create)
		case was != nil && !was.forgettable():
			r.fail("revision %d: %s %q was created anew, and was there", c.Revision, c.Space, rec.Key)
		}
	}
	if next != h.AuditTo+1 {
		r.fail("it ends with revision %d, and was to end with revision %d", next-1, h.AuditTo)
	}
}

// forgettable says whether a record may be gone without a change: that of a lock
// which nobody holds, or of an election which nobody leads.
func (c *Change) forgettable() bool {
	switch c.Space {
	case OfLocks:
		return c.Lock == nil || len(c.Lock.Holders) == 0
	case OfElections:
		return c.Election == nil || c.Election.Leader == nil
	}
	return false
}
