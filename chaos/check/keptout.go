package check

import "slices"

// keptOut looks at claims that were refused as somebody had what they asked for
// (HELD), and at those that waited for it until their time was over
// (WAIT_TIMED_OUT). Both were decided at some moment of the claim, at a revision
// that is neither before what had been seen when it was made nor behind what was
// seen after it was answered. When nobody held any of its locks at any of those
// revisions, it was refused for nothing, or lost.
//
// A lock that nobody holds is kept from a claim by two things alone, and is not
// judged where one of them is possible: a delay after a holder that was lost, and
// somebody before it in the queue. Who is first in the queue of a free lock is
// granted it at once, unless it waits for another lock, too: so that is a claim of
// several. Nothing here depends on how long anything took, so that time without a
// leader does not matter.
func keptOut(h *History, r *reporter) {
	if h.AuditFrom == 0 || h.Strangers {
		return
	}
	k := readKeepers(h)
	for i := range k.asked {
		o := &k.asked[i]
		what := keptOutAs(o)
		if what == "" {
			continue
		}
		before, after := k.seen.before(o.Invoke), k.seen.after(o.Return)
		if after > h.AuditTo || k.perhaps(o, before) {
			continue
		}
		r.judge(what)
		if !k.held(o, before, after) {
			r.fail("nobody held what it asked for from revision %d on, which had been seen before it was made, up to %d, which was seen after it was answered, and no claim of several was before it: %v",
				before, after, o)
		}
	}
}

// keptOutAs is what a claim that somebody kept out is counted as; empty: it was
// not.
func keptOutAs(o *Operation) string {
	if o.Outcome != Refused || o.Kind != Acquire && o.Kind != Campaign {
		return ""
	}
	switch o.Code {
	case "HELD":
		return triesRefused
	case "WAIT_TIMED_OUT":
		return waitsEnded
	}
	return ""
}

// keepers is who may keep whom from what: by thing, as Operation.thing names it.
type keepers struct {
	asked   []Operation
	seen    *seen
	over    map[uint64]uint64 // by session, the revision by which it had ended
	several map[string][]*Operation
	delayed map[string]bool
	from    map[string][]uint64 // of its tenures, rising
	upto    map[string][]uint64 // when the last of those up to here ended; never: it has not
}

func readKeepers(h *History) *keepers {
	l := readLedger(h, nothing)
	k := &keepers{
		asked: h.requests(), seen: readSeen(h), over: sessionsOver(h, l),
		several: map[string][]*Operation{}, delayed: map[string]bool{}, from: map[string][]uint64{}, upto: map[string][]uint64{},
	}
	for i := range k.asked {
		o := &k.asked[i]
		if o.Kind != Acquire && o.Kind != Campaign {
			continue
		}
		for _, x := range o.Claim {
			if len(o.Claim) > 1 {
				k.several[o.thing(x)] = append(k.several[o.thing(x)], o)
			}
			if o.Delay > 0 {
				k.delayed[o.thing(x)] = true
			}
		}
	}
	for _, t := range l.list { // in the order of their beginning
		end := t.to
		if end == 0 {
			end = never
		}
		for _, name := range t.names {
			of := &Operation{Kind: Acquire}
			if t.space == OfElections {
				of.Kind = Campaign
			}
			thing := of.thing(Item{Name: name})
			last := end
			if n := len(k.upto[thing]); n > 0 {
				last = max(last, k.upto[thing][n-1])
			}
			k.from[thing], k.upto[thing] = append(k.from[thing], t.from), append(k.upto[thing], last)
		}
	}
	return k
}

// held says whether somebody held one of a claim's locks at one of these revisions.
func (k *keepers) held(o *Operation, before, after uint64) bool {
	for _, x := range o.Claim {
		thing := o.thing(x)
		if n, _ := slices.BinarySearch(k.from[thing], after+1); n > 0 && k.upto[thing][n-1] > before {
			return true
		}
	}
	return false
}

// perhaps says whether something else may have kept a claim from one of its locks
// that nobody held, when such a revision had been seen before it was made.
func (k *keepers) perhaps(o *Operation, before uint64) bool {
	for _, x := range o.Claim {
		thing := o.thing(x)
		if k.delayed[thing] {
			return true
		}
		for _, w := range k.several[thing] {
			if w != o && k.waited(w, o, before) {
				return true
			}
		}
	}
	return false
}

// waited says whether a claim may have waited while another one was made and
// answered. One that was granted is among the tenures from then on.
func (k *keepers) waited(w, o *Operation, before uint64) bool {
	if w.Invoke > o.Return {
		return false
	}
	switch end, ended := k.over[w.Session]; {
	case ended && end <= before:
		return false // it ended with its session
	case w.Outcome == Unknown:
		return true // until its session ends, whoever withdrew it
	case w.Return < o.Invoke:
		return false
	case w.granted():
		return w.Revision == 0 || w.Revision > before
	}
	return true
}
