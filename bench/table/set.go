package table

import (
	"fmt"
	"slices"
)

// Set is everything measured so far.
type Set struct {
	kinds   []string
	columns []string
	rows    []Row
	values  map[cell][]float64 // a value a round
	notes   []string
	like    map[string]string // by column: one that it is compared with, too
}

type cell struct {
	row    Row
	column string
}

// New makes an empty set. Rows come in the order of their kinds, then in that in
// which they were added; the first column is what the others are compared with.
func New(kinds, columns []string) *Set {
	return &Set{kinds: kinds, columns: columns, values: make(map[cell][]float64), like: make(map[string]string)}
}

// Like has a column compared with another one, besides the first: one that does
// what it does in the same way.
func (s *Set) Like(column, with string) { s.like[column] = with }

// Add adds the samples of one column in one round.
func (s *Set) Add(column string, samples []Sample) {
	if !slices.Contains(s.columns, column) {
		s.columns = append(s.columns, column)
	}
	for _, m := range samples {
		if !slices.Contains(s.rows, m.Row) {
			s.rows = append(s.rows, m.Row)
		}
		at := cell{m.Row, column}
		s.values[at] = append(s.values[at], m.Value)
	}
}

// Note adds a remark below the table, once.
func (s *Set) Note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(s.notes, text) {
		s.notes = append(s.notes, text)
	}
}

// Rows are all rows in order.
func (s *Set) Rows() []Row {
	rows := slices.Clone(s.rows)
	slices.SortStableFunc(rows, func(a, b Row) int {
		return slices.Index(s.kinds, a.Kind) - slices.Index(s.kinds, b.Kind)
	})
	return rows
}

// Median is the value of a cell; false: it was not measured.
func (s *Set) Median(r Row, column string) (float64, bool) {
	values := slices.Sorted(slices.Values(s.values[cell{r, column}]))
	if len(values) == 0 {
		return 0, false
	}
	return values[len(values)/2], true
}

// Spread is the least and the largest value of a cell.
func (s *Set) Spread(r Row, column string) (least, most float64) {
	values := s.values[cell{r, column}]
	if len(values) == 0 {
		return 0, 0
	}
	return slices.Min(values), slices.Max(values)
}

// Ratio says how many times better the first column is than another; false:
// one of them was not measured, or is zero.
func (s *Set) Ratio(r Row, column string) (float64, bool) { return s.ratio(r, s.columns[0], column) }

// LikeRatio says how many times better the column that is like another is; false:
// there is none, or one of them was not measured, or is zero.
func (s *Set) LikeRatio(r Row, column string) (float64, bool) {
	return s.ratio(r, s.like[column], column)
}

func (s *Set) ratio(r Row, to, column string) (float64, bool) {
	first, ok := s.Median(r, to)
	other, also := s.Median(r, column)
	if !ok || !also || column == to || first == 0 || other == 0 {
		return 0, false
	}
	if r.Better == Less {
		return other / first, true
	}
	return first / other, true
}
