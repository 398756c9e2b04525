package check

import "fmt"

// tenure is one grant in the audit, from the revision that began it to the one
// that ended it.
type tenure struct {
	space   Space // OfLocks or OfElections
	token   uint64
	session uint64
	names   []string
	item    map[string]Holder // by name, with the permits
	mode    Mode
	from    uint64
	to      uint64 // 0: it has not ended
	ended   string // why, as far as it was told
	term    uint64 // of a leader
	value   string // the first that it proclaimed
}

// fits says why holders may not hold a lock together; empty: they may.
func fits(l *Lock) string {
	switch l.Mode {
	case Exclusive, "":
		if len(l.Holders) > 1 {
			return fmt.Sprintf("%d exclusive holders", len(l.Holders))
		}
	case Shared:
	case Permits:
		sum := 0
		for _, h := range l.Holders {
			if h.Permits < 1 {
				return fmt.Sprintf("session %d holds %d permits", h.Session, h.Permits)
			}
			sum += h.Permits
		}
		if sum > l.Capacity {
			return fmt.Sprintf("%d permits are held of %d", sum, l.Capacity)
		}
	default:
		return fmt.Sprintf("mode %q", l.Mode)
	}
	return ""
}

// ledger is every tenure that the audit tells of.
type ledger struct {
	byToken map[uint64]*tenure
	byName  map[string][]*tenure // in the order of their beginning
	list    []*tenure            // so, too
}

// read makes the ledger, and reports with bad what cannot be one.
func readLedger(h *History, bad func(format string, args ...any)) *ledger {
	l := &ledger{byToken: map[uint64]*tenure{}, byName: map[string][]*tenure{}}
	held := map[string]map[uint64]bool{} // by lock, who holds it
	leads := map[string]uint64{}         // by election, the token of its leader
	for i := range h.Audit {
		c := &h.Audit[i]
		name := c.Record.Key
		switch {
		case c.Space == OfLocks:
			now := map[uint64]bool{}
			var lock Lock
			if c.Lock != nil && !c.Deleted {
				lock = *c.Lock
			}
			for _, x := range lock.Holders {
				if now[x.Token] {
					bad("revision %d: lock %q is held twice with token %d", c.Revision, name, x.Token)
				}
				now[x.Token] = true
				if held[name][x.Token] {
					l.goesOn(c, name, x, bad)
				} else {
					l.begin(c, name, x, lock.Mode, bad)
				}
			}
			for token := range held[name] {
				if !now[token] {
					l.end(token, c.Revision, reasonOf(lock.Ended, token))
				}
			}
			held[name] = now
		case c.Space == OfElections:
			var e Election
			if c.Election != nil && !c.Deleted {
				e = *c.Election
			}
			token := uint64(0)
			if e.Leader != nil {
				token = e.Leader.Token
			}
			if was := leads[name]; was != 0 && was != token {
				why := ""
				if e.Last != nil && e.Last.Token == was {
					why = e.Last.Ended
				}
				l.end(was, c.Revision, why)
			}
			if token != 0 && leads[name] != token {
				l.begin(c, name, Holder{Session: e.Leader.Session, Token: token}, Exclusive, bad)
				if t := l.byToken[token]; t != nil {
					t.term, t.value = e.Term, e.Leader.Value
				}
			}
			leads[name] = token
		}
	}
	return l
}

func reasonOf(ended []Tenure, token uint64) string {
	for _, t := range ended {
		if t.Token == token {
			return t.Ended
		}
	}
	return ""
}

// begin takes a holder that was none before. One grant may be of several locks,
// all in one revision.
func (l *ledger) begin(c *Change, name string, x Holder, mode Mode, bad func(string, ...any)) {
	if mode == "" {
		mode = Exclusive
	}
	t := l.byToken[x.Token]
	if t == nil {
		t = &tenure{space: c.Space, token: x.Token, session: x.Session, mode: mode, from: c.Revision, item: map[string]Holder{}}
		l.byToken[x.Token] = t
		l.list = append(l.list, t)
	} else if t.from != c.Revision || t.session != x.Session || t.space != c.Space {
		bad("token %d was granted to session %d at revision %d, and again, of %q, to session %d at revision %d",
			x.Token, t.session, t.from, name, x.Session, c.Revision)
		return
	}
	t.names = append(t.names, name)
	t.item[name] = x
	l.byName[name] = append(l.byName[name], t)
}

// goesOn takes a holder that was one before.
func (l *ledger) goesOn(c *Change, name string, x Holder, bad func(string, ...any)) {
	t := l.byToken[x.Token]
	if t == nil {
		return // it was bad before
	}
	if was := t.item[name]; was != x {
		bad("revision %d: the hold %+v of lock %q has become %+v", c.Revision, was, name, x)
	}
}

func (l *ledger) end(token, revision uint64, why string) {
	if t := l.byToken[token]; t != nil && t.to == 0 {
		t.to = revision
		if why != "" {
			t.ended = why
		}
	}
}

// nothing is for who reads the ledger after another checker has judged it.
func nothing(string, ...any) {}
