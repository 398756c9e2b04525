package load

import (
	"context"
	"fmt"
	"time"

	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/bench/table"
)

const valueBytes = 256

// KV has every client write, and then read, a key of its own.
func KV(ctx context.Context, t Timing, cluster system.Cluster, clients []system.Client) ([]table.Sample, error) {
	stores := make([]system.KV, len(clients))
	for i, c := range clients {
		var ok bool
		if stores[i], ok = c.(system.KV); !ok {
			return nil, system.ErrNotOffered
		}
	}
	value := make([]byte, valueBytes)
	for i := range value {
		value[i] = byte('a' + i%26)
	}
	key := func(i int) string { return fmt.Sprintf("key-%d", i) }
	writes, err := kv(ctx, t, cluster, len(clients), "linearizable writes", func(ctx context.Context, i int) error {
		return stores[i].Put(ctx, key(i), value)
	})
	if err != nil {
		return nil, err
	}
	reads, err := kv(ctx, t, cluster, len(clients), "linearizable reads", func(ctx context.Context, i int) error {
		read, err := stores[i].Get(ctx, key(i))
		if err == nil && len(read) != len(value) {
			err = fmt.Errorf("read %d bytes of %d", len(read), len(value))
		}
		return err
	})
	return append(reads, writes...), err
}

func kv(ctx context.Context, t Timing, cluster system.Cluster, clients int, what string, do func(ctx context.Context, i int) error) ([]table.Sample, error) {
	w, err := steady(ctx, t, cluster, clients, func(ctx context.Context, i int, t *tally) error {
		begin := time.Now()
		if err := do(ctx, i); err != nil {
			return err
		}
		t.took(time.Since(begin))
		t.finished()
		return nil
	})
	if err != nil {
		return nil, err
	}
	row := func(measure, unit string, better table.Better) table.Row {
		return table.Row{Kind: "kv", Work: fmt.Sprintf("keys, %s, %d bytes", count(clients, "client"), valueBytes), Measure: measure, Unit: unit, Better: better}
	}
	return []table.Sample{
		{Row: row(what, "1/s", table.More), Value: w.rate()},
		{Row: row(what+", median", "ms", table.Less), Value: w.quantile(0.5)},
		{Row: row(what+", 99 %", "ms", table.Less), Value: w.quantile(0.99)},
		{Row: row(what+", CPU of all servers for 1,000", "s", table.Less), Value: w.perThousand(w.servers)},
	}, nil
}
