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
	values  map[cell][]value
	round   int
	notes   []string
	like    map[string]string // by column: one that it is compared with, too
}

type cell struct {
	row    Row
	column string
}

// value is what one round measured.
type value struct {
	round int
	value float64
}

// New makes an empty set. Rows come in the order of their kinds, then in that in
// which they were added; the first column is what the others are compared with.
func New(kinds, columns []string) *Set {
	return &Set{kinds: kinds, columns: columns, values: make(map[cell][]value), like: make(map[string]string)}
}

// Like has a column compared with another one, besides the first: one that does
// what it does in the same way.
func (s *Set) Like(column, with string) { s.like[column] = with }

// Round says which round the samples are of that are added from now on.
func (s *Set) Round(n int) { s.round = n }

// Add adds the samples of one column in this round.
func (s *Set) Add(column string, samples []Sample) {
	if !slices.Contains(s.columns, column) {
		s.columns = append(s.columns, column)
	}
	for _, m := range samples {
		if !slices.Contains(s.rows, m.Row) {
			s.rows = append(s.rows, m.Row)
		}
		at := cell{m.Row, column}
		s.values[at] = append(s.values[at], value{s.round, m.Value})
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

// Rounds are the values of a cell, one for each round in which it was measured.
func (s *Set) Rounds(r Row, column string) []float64 {
	var l []float64
	for _, v := range s.values[cell{r, column}] {
		l = append(l, v.value)
	}
	return l
}

// Median is the value of a cell; false: it was not measured.
func (s *Set) Median(r Row, column string) (float64, bool) { return median(s.Rounds(r, column)) }

// median is the middle one of values, or the mean of the two in the middle;
// false: there are none.
func median(values []float64) (float64, bool) {
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	if n == 0 {
		return 0, false
	}
	return (values[(n-1)/2] + values[n/2]) / 2, true
}

// Ratio says how many times better the first column is than another: the median
// of what it was in each round, since a machine may be faster in one round than
// in the next one. False: there is no round that measured both, or one is zero.
func (s *Set) Ratio(r Row, column string) (float64, bool) { return s.ratio(r, s.columns[0], column) }

// LikeRatio says how many times better the column that is like another is, as
// Ratio does; false: there is none, or nothing to compare.
func (s *Set) LikeRatio(r Row, column string) (float64, bool) {
	return s.ratio(r, s.like[column], column)
}

func (s *Set) ratio(r Row, to, column string) (float64, bool) {
	if column == to {
		return 0, false
	}
	var ratios []float64
	for _, first := range s.values[cell{r, to}] {
		for _, other := range s.values[cell{r, column}] {
			switch {
			case first.round != other.round:
			case first.value == 0 || other.value == 0:
				return 0, false
			case r.Better == Less:
				ratios = append(ratios, other.value/first.value)
			default:
				ratios = append(ratios, first.value/other.value)
			}
		}
	}
	return median(ratios)
}
