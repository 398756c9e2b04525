package check

import (
	"cmp"
	"maps"
	"slices"
)

// beliefs holds against each other the times in which clients believed: from
// when they were told to Operation.Until. Elections count as exclusive locks
// under a name of their own.
//
// What an operator may have taken away is protected by its token alone from then
// on: its holder believes until it is told, which another checker looks at.
func beliefs(h *History, r *reporter) {
	type belief struct {
		o     *Operation
		item  Item
		until Time
	}
	taken := readTakings(h)
	byName := map[string][]belief{}
	for i := range h.Operations {
		o := &h.Operations[i]
		if !o.granted() {
			continue
		}
		for _, x := range o.Claim {
			name := string(o.Kind) + " " + x.Name
			byName[name] = append(byName[name], belief{o, x, min(o.Until, taken.from(o.Token, o.Session))})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		list := byName[name]
		slices.SortFunc(list, func(a, b belief) int { return cmp.Compare(a.o.Return, b.o.Return) })
		var now []belief
		for i, b := range list {
			now = slices.DeleteFunc(now, func(x belief) bool { return x.until <= b.o.Return })
			if b.until <= b.o.Return {
				continue
			}
			if len(now) > 0 {
				r.judge(beliefsBeside)
			}
			if i > 0 {
				r.judge(beliefsAfter)
			}
			if why := together(b.item, now, func(x belief) Item { return x.item }); why != "" {
				r.fail("%q: %v believed in it until %v, and %d others did, too (%s): %v until %v",
					name, b.o, b.until, len(now), why, now[0].o, now[0].until)
			}
			now = append(now, b)
		}
	}
}

// together says why an item may not be held beside others; empty: it may.
func together[T any](x Item, others []T, item func(T) Item) string {
	if len(others) == 0 {
		return ""
	}
	sum := x.Permits
	for _, o := range others {
		y := item(o)
		switch {
		case x.Mode == Shared && y.Mode == Shared:
		case x.Mode == Permits && y.Mode == Permits:
			sum += y.Permits
		default:
			return "exclusive"
		}
	}
	if x.Mode == Permits && sum > x.Capacity {
		return "more permits than there are"
	}
	return ""
}
