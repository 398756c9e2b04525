package table_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/conch-lock/conch/bench/table"
)

var (
	rate    = table.Row{Kind: "b", Work: "work", Measure: "rate", Unit: "1/s", Better: table.More}
	latency = table.Row{Kind: "b", Work: "work", Measure: "latency", Unit: "ms", Better: table.Less}
	early   = table.Row{Kind: "a", Work: "ground", Measure: "sync", Unit: "ms", Better: table.Less}
)

func filled() *table.Set {
	s := table.New([]string{"a", "b"}, []string{"Us", "Them"})
	for i, v := range []float64{100, 300, 200} { // the median is not the last
		s.Round(i)
		s.Add("Us", []table.Sample{{Row: rate, Value: v}, {Row: latency, Value: v / 100}})
	}
	s.Add("Them", []table.Sample{{Row: rate, Value: 50}, {Row: latency, Value: 1}})
	s.Add("Ground", []table.Sample{{Row: early, Value: 0.12}})
	s.Note("twice")
	s.Note("twice")
	return s
}

func TestMedianAndRatio(t *testing.T) {
	s := filled()
	if v, ok := s.Median(rate, "Us"); !ok || v != 200 {
		t.Errorf("median %v, %v", v, ok)
	}
	if v, ok := s.Ratio(rate, "Them"); !ok || v != 4 {
		t.Errorf("four times the rate is %v, %v", v, ok)
	}
	if v, ok := s.Ratio(latency, "Them"); !ok || v != 0.5 {
		t.Errorf("twice the latency is %v, %v", v, ok)
	}
	if _, ok := s.Ratio(early, "Ground"); ok {
		t.Error("a ratio to what was not measured")
	}
}

// TestRoundsAreCompared: a machine that gets slower from round to round changes
// no ratio, nor does a round in which one of the two was not measured.
func TestRoundsAreCompared(t *testing.T) {
	s := table.New([]string{"b"}, []string{"Us", "Them"})
	for round, slow := range []float64{1, 2, 16} {
		s.Round(round)
		s.Add("Us", []table.Sample{{Row: latency, Value: slow}})
		if round > 0 {
			s.Add("Them", []table.Sample{{Row: latency, Value: 3 * slow}})
		}
	}
	if v, ok := s.Ratio(latency, "Them"); !ok || v != 3 {
		t.Errorf("three times in each round is %v, %v", v, ok)
	}
	if v, _ := s.Median(latency, "Them"); v != 27 {
		t.Errorf("the median of 6 and 48 is %v", v)
	}
}

func TestLikeForLike(t *testing.T) {
	s := filled()
	s.Like("Them", "Us, as they do it")
	if _, ok := s.LikeRatio(rate, "Them"); ok {
		t.Error("a ratio to what was not measured")
	}
	s.Add("Us, as they do it", []table.Sample{{Row: rate, Value: 100}})
	if v, ok := s.LikeRatio(rate, "Them"); !ok || v != 2 {
		t.Errorf("twice the rate is %v, %v", v, ok)
	}
	if v, ok := s.Ratio(rate, "Them"); !ok || v != 4 {
		t.Errorf("four times the rate of the first column is %v, %v", v, ok)
	}
	page := string(s.Markdown(table.Header{}))
	for _, want := range []string{"50.0 (4.00×; like 2.00×)", "1.00 (0.500×)", "Of Them, after \"like\", how many times better Us, as they do it is"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in the page:\n%s", want, page)
		}
	}
}

func TestMarkdown(t *testing.T) {
	page := string(filled().Markdown(table.Header{
		Machine: []string{"two cores"}, Settings: []table.SettingsOf{{System: "us", Lines: []string{"defaults"}}},
		Recipes: map[string]string{"Us": "plain"},
	}))
	want := `| work | measure | Us | Them | Ground |
| --- | --- | --- | --- | --- |
| ground | sync, ms | – | – | 0.120 |
| work | rate, 1/s | 200 | 50.0 (4.00×) | – |
|  | latency, ms | 2.00 | 1.00 (0.500×) | – |
`
	if !strings.Contains(page, want) {
		t.Errorf("the page is\n%s", page)
	}
	if strings.Count(page, "twice") != 1 {
		t.Errorf("the note is not there once:\n%s", page)
	}
}

func TestJSON(t *testing.T) {
	b, err := filled().JSON(table.Header{})
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Columns []string
		Rows    []struct {
			Measure string
			Values  map[string]struct {
				Median float64
				Ratio  *float64
				Rounds []float64
			}
		}
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if len(out.Columns) != 3 || len(out.Rows) != 3 || out.Rows[1].Measure != "rate" {
		t.Fatalf("%s", b)
	}
	if us := out.Rows[1].Values["Us"]; us.Median != 200 || us.Ratio != nil || len(us.Rounds) != 3 {
		t.Errorf("%+v", us)
	}
	if them := out.Rows[1].Values["Them"]; them.Ratio == nil || *them.Ratio != 4 {
		t.Errorf("%+v", them)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.01234: "0.0123", 1.5: "1.50", 12.34: "12.3", 123.4: "123", 1234: "1,230", 1234567: "1,230,000", 999.6: "1,000",
	} {
		if got := table.Number(v); got != want {
			t.Errorf("%v is %s, not %s", v, got, want)
		}
	}
	if got := table.Whole(10000); got != "10,000" {
		t.Error(got)
	}
}
