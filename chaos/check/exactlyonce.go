package check

import "reflect"

// exactlyOnce: requests that are named by their session and sequence give one
// answer, and what is written to keys, each value by one attempt, is written
// once when that attempt took effect and never when it was refused.
func exactlyOnce(h *History, r *reporter) {
	type name struct{ session, sequence uint64 }
	first := map[name]*Operation{}
	for i := range h.Operations {
		o := &h.Operations[i]
		if o.Sequence == 0 || o.Outcome == Unknown {
			continue
		}
		n := name{o.Session, o.Sequence}
		p := first[n]
		if p == nil {
			first[n] = o
			continue
		}
		r.judge(answersTwice)
		if p.Outcome != o.Outcome || p.Code != o.Code || p.Token != o.Token || p.Term != o.Term ||
			o.Outcome == Done && p.Revision != o.Revision || !reflect.DeepEqual(p.Result, o.Result) {
			r.fail("one request, two answers: %v, and %v", p, o)
		}
	}
	if h.AuditFrom == 0 {
		return
	}
	writers := map[string]*Operation{} // by key and value
	for i := range h.Operations {
		o := &h.Operations[i]
		if o.Kind != Keys || o.Txn == nil {
			continue
		}
		if o.Outcome == Done {
			if o.Result == nil {
				continue
			}
			for _, x := range o.Txn.chosen(o.Result.Succeeded) {
				if x.Action == Put {
					writers[x.Key+"\x00"+x.Value] = o
				}
			}
			continue
		}
		for _, list := range [][]KeyOp{o.Txn.Then, o.Txn.Else} {
			for _, x := range list {
				if x.Action == Put && writers[x.Key+"\x00"+x.Value] == nil {
					writers[x.Key+"\x00"+x.Value] = o
				}
			}
		}
	}
	written := map[string]uint64{} // the revision
	for i := range h.Audit {
		c := &h.Audit[i]
		if c.Space != OfKeys || c.Deleted {
			continue
		}
		id := c.Record.Key + "\x00" + c.Record.Value
		o := writers[id]
		if o == nil {
			continue // a value that nobody here writes
		}
		r.judge(valuesWritten)
		if before := written[id]; before != 0 {
			r.fail("the value %q was written to key %q at revision %d and again at revision %d: %v", c.Record.Value, c.Record.Key, before, c.Revision, o)
		}
		written[id] = c.Revision
		if o.Outcome == Refused {
			r.fail("the value %q was written to key %q at revision %d, and its writer was told that it was not: %v", c.Record.Value, c.Record.Key, c.Revision, o)
		}
	}
}
