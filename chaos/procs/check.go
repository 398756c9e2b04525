//go:build linux

package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// byName sorts grants by their locks; one of several locks stands at each.
func byName(grants []grant) map[string][]grant {
	out := map[string][]grant{}
	for _, g := range grants {
		for _, n := range g.Names {
			out[n] = append(out[n], g)
		}
	}
	return out
}

func sortedNames[V any](m map[string]V) []string {
	var out []string
	for n := range m {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// checkBeliefs: no two clients believe in one lock at the same moment, unless
// both hold it shared.
func checkBeliefs(grants []grant) []string {
	var out []string
	all := byName(grants)
	for _, name := range sortedNames(all) {
		list := all[name]
		slices.SortFunc(list, func(a, b grant) int { return cmp.Compare(a.From, b.From) })
		var last [2]*grant // exclusive and shared: whose belief lasts longest
		for i := range list {
			g := &list[i]
			for _, other := range last {
				if other != nil && g.From < other.To && !(g.Shared && other.Shared) {
					out = append(out, fmt.Sprintf("mutual exclusion: %s (token %d) believed in lock %q from %v on, %s (token %d) until %v",
						g.Client, g.Token, name, g.From, other.Client, other.Token, other.To))
				}
			}
			kind := 0
			if g.Shared {
				kind = 1
			}
			if last[kind] == nil || g.To > last[kind].To {
				last[kind] = g
			}
		}
	}
	return out
}

// checkTokens: a token is granted once, tokens rise with the revisions of the
// cell, and a grant that had returned before another was asked for has the
// smaller one.
func checkTokens(grants []grant) []string {
	var out []string
	byRevision := slices.Clone(grants)
	slices.SortFunc(byRevision, func(a, b grant) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Token, b.Token))
	})
	for i := 1; i < len(byRevision); i++ {
		if a, b := byRevision[i-1], byRevision[i]; b.Token <= a.Token {
			out = append(out, fmt.Sprintf("tokens: %v got token %d at revision %d, and %v got %d at revision %d",
				a.Names, a.Token, a.Revision, b.Names, b.Token, b.Revision))
		}
	}
	asked := slices.Clone(grants)
	slices.SortFunc(asked, func(a, b grant) int { return cmp.Compare(a.Asked, b.Asked) })
	returned := slices.Clone(grants)
	slices.SortFunc(returned, func(a, b grant) int { return cmp.Compare(a.From, b.From) })
	var highest grant
	n := 0
	for _, g := range asked {
		for ; n < len(returned) && returned[n].From < g.Asked; n++ {
			if returned[n].Token > highest.Token {
				highest = returned[n]
			}
		}
		if n > 0 && g.Token <= highest.Token {
			out = append(out, fmt.Sprintf("tokens: %s asked for %v after %s had been granted %v with token %d, and got %d",
				g.Client, g.Names, highest.Client, highest.Names, highest.Token, g.Token))
		}
	}
	return out
}

// checkHistory: every grant that a client was told stands in the history that
// the cell tells of the lock, with its session and revision, and every release
// that was acknowledged ended it there. exclusive says that the tenures of that
// lock must not overlap.
func checkHistory(name string, grants []grant, told sdk.History, exclusive bool) []string {
	var out []string
	tenures := map[sdk.Token]sdk.Tenure{}
	for _, t := range told.Tenures {
		if _, twice := tenures[t.Token]; twice {
			out = append(out, fmt.Sprintf("history of %q: token %d stands twice", name, t.Token))
		}
		tenures[t.Token] = t
	}
	oldest := told.Revision + 1 // what is told begins there
	for _, t := range told.Tenures {
		oldest = min(oldest, t.FromRevision)
	}
	for _, g := range grants {
		t, ok := tenures[g.Token]
		switch {
		case !ok && (g.Revision <= told.CompactedRevision || g.Revision < oldest):
		case !ok:
			out = append(out, fmt.Sprintf("history of %q: nothing of token %d, granted to %s at revision %d", name, g.Token, g.Client, g.Revision))
		case t.Session != g.Session || t.FromRevision != g.Revision:
			out = append(out, fmt.Sprintf("history of %q: token %d was granted to session %d at revision %d, and %s was told session %d and revision %d",
				name, g.Token, t.Session, t.FromRevision, g.Client, g.Session, g.Revision))
		case g.Released && t.Ended != sdk.ReasonReleased:
			out = append(out, fmt.Sprintf("history of %q: the release of token %d was acknowledged to %s, and its tenure is told to have ended as %q",
				name, g.Token, g.Client, t.Ended))
		}
	}
	if !exclusive {
		return out
	}
	list := slices.Clone(told.Tenures)
	slices.SortFunc(list, func(a, b sdk.Tenure) int { return cmp.Compare(a.FromRevision, b.FromRevision) })
	for i := 1; i < len(list); i++ {
		if a, b := list[i-1], list[i]; a.ToRevision == 0 || a.ToRevision > b.FromRevision {
			out = append(out, fmt.Sprintf("history of %q: token %d was held from revision %d to %d, and token %d from %d on",
				name, a.Token, a.FromRevision, a.ToRevision, b.Token, b.FromRevision))
		}
	}
	return out
}

// outage is a time in which a node, or a client, cannot do what it should.
type outage struct {
	what   string
	nodes  []string
	client string
	cell   bool // it may hold up everybody, as a leader does whose packets are lost
	from   instant
	to     instant // 0: it lasts
}

func (o *outage) during(from, to instant) bool { return o.from < to && (o.to == 0 || o.to > from) }

// shortTTL is below which a session is excused by any fault: a change of the
// leader alone may take as long as it lives.
const shortTTL = 4 * time.Second

// settling is how long after a fault its consequences may last.
const settling = 3 * time.Second

// checkLosses: no session is lost while a majority of the nodes and its client
// do what they should, all the time in which it might have been kept alive.
func checkLosses(losses []loss, outages []outage, nodes int) []string {
	var out []string
	for _, l := range losses {
		if !excused(l, outages, nodes) {
			out = append(out, fmt.Sprintf("session %d of %s (TTL %v) was lost after %v for no reason: %s", l.Session, l.Client, l.TTL, l.At, l.Reason))
		}
	}
	return out
}

func excused(l loss, outages []outage, nodes int) bool {
	from, to := l.At-l.TTL-settling, l.At
	var edges []instant
	for i := range outages {
		o := &outages[i]
		end := o.to
		if end != 0 {
			end += settling
		}
		if (&outage{from: o.from, to: end}).during(from, to) {
			if o.cell || o.client == l.Client || l.TTL < shortTTL && o.client == "" || l.Pinned != "" && (slices.Contains(o.nodes, l.Pinned) || len(o.nodes) == 0 && o.client == "") {
				return true
			}
			edges = append(edges, max(from, o.from))
		}
	}
	for _, t := range edges { // impairment is at its worst right after a fault has begun
		hurt := map[string]bool{}
		for i := range outages {
			o := &outages[i]
			if o.from <= t && (o.to == 0 || o.to+settling > t) {
				for _, n := range o.nodes {
					hurt[n] = true
				}
			}
		}
		if nodes-len(hurt) <= nodes/2 {
			return true
		}
	}
	return false
}
