package report

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// Bench is what a load got done.
type Bench struct {
	Load      string
	Clients   int
	Elapsed   time.Duration
	Latencies []time.Duration // of each operation, in any order; sorted in place
}

// Bench writes throughput and latency percentiles.
func (p *Printer) Bench(b Bench) error {
	slices.Sort(b.Latencies)
	rate := float64(len(b.Latencies)) / b.Elapsed.Seconds()
	points := []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}}
	if p.JSON {
		latency := make(map[string]float64)
		for _, q := range points {
			latency[q.name] = float64(percentile(b.Latencies, q.at).Microseconds()) / 1000
		}
		return p.Object(struct {
			Load      string             `json:"load"`
			Clients   int                `json:"clients"`
			ElapsedMS int64              `json:"elapsed_ms"`
			Ops       int                `json:"ops"`
			Rate      float64            `json:"ops_per_second"`
			Latency   map[string]float64 `json:"latency_ms"`
		}{b.Load, b.Clients, b.Elapsed.Milliseconds(), len(b.Latencies), rate, latency})
	}
	if err := p.Line("%s: %d operations by %s in %s, %s a second", b.Load, len(b.Latencies), Count(b.Clients, "client"),
		Duration(b.Elapsed), strconv.FormatFloat(rate, 'f', 0, 64)); err != nil {
		return err
	}
	if len(b.Latencies) == 0 {
		return nil
	}
	var rows [][]string
	for _, q := range points {
		rows = append(rows, []string{q.name, fine(percentile(b.Latencies, q.at))})
	}
	return p.facts(rows)
}

// percentile is the value that a share of the sorted ones does not exceed.
func percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, min(len(sorted)-1, int(math.Ceil(share*float64(len(sorted))))-1))]
}

// fine is a latency with three digits.
func fine(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 2, 64) + "ms"
	case d < time.Second:
		return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + "ms"
	default:
		return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + "s"
	}
}
