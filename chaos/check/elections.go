package check

// elections replays the records of every election: a new leader has the next
// term and is told how the one before ended; any other change leaves the term.
func elections(h *History, r *reporter) {
	type life struct {
		create uint64
		e      Election
	}
	now := map[string]*life{}
	for i := range h.Audit {
		c := &h.Audit[i]
		if c.Space != OfElections {
			continue
		}
		name, was := c.Record.Key, now[c.Record.Key]
		if c.Deleted || c.Election == nil {
			if was != nil && was.e.Leader != nil {
				r.fail("revision %d: election %q was forgotten while session %d led it", c.Revision, name, was.e.Leader.Session)
			}
			delete(now, name)
			continue
		}
		e := *c.Election
		now[name] = &life{c.Record.Create, e}
		if e.Leader != nil && e.Leader.Token != e.Token {
			r.fail("revision %d: election %q has token %d, and its leader token %d", c.Revision, name, e.Token, e.Leader.Token)
		}
		if was != nil && was.create != c.Record.Create && was.e.Leader == nil {
			was = nil // nobody led it for so long that it was forgotten
		}
		if was == nil {
			if e.Term != 1 || e.Leader == nil || c.Record.Create != c.Revision {
				r.fail("revision %d: election %q begins with term %d, leader %+v, created at revision %d", c.Revision, name, e.Term, e.Leader, c.Record.Create)
			}
			continue
		}
		before := was.e
		if c.Record.Create != was.create {
			r.fail("revision %d: election %q was created at revision %d, and before at revision %d", c.Revision, name, c.Record.Create, was.create)
		}
		switch {
		case e.Leader == nil:
			if e.Term != before.Term || e.Token != before.Token || before.Leader == nil {
				r.fail("revision %d: election %q is vacant, with term %d and token %d after %+v", c.Revision, name, e.Term, e.Token, before)
			}
			endedAs(c, name, &before, &e, r)
		case before.Leader != nil && before.Leader.Token == e.Leader.Token:
			r.judge(leadersStayed)
			if e.Term != before.Term || e.Leader.Session != before.Leader.Session || e.Leader.Since != before.Leader.Since {
				r.fail("revision %d: the leader of election %q was %+v in term %d and is %+v in term %d", c.Revision, name, *before.Leader, before.Term, *e.Leader, e.Term)
			}
		default:
			r.judge(leadersAfter)
			if e.Term != before.Term+1 || e.Token <= before.Token || e.Leader.Since != c.Revision {
				r.fail("revision %d: after term %d (token %d) election %q has term %d (token %d), led since revision %d",
					c.Revision, before.Term, before.Token, name, e.Term, e.Token, e.Leader.Since)
			}
			endedAs(c, name, &before, &e, r)
		}
	}
}

// endedAs: who comes after a leader is told of that one.
func endedAs(c *Change, name string, before, e *Election, r *reporter) {
	if before.Leader == nil || e.Last == nil {
		return
	}
	if l := *before.Leader; e.Last.Token != l.Token || e.Last.Session != l.Session || e.Last.Value != l.Value || e.Last.Ended == "" {
		r.fail("revision %d: the leader of election %q was %+v, and the next one is told of %+v", c.Revision, name, l, *e.Last)
	}
}
