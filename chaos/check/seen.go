package check

import (
	"cmp"
	"math"
	"slices"
)

// seen is which revisions had been seen when, by operations that say which.
type seen struct {
	returns []Time   // rising
	highest []uint64 // of those that had returned by then
	invokes []Time   // rising
	lowest  []uint64 // of those that were asked for then or later
}

func readSeen(h *History) *seen {
	var list []*Operation
	asked := h.requests()
	for i := range asked {
		if o := &asked[i]; o.Outcome == Done && o.Revision != 0 && !o.Stale {
			list = append(list, o)
		}
	}
	s := &seen{}
	slices.SortFunc(list, func(a, b *Operation) int { return cmp.Compare(a.Return, b.Return) })
	highest := uint64(0)
	for _, o := range list {
		highest = max(highest, o.Revision)
		s.returns, s.highest = append(s.returns, o.Return), append(s.highest, highest)
	}
	slices.SortFunc(list, func(a, b *Operation) int { return cmp.Compare(a.Invoke, b.Invoke) })
	s.lowest = make([]uint64, len(list))
	lowest := uint64(math.MaxUint64)
	for i := len(list) - 1; i >= 0; i-- {
		lowest = min(lowest, list[i].Revision)
		s.lowest[i] = lowest
	}
	for _, o := range list {
		s.invokes = append(s.invokes, o.Invoke)
	}
	return s
}

// before is the highest revision that had been seen before a moment.
func (s *seen) before(t Time) uint64 {
	i, _ := slices.BinarySearch(s.returns, t)
	if i == 0 {
		return 0
	}
	return s.highest[i-1]
}

// after is the lowest revision that was seen by what was asked for after a moment.
func (s *seen) after(t Time) uint64 {
	i := len(s.invokes)
	if t != Forever {
		i, _ = slices.BinarySearch(s.invokes, t+1)
	}
	if i == len(s.invokes) {
		return math.MaxUint64
	}
	return s.lowest[i]
}
