package load

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/bench/table"
)

const (
	snapshotsSeen = 3                    // until then it is measured
	snapshotsMost = 3 * time.Minute      // and no longer
	bulk          = 16 << 10             // bytes of a value that makes the log longer
	bulkEvery     = 4 * time.Millisecond // 4 MB a second, so that there is time between two snapshots
)

// Snapshots has one client write values, for which servers take snapshots of
// their state from time to time, and another one acquire and release a lock of
// its own. It returns how long acquires took while the leader was writing a
// snapshot, and how long beside that, both sorted.
func Snapshots(ctx context.Context, cluster system.Cluster, writer, other system.Client) (during, beside []time.Duration, err error) {
	snapshots, ok := cluster.(system.Snapshotter)
	kv, also := writer.(system.KV)
	if !ok || !also {
		return nil, nil, system.ErrNotOffered
	}
	leader, err := cluster.Leader(ctx)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotsMost)
	defer cancel()
	writing := make(chan error, 1)
	go func() { writing <- bulkWrites(ctx, kv) }()
	defer func() {
		cancel()
		if wrong := <-writing; err == nil {
			err = wrong
		}
	}()
	was, err := snapshots.Snapshotting(leader)
	for seen := 0; seen < snapshotsSeen && err == nil; {
		begin := time.Now()
		unlock, wrong := other.Lock(ctx, "beside-snapshots")
		if wrong != nil {
			return nil, nil, fmt.Errorf("%d of %d snapshots seen: %w", seen, snapshotsSeen, wrong)
		}
		took := time.Since(begin)
		if err := unlock(ctx); err != nil {
			return nil, nil, err
		}
		var is bool
		is, err = snapshots.Snapshotting(leader)
		switch {
		case was && is:
			during = append(during, took)
		case !was && !is:
			beside = append(beside, took)
		case was:
			seen++
		}
		was = is
	}
	slices.Sort(during)
	slices.Sort(beside)
	return during, beside, err
}

// bulkWrites writes until ctx ends.
func bulkWrites(ctx context.Context, kv system.KV) error {
	value := make([]byte, bulk)
	for i := 0; ; i++ {
		if err := kv.Put(ctx, fmt.Sprintf("bulk/%d", i%100), value); err != nil && ctx.Err() == nil {
			return fmt.Errorf("write %d of %d bytes: %w", i, bulk, err)
		}
		if err := pass(ctx, bulkEvery, nil); err != nil {
			return nil
		}
	}
}

// snapshotRows are the rows of what Snapshots returns.
func snapshotRows(row func(measure, unit string, better table.Better) table.Row, during, beside []time.Duration) []table.Sample {
	var samples []table.Sample
	for _, one := range []struct {
		when  string
		times []time.Duration
	}{{"while a snapshot is taken", during}, {"between snapshots", beside}} {
		samples = append(samples,
			table.Sample{Row: row("acquire of another "+one.when+", median", "ms", table.Less), Value: table.Quantile(one.times, 0.5)},
			table.Sample{Row: row("acquire of another "+one.when+", 99 %", "ms", table.Less), Value: table.Quantile(one.times, 0.99)},
			table.Sample{Row: row("acquire of another "+one.when+", 99.9 %", "ms", table.Less), Value: table.Quantile(one.times, 0.999)})
	}
	return samples
}
