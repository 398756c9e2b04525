package table

import "encoding/json"

type jsonRow struct {
	Row
	Values map[string]jsonCell `json:"values"` // by column
}

type jsonCell struct {
	Median float64   `json:"median"`
	Ratio  *float64  `json:"ratio,omitempty"` // how many times better the first column is
	Like   *float64  `json:"like,omitempty"`  // how many times better the column is that does it in the same way
	Rounds []float64 `json:"rounds"`
}

// JSON writes the run with the values of every round.
func (s *Set) JSON(h Header) ([]byte, error) {
	out := struct {
		Header
		Columns []string  `json:"columns"`
		Rows    []jsonRow `json:"rows"`
		Notes   []string  `json:"notes"`
	}{Header: h, Columns: s.columns, Notes: s.notes}
	for _, r := range s.Rows() {
		row := jsonRow{Row: r, Values: make(map[string]jsonCell)}
		for _, c := range s.columns {
			m, ok := s.Median(r, c)
			if !ok {
				continue
			}
			v := jsonCell{Median: m, Rounds: s.Rounds(r, c)}
			if ratio, ok := s.Ratio(r, c); ok {
				v.Ratio = &ratio
			}
			if like, ok := s.LikeRatio(r, c); ok {
				v.Like = &like
			}
			row.Values[c] = v
		}
		out.Rows = append(out.Rows, row)
	}
	return json.MarshalIndent(out, "", "  ")
}
