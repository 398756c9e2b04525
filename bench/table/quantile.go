package table

import "time"

// Quantile is what a share of a sorted list does not exceed, in milliseconds.
func Quantile(sorted []time.Duration, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))].Seconds() * 1000
}
