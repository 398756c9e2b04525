package check

import (
	"cmp"
	"slices"
)

// tokens looks at the tokens in the audit and at those that clients were told.
func tokens(h *History, r *reporter) {
	// 1. In the audit they rise from revision to revision, also over the ends of
	// locks and elections. Of one revision they are as many as grants.
	l := readLedger(h, nothing)
	var highest, before uint64 // of all, and of the revisions before this one
	var rev uint64
	for _, t := range l.list {
		r.judge(tokensGranted)
		if t.from != rev {
			rev, before = t.from, highest
		}
		if t.token <= before {
			r.fail("revision %d: token %d of %q was granted after token %d", t.from, t.token, t.names, before)
		}
		highest = max(highest, t.token)
	}
	// 2. What clients were told: the same, and once.
	var told []*Operation
	asked := h.requests()
	for i := range asked {
		if o := &asked[i]; o.granted() {
			told = append(told, o)
		}
	}
	slices.SortStableFunc(told, func(a, b *Operation) int { return cmp.Compare(a.Token, b.Token) })
	for i, o := range told {
		r.judge(tokensTold)
		if i == 0 {
			continue
		}
		switch p := told[i-1]; {
		case p.Token == o.Token:
			r.fail("token %d was granted twice: %v, %v", o.Token, p, o)
		case p.Token < o.Token && o.Revision != 0 && p.Revision > o.Revision:
			r.fail("the larger token has the smaller revision: %v, %v", p, o)
		}
	}
	// 3. In real time: a grant that had returned before another claim was made
	// has the smaller token.
	byInvoke := slices.Clone(told)
	slices.SortStableFunc(byInvoke, func(a, b *Operation) int { return cmp.Compare(a.Invoke, b.Invoke) })
	byReturn := slices.Clone(told)
	slices.SortStableFunc(byReturn, func(a, b *Operation) int { return cmp.Compare(a.Return, b.Return) })
	var latest *Operation
	n := 0
	for _, o := range byInvoke {
		for ; n < len(byReturn) && byReturn[n].Return < o.Invoke; n++ {
			if latest == nil || byReturn[n].Token > latest.Token {
				latest = byReturn[n]
			}
		}
		if latest == nil {
			continue
		}
		r.judge(tokensInTime)
		if o.Token <= latest.Token {
			r.fail("%v was asked for after %v had returned, and has not the larger token", o, latest)
		}
	}
}

// granted says whether an operation got a token.
func (o *Operation) granted() bool {
	return o.Outcome == Done && (o.Kind == Acquire || o.Kind == Campaign)
}
