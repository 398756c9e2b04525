package load

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/bench/table"
)

// ErrHolders: a lock was held by several clients at a time. Whatever else was
// measured of such a system counts for nothing.
var ErrHolders = errors.New("several clients hold one lock")

// HandOver has all clients take and release the same lock: one holds it, the
// others wait. Timed is from calling release to the next holder knowing. It also
// counts holders, and fails with ErrHolders when there are two.
func HandOver(ctx context.Context, t Timing, cluster system.Cluster, clients []system.Client) ([]table.Sample, error) {
	var holders atomic.Int32
	var released atomic.Int64 // when, since begin; 0: not yet
	begin := time.Now()
	w, err := steady(ctx, t, cluster, len(clients), func(ctx context.Context, i int, t *tally) error {
		unlock, err := clients[i].Lock(ctx, "contended")
		if err != nil {
			return err
		}
		known := time.Since(begin)
		if n := holders.Add(1); n != 1 {
			return fmt.Errorf("%w: %d at a time", ErrHolders, n)
		}
		if r := released.Load(); r != 0 {
			t.took(known - time.Duration(r))
			t.finished()
		}
		holders.Add(-1)
		released.Store(int64(time.Since(begin)))
		return unlock(ctx)
	})
	if err != nil {
		return nil, err
	}
	waiters := len(clients) - 1
	return []table.Sample{
		{Row: handOverRow(waiters, handOverMedian, "ms", table.Less), Value: w.quantile(0.5)},
		{Row: handOverRow(waiters, handOverMost, "ms", table.Less), Value: w.quantile(0.99)},
		{Row: handOverRow(waiters, "hand-overs", "1/s", table.More), Value: w.rate()},
		{Row: handOverRow(waiters, "CPU of all servers for 1,000 hand-overs", "s", table.Less), Value: w.perThousand(w.servers)},
	}, nil
}

// Measures that the floor has, too.
const (
	handOverMedian = "release called to next holder knowing, median"
	handOverMost   = "the same, 99 %"
)

func handOverRow(waiters int, measure, unit string, better table.Better) table.Row {
	return table.Row{Kind: "handover", Work: "one lock, " + count(waiters, "waiter"), Measure: measure, Unit: unit, Better: better}
}
