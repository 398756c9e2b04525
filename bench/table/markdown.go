package table

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Header is what belongs to a run besides its values.
type Header struct {
	Machine  []string          `json:"machine"`
	Options  []string          `json:"options"`
	Settings []SettingsOf      `json:"settings"`
	Recipes  map[string]string `json:"recipes"` // by column: what it does
}

// SettingsOf is the settings of one system.
type SettingsOf struct {
	System string   `json:"system"`
	Lines  []string `json:"lines"`
}

// Markdown writes the run as a page.
func (s *Set) Markdown(h Header) []byte {
	var b bytes.Buffer
	list := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintf(&b, "%s\n\n", title)
		for _, l := range lines {
			fmt.Fprintf(&b, "- %s\n", l)
		}
		b.WriteString("\n")
	}
	list("Machine:", h.Machine)
	list("Run:", h.Options)
	for _, o := range h.Settings {
		list(o.System+":", o.Lines)
	}
	var columns []string
	for _, c := range s.columns {
		if how, ok := h.Recipes[c]; ok {
			columns = append(columns, c+": "+how)
		}
	}
	list("Columns:", columns)
	fmt.Fprintf(&b, "Medians of the rounds; in brackets how many times better %s is (below 1: worse), the median of what it was in each round.\n\n", s.columns[0])
	for _, c := range s.columns {
		if with := s.like[c]; slices.Contains(s.columns, with) {
			fmt.Fprintf(&b, "Of %s, after \"like\", how many times better %s is, which has as many connections.\n\n", c, with)
		}
	}
	s.table(&b)
	list("\nNotes:", s.notes)
	return b.Bytes()
}

func (s *Set) table(b *bytes.Buffer) {
	line := func(cells []string) { fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | ")) }
	line(append([]string{"work", "measure"}, s.columns...))
	line(slices.Repeat([]string{"---"}, len(s.columns)+2))
	last := ""
	for _, r := range s.Rows() {
		work, measure := r.Work, r.Measure
		if work == last {
			work = ""
		}
		last = r.Work
		if r.Unit != "" {
			measure += ", " + r.Unit
		}
		cells := []string{work, measure}
		for _, c := range s.columns {
			cells = append(cells, s.text(r, c))
		}
		line(cells)
	}
}

// text is a cell.
func (s *Set) text(r Row, column string) string {
	v, ok := s.Median(r, column)
	if !ok {
		return "–"
	}
	out := Number(v)
	if ratio, ok := s.Ratio(r, column); ok {
		out += " (" + Number(ratio) + "×"
		if like, ok := s.LikeRatio(r, column); ok {
			out += "; like " + Number(like) + "×"
		}
		out += ")"
	} else if like, ok := s.LikeRatio(r, column); ok {
		out += " (like " + Number(like) + "×)"
	}
	return out
}

// Number writes a value with three digits that count.
func Number(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	if digits > 0 {
		return strconv.FormatFloat(v, 'f', digits, 64)
	}
	scale := math.Pow(10, float64(-digits))
	return Whole(int(math.Round(v/scale) * scale))
}

// Whole writes a whole number with commas between its thousands.
func Whole(n int) string {
	whole := strconv.Itoa(n)
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return whole
}
