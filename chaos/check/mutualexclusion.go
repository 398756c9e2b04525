package check

// mutualExclusion replays the holders of every lock.
//
// That a claim of several locks begins and ends on all of them in one revision
// belongs here too: otherwise somebody else could hold one of them beside it.
func mutualExclusion(h *History, r *reporter) {
	for i := range h.Audit {
		c := &h.Audit[i]
		if c.Space == OfLocks && c.Lock != nil && !c.Deleted {
			r.judge(locksChanged)
			if len(c.Lock.Holders) > 1 {
				r.judge(holdersBeside)
			}
			if why := fits(c.Lock); why != "" {
				r.fail("revision %d, lock %q: %s: %+v", c.Revision, c.Record.Key, why, c.Lock.Holders)
			}
		}
	}
	l := readLedger(h, r.fail)
	wholes(h, l, r)
}

// wholes: a grant of several locks holds all of them from its beginning to its end.
func wholes(h *History, l *ledger, r *reporter) {
	held := map[string]map[uint64]bool{}
	at := func(name string) map[uint64]bool {
		if held[name] == nil {
			held[name] = map[uint64]bool{}
		}
		return held[name]
	}
	for i := 0; i < len(h.Audit); {
		rev := h.Audit[i].Revision
		touched := map[uint64]bool{}
		for ; i < len(h.Audit) && h.Audit[i].Revision == rev; i++ {
			c := &h.Audit[i]
			if c.Space != OfLocks {
				continue
			}
			now := at(c.Record.Key)
			for token := range now {
				touched[token] = true
			}
			clear(now)
			if c.Lock != nil && !c.Deleted {
				for _, x := range c.Lock.Holders {
					now[x.Token], touched[x.Token] = true, true
				}
			}
		}
		for token := range touched {
			t := l.byToken[token]
			if t == nil || len(t.names) < 2 {
				continue
			}
			r.judge(severalLocks)
			n := 0
			for _, name := range t.names {
				if at(name)[token] {
					n++
				}
			}
			if n != 0 && n != len(t.names) {
				r.fail("revision %d: of the %d locks %q that token %d was granted, %d are held", rev, len(t.names), t.names, token, n)
			}
		}
	}
}
