package load

import (
	"context"
	"fmt"
	"time"

	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/bench/table"
)

// Cycles has every client of a fleet take and release a lock of its own.
func Cycles(ctx context.Context, t Timing, cluster system.Cluster, clients []system.Client) ([]table.Sample, error) {
	w, err := steady(ctx, t, cluster, len(clients), func(ctx context.Context, i int, t *tally) error {
		begin := time.Now()
		unlock, err := clients[i].Lock(ctx, fmt.Sprintf("own-%d", i))
		if err != nil {
			return err
		}
		t.took(time.Since(begin))
		if err := unlock(ctx); err != nil {
			return err
		}
		t.finished()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return []table.Sample{
		{Row: CycleRow(len(clients), "acquire+release", "cycles/s", table.More), Value: w.rate()},
		{Row: CycleRow(len(clients), "acquire, median", "ms", table.Less), Value: w.quantile(0.5)},
		{Row: CycleRow(len(clients), "acquire, 99 %", "ms", table.Less), Value: w.quantile(0.99)},
		{Row: CycleRow(len(clients), "CPU of all servers for 1,000 cycles", "s", table.Less), Value: w.perThousand(w.servers)},
		{Row: CycleRow(len(clients), "CPU of all clients for 1,000 cycles", "s", table.Less), Value: w.perThousand(w.clients)},
		{Row: CycleRow(len(clients), "memory of all servers then", "MB", table.Less), Value: megabytes(w.servers.Memory)},
	}, nil
}

// CycleRow is a row of this workload.
func CycleRow(clients int, measure, unit string, better table.Better) table.Row {
	return table.Row{Kind: "cycles", Work: "own lock, " + count(clients, "client"), Measure: measure, Unit: unit, Better: better}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return table.Whole(n) + " " + noun + "s"
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }
