package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/bench/table"
)

// scaleWorkers take locks at once while the cluster is filled.
const scaleWorkers = 512

// Scale has every client hold a number of locks, and measures what one of them
// takes of the servers' memory, whether taking and releasing another one has
// become slower, also while a snapshot is taken, and how long a follower that was killed takes to serve again
// with all of them in its state.
func Scale(ctx context.Context, t Timing, cluster system.Cluster, clients []system.Client, locks int) ([]table.Sample, error) {
	empty, err := Cycles(ctx, t, cluster, clients[:1])
	if err != nil {
		return nil, err
	}
	before, _, err := usage(cluster)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	var next atomic.Int64
	err = system.Parallel(ctx, scaleWorkers, scaleWorkers, func(ctx context.Context, _ int) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= locks {
				return nil
			}
			if _, err := clients[i%len(clients)].Lock(ctx, fmt.Sprintf("held/%08d", i)); err != nil {
				return fmt.Errorf("lock %d: %w", i, err)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	after, _, err := usage(cluster)
	if err != nil {
		return nil, err
	}
	full, err := Cycles(ctx, t, cluster, clients[:1])
	if err != nil {
		return nil, err
	}
	during, beside, err := Snapshots(ctx, cluster, clients[0], clients[1])
	if err != nil {
		return nil, err
	}
	restart, err := restartFollower(ctx, cluster)
	if err != nil {
		return nil, err
	}
	row := func(measure, unit string, better table.Better) table.Row {
		return table.Row{Kind: "scale", Work: fmt.Sprintf("%s locks held by %s", table.Whole(locks), count(len(clients), "session")), Measure: measure, Unit: unit, Better: better}
	}
	samples := []table.Sample{
		{Row: row("taken", "1/s", table.More), Value: float64(locks) / took.Seconds()},
		{Row: row("memory for a lock and server", "KB", table.Less), Value: float64(after.Memory-before.Memory) / 1000 / float64(locks) / float64(len(cluster.Servers()))},
		{Row: row("memory of all servers", "MB", table.Less), Value: megabytes(after.Memory)},
		{Row: row("acquire of another, median, before", "ms", table.Less), Value: valueOf(empty, "acquire, median")},
		{Row: row("acquire of another, median, then", "ms", table.Less), Value: valueOf(full, "acquire, median")},
	}
	samples = append(samples, snapshotRows(row, during, beside)...)
	return append(samples, table.Sample{Row: row("restart of a killed follower, to serving", "s", table.Less), Value: restart.Seconds()}), nil
}

// valueOf finds what was measured.
func valueOf(samples []table.Sample, measure string) float64 {
	i := slices.IndexFunc(samples, func(s table.Sample) bool { return s.Row.Measure == measure })
	return samples[i].Value
}

// restartFollower is how long a server that does not lead takes from being
// started anew until the cluster says that all of it serves.
func restartFollower(ctx context.Context, cluster system.Cluster) (time.Duration, error) {
	leader, err := cluster.Leader(ctx)
	if err != nil {
		return 0, err
	}
	servers := cluster.Servers()
	if len(servers) < 2 {
		return 0, errors.New("there is no follower")
	}
	follower := (leader + 1) % len(servers)
	servers[follower].Kill()
	began := time.Now()
	if err := cluster.Restart(ctx, follower); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}
