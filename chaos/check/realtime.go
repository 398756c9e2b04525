package check

import (
	"cmp"
	"slices"
)

// realTime: what had returned before something was asked for lies at a smaller
// revision, or at the same when the later one only read.
func realTime(h *History, r *reporter) {
	told := slices.DeleteFunc(h.requests(), func(o Operation) bool { return o.Outcome != Done || o.Revision == 0 || o.Stale })
	list := make([]*Operation, len(told))
	for i := range told {
		list[i] = &told[i]
	}
	inOrder(list, func() { r.judge(pairsInTime) }, r)
}

// requests are the operations, those that were repeated as one: its effect came
// after it was asked for first, and before it was answered first.
func (h *History) requests() []Operation {
	type name struct{ session, sequence uint64 }
	place := map[name]int{}
	out := make([]Operation, 0, len(h.Operations))
	for i := range h.Operations {
		o := h.Operations[i]
		if o.Sequence == 0 {
			out = append(out, o)
			continue
		}
		n := name{o.Session, o.Sequence}
		at, again := place[n]
		if !again {
			place[n] = len(out)
			out = append(out, o)
			continue
		}
		before := out[at]
		if before.Outcome != Done && (o.Outcome == Done || before.Outcome == Unknown) {
			out[at] = o
		}
		out[at].Invoke, out[at].Return = min(before.Invoke, o.Invoke), min(before.Return, o.Return)
	}
	return out
}

// inOrder looks at operations of which the revisions are known, and calls judged
// for each that had something to be later than.
func inOrder(byInvoke []*Operation, judged func(), r *reporter) {
	byReturn := slices.Clone(byInvoke)
	slices.SortStableFunc(byInvoke, func(a, b *Operation) int { return cmp.Compare(a.Invoke, b.Invoke) })
	slices.SortStableFunc(byReturn, func(a, b *Operation) int { return cmp.Compare(a.Return, b.Return) })
	var latest *Operation
	n := 0
	for _, o := range byInvoke {
		for ; n < len(byReturn) && byReturn[n].Return < o.Invoke; n++ {
			if latest == nil || byReturn[n].Revision > latest.Revision {
				latest = byReturn[n]
			}
		}
		if latest == nil {
			continue
		}
		judged()
		if o.Revision < latest.Revision || o.Revision == latest.Revision && o.changes() {
			r.fail("%v was asked for after %v had returned, and lies at no later revision", o, latest)
		}
	}
}

// changes says whether the revision of an operation is one that it made. Grants
// may share a revision, with each other and with what made them possible.
func (o *Operation) changes() bool {
	if o.Kind == Keys {
		return o.Txn != nil && (o.Result == nil && o.Txn.writes() || o.Result != nil && o.wrote())
	}
	return true
}

// wrote says whether a transaction that was done changed anything: it put
// something, or deleted something that was there.
func (o *Operation) wrote() bool {
	for i, x := range o.Txn.chosen(o.Result.Succeeded) {
		if x.Action == Put || x.Action == Delete && i < len(o.Result.Results) && o.Result.Results[i].Deleted > 0 {
			return true
		}
	}
	return false
}
