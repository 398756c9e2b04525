//go:build linux

package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/sdk"
)

// acquired are the grants that clients were told, by lock, and the tokens whose
// release was acknowledged.
type acquired struct {
	byName   map[string][]check.Operation
	released map[uint64]bool
}

func acquiredIn(ops []check.Operation) acquired {
	out := acquired{map[string][]check.Operation{}, map[uint64]bool{}}
	for _, o := range ops {
		switch {
		case o.Outcome != check.Done:
		case o.Kind == check.Acquire:
			for _, x := range o.Claim {
				out.byName[x.Name] = append(out.byName[x.Name], o)
			}
		case o.Kind == check.Release:
			out.released[o.Token] = true
		}
	}
	return out
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// checkHistory: every grant that a client was told stands in the history that
// the cell tells of the lock, with its session and revision, and every release
// that was acknowledged ended it there. exclusive says that the tenures of that
// lock must not overlap.
func checkHistory(name string, grants acquired, told sdk.History, exclusive bool) []string {
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
	for _, g := range grants.byName[name] {
		t, ok := tenures[sdk.Token(g.Token)]
		switch {
		case !ok && (g.Revision <= told.CompactedRevision || g.Revision < oldest):
		case !ok:
			out = append(out, fmt.Sprintf("history of %q: nothing of token %d, granted to %s at revision %d", name, g.Token, g.Client, g.Revision))
		case uint64(t.Session) != g.Session || t.FromRevision != g.Revision:
			out = append(out, fmt.Sprintf("history of %q: token %d was granted to session %d at revision %d, and %s was told session %d and revision %d",
				name, g.Token, t.Session, t.FromRevision, g.Client, g.Session, g.Revision))
		case grants.released[g.Token] && t.Ended != sdk.ReasonReleased:
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

// shortTTL is below which a session is excused by any fault: a change of the
// leader alone may take as long as it lives.
const shortTTL = 4 * time.Second

// settling is how long after a fault its consequences may last.
const settling = 3 * time.Second

// takeover is how long a change of the leader may take that nobody is told of:
// one who still leads gives up after at most 1.2 s, and the others ask for an
// election at most 1.2 s after that; both at the worst is too rare to wait for.
const takeover = 2200 * time.Millisecond

// spare is for how long nothing may get through until a session is lost: its
// client gives it up after nine tenths of the time to live, and at the worst the
// next keep-alive was due a third of it after the last one that was answered.
func spare(ttl time.Duration) time.Duration { return ttl*9/10 - ttl/3 }

// checkLosses: no session is lost while a majority of the nodes and its client
// do what they should, all the time in which it might have been kept alive. It
// tells, too, how many losses there were a reason for, by the reason.
// Moments, in which something waited for the machine, excuse nothing: what they took
// together is told of a session that was lost for no reason.
func checkLosses(losses []loss, outages, moments []outage, nodes int) (out []string, reasons map[string]int) {
	var faults []outage
	for _, o := range outages {
		if !o.stall {
			faults = append(faults, o)
		}
	}
	reasons = map[string]int{}
	for _, l := range losses {
		switch {
		case excused(l, faults, nodes):
			reasons["faults"]++
		case excused(l, outages, nodes):
			reasons["the machine, beside faults"]++
		default:
			held := stalled(within(l.At-l.TTL, l.At, outages, moments), l.At-l.TTL, l.At)
			out = append(out, fmt.Sprintf("session %d of %s (TTL %v) was lost after %v for no reason, with the machine held up for %v of its time: %s",
				l.Session, l.Client, l.TTL, l.At, held.Round(time.Millisecond), l.Reason))
		}
	}
	return out, reasons
}

// within is what of several lists was during a time.
func within(from, to instant, lists ...[]outage) (out []outage) {
	for _, list := range lists {
		for i := range list {
			if list[i].during(from, to) {
				out = append(out, list[i])
			}
		}
	}
	return out
}

func excused(l loss, outages []outage, nodes int) bool {
	from, to := l.At-l.TTL-settling, l.At
	left := spare(l.TTL) // what the faults and the machine may take
	var edges []instant
	for i := range outages {
		o := &outages[i]
		end := o.to
		if end != 0 {
			end += settling
		}
		if (&outage{from: o.from, to: end}).during(from, to) {
			if o.cell || o.client == l.Client || l.TTL < shortTTL && o.client == "" || l.Pinned != "" && (slices.Contains(o.nodes, l.Pinned) || o.toward == l.Pinned) {
				// Who stays with the node at the other end of a cut link has no way to
				// a leader at this end, which leads on.
				return true
			}
			if len(o.nodes) > 0 {
				left = spare(l.TTL) - takeover
			}
			edges = append(edges, max(from, o.from))
		}
	}
	if stalled(outages, l.At-l.TTL, l.At) > left {
		return true
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
