package check

import (
	"cmp"
	"slices"
)

// firstCome looks at claims of which it is known in which order the cell accepted
// them, from a look at a queue. Of two that were not made at one time, "tokens"
// knows.
//
// Whoever stands before another, or stands in a queue that was looked at before
// the other asked, is granted first.
func firstCome(h *History, r *reporter) {
	byLock := map[string]map[uint64][]*Operation{} // by session
	granted := map[string][]*Operation{}           // in the order of Invoke
	for i := range h.Operations {
		o := &h.Operations[i]
		if o.Kind != Acquire {
			continue
		}
		for _, x := range o.Claim {
			if byLock[x.Name] == nil {
				byLock[x.Name] = map[uint64][]*Operation{}
			}
			byLock[x.Name][o.Session] = append(byLock[x.Name][o.Session], o)
			if o.granted() {
				granted[x.Name] = append(granted[x.Name], o)
			}
		}
	}
	earliest := map[string][]uint64{} // by lock: the smallest token of those granted that were invoked at or after i
	for name, list := range granted {
		slices.SortFunc(list, func(a, b *Operation) int { return cmp.Compare(a.Invoke, b.Invoke) })
		least := make([]uint64, len(list))
		for i := len(list) - 1; i >= 0; i-- {
			least[i] = list[i].Token
			if i+1 < len(list) {
				least[i] = min(least[i], least[i+1])
			}
		}
		earliest[name] = least
	}
	for qi := range h.Queues {
		q := &h.Queues[qi]
		list := granted[q.Name]
		later, _ := slices.BinarySearchFunc(list, q.Return, func(o *Operation, t Time) int {
			if o.Invoke > t {
				return 1
			}
			return -1
		})
		var highest *Operation
		for _, session := range q.Waiting {
			o := only(byLock[q.Name][session], q)
			if o == nil || !o.granted() {
				continue
			}
			if highest != nil {
				r.judge(claimsInQueues)
			}
			if highest != nil && o.Token < highest.Token {
				r.fail("lock %q: %v stood before %v in the queue at [%v, %v], and was granted after it", q.Name, highest, o, q.Invoke, q.Return)
			}
			if highest == nil || o.Token > highest.Token {
				highest = o
			}
		}
		if highest == nil || later == len(list) {
			continue
		}
		r.judge(claimsLater)
		if earliest[q.Name][later] < highest.Token {
			r.fail("lock %q: %v stood in the queue at [%v, %v], and a claim that was made later was granted before it, with token %d",
				q.Name, highest, q.Invoke, q.Return, earliest[q.Name][later])
		}
	}
}

// only is the one claim of a session that can have stood in a queue then; nil:
// there are several, or it is not known.
func only(list []*Operation, q *Queue) *Operation {
	var found *Operation
	for _, o := range list {
		if o.Invoke <= q.Return && o.Return >= q.Invoke {
			if found != nil {
				return nil
			}
			found = o
		}
	}
	return found
}
