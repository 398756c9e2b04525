package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// keyStep is what a transaction does to one key, and what it was told of it.
type keyStep struct {
	tests   []keyTest // all hold, or with not: they do not all hold
	not     bool
	do      []keyAct
	perhaps bool // it may not have happened, or have done this instead:
	or      []keyAct
}

// keyTest is a condition on the value.
type keyTest struct {
	absent bool // it is not there
	exists bool
	value  string // with neither
}

// keyAct is one operation on the key.
type keyAct struct {
	action Action
	value  string // Put; Get: that was told, with there
	there  bool   // Get: the key was told to be there
}

// keyValue is a value that a key may have; there is false when it is not there.
type keyValue struct {
	value string
	there bool
}

// keyOrder is the specification of one key without revisions. A state is the
// values that it may have.
func keyOrder() *porcupine.Model {
	equal := func(a, b any) bool { return slices.Equal(a.([]keyValue), b.([]keyValue)) }
	return &porcupine.Model{
		Init: func() any { return []keyValue{{}} },
		Step: func(state, input, _ any) (bool, any) {
			next := stepKey(state.([]keyValue), input.(keyStep))
			return len(next) > 0, next
		},
		Equal: equal,
		Hash: func(state any) uint64 {
			sum := uint64(14695981039346656037)
			for _, v := range state.([]keyValue) {
				for _, c := range []byte(v.value) {
					sum = (sum ^ uint64(c)) * 1099511628211
				}
				sum *= 31
			}
			return sum
		},
		DescribeOperation: func(input, _ any) string { return input.(keyStep).String() },
		DescribeState:     func(state any) string { return fmt.Sprint(state) },
	}
}

func (s keyStep) String() string {
	var b strings.Builder
	for _, t := range s.tests {
		fmt.Fprintf(&b, "if %+v ", t)
	}
	for _, a := range s.do {
		fmt.Fprintf(&b, "%s %q ", a.action, a.value)
	}
	return b.String()
}

func stepKey(states []keyValue, x keyStep) []keyValue {
	var out []keyValue
	put := func(v keyValue) {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	for _, v := range states {
		if x.perhaps {
			put(v)
			if next, ok := v.act(x.or); ok {
				put(next)
			}
		}
		holds := true
		for _, t := range x.tests {
			holds = holds && t.holds(v)
		}
		if holds == x.not {
			continue
		}
		if next, ok := v.act(x.do); ok {
			put(next)
		}
	}
	slices.SortFunc(out, func(a, b keyValue) int { return strings.Compare(a.value, b.value) })
	return out
}

func (t keyTest) holds(v keyValue) bool {
	switch {
	case t.absent:
		return !v.there
	case t.exists:
		return v.there
	}
	return v.there && v.value == t.value
}

func (v keyValue) act(list []keyAct) (keyValue, bool) {
	for _, a := range list {
		switch a.action {
		case Put:
			v = keyValue{a.value, true}
		case Delete:
			v = keyValue{}
		case Get:
			if v.there != a.there || v.there && v.value != a.value {
				return v, false
			}
		}
	}
	return v, true
}

// keyParts are the operations of each key: of a transaction on several, what it
// does to each. That it did so as a whole is for the first kind of judges.
//
// Values are unique, so a transaction of unknown outcome has happened when one of
// its values was seen, by a client or by a watcher: a client may have seen no more
// of a value than that its key was there. Otherwise it explains nothing and is left
// out, unless it deletes. Keys that belong to a session may go at any time and are left out.
func keyParts(h *History, clients *callers, leftOut map[string]int) []part {
	names, owned := map[string]bool{}, map[string]bool{}
	seen := map[string]bool{} // by key and value
	for i := range h.Audit {
		if c := &h.Audit[i]; c.Space == OfKeys && !c.Deleted {
			seen[c.Record.Key+"\x00"+c.Record.Value] = true
		}
	}
	asked := h.requests()
	for i := range asked {
		o := &asked[i]
		if o.Kind != Keys || o.Txn == nil {
			continue
		}
		for _, list := range [][]KeyOp{o.Txn.Then, o.Txn.Else} {
			for _, x := range list {
				if x.Action == Put || x.End == "" {
					names[x.Key] = true
				}
				if x.Owner != 0 {
					owned[x.Key] = true
				}
			}
		}
		if o.Result != nil {
			for _, x := range o.Result.Results {
				for _, rec := range x.Records {
					seen[rec.Key+"\x00"+rec.Value] = true
				}
			}
		}
	}
	steps := map[string][]porcupine.Operation{}
	for i := range asked {
		o := &asked[i]
		switch {
		case o.Kind != Keys || o.Txn == nil || o.Outcome == Refused:
		case o.Stale:
			leftOut["reads that may be stale"]++
		case o.Outcome == Done && o.Result != nil:
			for name := range o.Txn.touched(names) {
				if owned[name] {
					leftOut["operations on keys of sessions"]++
				} else if s, ok := told(o, name); ok {
					steps[name] = append(steps[name], clients.operation(o, s, nil))
				}
			}
		case o.Outcome == Unknown && o.Txn.writes():
			branch, happened := o.Txn.seenBranch(seen)
			if !happened && !deletes(o.Txn) {
				leftOut["transactions of unknown outcome that nobody saw"]++
				continue
			}
			for name := range o.Txn.touched(names) {
				if !owned[name] {
					s := keyStep{do: silent(branch, name), perhaps: !happened, or: silent(o.Txn.Else, name)}
					steps[name] = append(steps[name], clients.operation(&Operation{Client: o.Client, Invoke: o.Invoke, Return: Forever}, s, nil))
				}
			}
		}
	}
	return inOrderOfNames(steps, keyOrder())
}

// touched are the keys that a transaction reads or writes.
func (t *Txn) touched(names map[string]bool) map[string]bool {
	out := map[string]bool{}
	for _, list := range [][]KeyOp{t.Then, t.Else} {
		for _, x := range list {
			if x.End == "" {
				out[x.Key] = true
				continue
			}
			for name := range names {
				if within(name, x.Key, x.End) {
					out[name] = true
				}
			}
		}
	}
	for _, c := range t.If {
		if c.Target == ValueOf || c.Target == VersionOf {
			out[c.Key] = true
		}
	}
	return out
}

// seenBranch is the branch of a transaction of which a value was seen.
func (t *Txn) seenBranch(seen map[string]bool) ([]KeyOp, bool) {
	for _, list := range [][]KeyOp{t.Then, t.Else} {
		for _, x := range list {
			if x.Action == Put && seen[x.Key+"\x00"+x.Value] {
				return list, true
			}
		}
	}
	return t.Then, false
}

func deletes(t *Txn) bool {
	is := func(x KeyOp) bool { return x.Action == Delete }
	return slices.ContainsFunc(t.Then, is) || slices.ContainsFunc(t.Else, is)
}

// silent is what a branch does to a key when nothing was told.
func silent(list []KeyOp, name string) []keyAct {
	var out []keyAct
	for _, x := range list {
		if x.Action != Get && within(name, x.Key, x.End) {
			out = append(out, keyAct{action: x.Action, value: x.Value})
		}
	}
	return out
}

// told is what a transaction that was answered says of a key.
func told(o *Operation, name string) (s keyStep, ok bool) {
	t := o.Txn
	s.not = !o.Result.Succeeded
	all := true // every condition is one on this key that can be told without revisions
	for _, c := range t.If {
		test, can := c.test(name)
		if can {
			s.tests = append(s.tests, test)
		}
		all = all && can
	}
	if s.not && !all {
		s.not, s.tests = false, nil // some other one may not have held
	}
	for i, x := range t.chosen(o.Result.Succeeded) {
		if !within(name, x.Key, x.End) || x.At != 0 {
			continue
		}
		a := keyAct{action: x.Action, value: x.Value}
		if x.Action == Get {
			if i >= len(o.Result.Results) {
				continue // nothing was told
			}
			for _, r := range o.Result.Results[i].Records {
				if r.Key == name {
					a.value, a.there = r.Value, true
				}
			}
		}
		s.do = append(s.do, a)
	}
	return s, len(s.tests) > 0 || len(s.do) > 0
}

// test is a condition on a key without revisions; can is false when it is
// another one.
func (c Compare) test(name string) (t keyTest, can bool) {
	switch {
	case c.Key != name:
		return keyTest{}, false
	case c.Target == ValueOf && c.Is == "=":
		return keyTest{value: c.Value}, true
	case c.Number == 0 && (c.Target == VersionOf || c.Target == CreateOf || c.Target == ModOf) && c.Is == "=":
		return keyTest{absent: true}, true
	case c.Number == 0 && (c.Target == VersionOf || c.Target == CreateOf || c.Target == ModOf) && (c.Is == ">" || c.Is == "!="):
		return keyTest{exists: true}, true
	}
	return keyTest{}, false
}
