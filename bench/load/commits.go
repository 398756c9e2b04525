package load

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/bench/table"
)

// The floor has neither a queue nor observers. But who is to know the next holder
// of a lock, or a new leader, waits for a commit: these are the times of commits
// as they happen there, in the rows of those workloads.

// Queued has one client commit over and over, for the rows of hand-overs with so
// many waiters: one commit is between a release and the next holder.
func Queued(ctx context.Context, t Timing, cluster system.Cluster, client system.Client, waiters ...int) ([]table.Sample, error) {
	w, err := steady(ctx, t, cluster, 1, func(ctx context.Context, _ int, t *tally) error {
		took, err := commit(ctx, client)
		if err == nil {
			t.took(took)
			t.finished()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var samples []table.Sample
	for _, n := range waiters {
		samples = append(samples,
			table.Sample{Row: handOverRow(n, handOverMedian, "ms", table.Less), Value: w.quantile(0.5)},
			table.Sample{Row: handOverRow(n, handOverMost, "ms", table.Less), Value: w.quantile(0.99)})
	}
	return samples, nil
}

// Rested has one client commit as often as leaders change in Observers, for the
// rows of so many observers: a machine that rested takes longer.
func Rested(ctx context.Context, t Timing, client system.Client, observers int) ([]table.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, t.Warmup+t.Length+drain)
	defer cancel()
	var times []time.Duration
	for begin := time.Now(); len(times) < 3 || time.Since(begin) < t.Length; {
		if err := pass(ctx, settle, nil); err != nil {
			return nil, err
		}
		took, err := commit(ctx, client)
		if err != nil {
			return nil, err
		}
		times = append(times, took)
	}
	slices.Sort(times)
	return []table.Sample{
		{Row: observersRow(observers, observersLast), Value: table.Quantile(times, 0.5)},
		{Row: observersRow(observers, observersMost), Value: table.Quantile(times, 0.99)},
	}, nil
}

// commit times one commit: what a client of the floor does for a lock.
func commit(ctx context.Context, client system.Client) (time.Duration, error) {
	begin := time.Now()
	if _, err := client.Lock(ctx, "commit"); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	return time.Since(begin), nil
}
