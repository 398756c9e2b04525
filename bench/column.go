package main

import (
	"context"
	"slices"
	"time"

	"github.com/conch-lock/conch/bench/load"
	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/bench/table"
)

const (
	runIn           = "run-in" // the workload that is not counted
	runInClients    = 64
	failOverClients = 3 // for each server
	scaleTTL        = time.Minute
)

// column is a recipe of a system that runs.
type column struct {
	c       *comparison
	sys     system.System
	cluster system.Cluster
	recipe  int
}

// work is a workload for clients.
type work func(ctx context.Context, clients []system.Client) ([]table.Sample, error)

// with runs a workload with clients of the recipe.
func (k column) with(ctx context.Context, kind string, clients int, do work) {
	k.c.workload(ctx, kind, k.sys.Recipes()[k.recipe].Name, func(ctx context.Context) ([]table.Sample, error) {
		fleet, err := k.sys.Dial(ctx, k.cluster.Endpoints(), k.recipe, clients, 0)
		if err != nil {
			return nil, err
		}
		defer fleet.Close()
		return do(ctx, fleet.Clients)
	})
}

// runIn takes and releases locks until the servers get no faster by it, which
// does not count: some compile their code as it runs.
func (k column) runIn(ctx context.Context) {
	k.with(ctx, runIn, runInClients, func(ctx context.Context, clients []system.Client) ([]table.Sample, error) {
		took, err := load.RunIn(ctx, k.c.runInWindow, k.c.runInMost, k.cluster, clients)
		if err == nil {
			k.c.say("%s: run in for %v", k.sys.Recipes()[k.recipe].Name, took.Round(time.Second))
		}
		return nil, err
	})
}

// run runs what a cluster can be measured with in one life.
func (k column) run(ctx context.Context) {
	c, r := k.c, k.sys.Recipes()[k.recipe]
	for _, n := range c.cycleClients {
		k.with(ctx, "cycles", n, func(ctx context.Context, clients []system.Client) ([]table.Sample, error) {
			return load.Cycles(ctx, c.timing, k.cluster, clients)
		})
	}
	if r.Queue {
		for _, n := range c.waiters {
			k.with(ctx, "handover", n+1, func(ctx context.Context, clients []system.Client) ([]table.Sample, error) {
				return load.HandOver(ctx, c.timing, k.cluster, clients)
			})
		}
	}
	k.with(ctx, "observers", c.observers+2, func(ctx context.Context, clients []system.Client) ([]table.Sample, error) {
		return load.Observers(ctx, c.timing, clients)
	})
	k.with(ctx, "kv", c.kvClients, func(ctx context.Context, clients []system.Client) ([]table.Sample, error) {
		return load.KV(ctx, c.timing, k.cluster, clients)
	})
	if k.recipe != 0 { // what follows is a property of the servers
		return
	}
	if ttl := k.sys.ShortestTTL(); r.Queue && ttl > 0 {
		k.with(ctx, "crash", 1, func(ctx context.Context, clients []system.Client) ([]table.Sample, error) {
			return trials(c.trials, func() ([]table.Sample, error) {
				return load.Crash(ctx, holderOf(c.self, k.sys, k.cluster, k.recipe), clients[0], "crash", ttl)
			})
		})
	}
	for _, fault := range []load.Fault{load.Killed, load.Stopped} {
		c.workload(ctx, "failover", r.Name, func(ctx context.Context) ([]table.Sample, error) {
			return trials(c.trials, func() ([]table.Sample, error) { return k.failOver(ctx, fault) })
		})
	}
}

// scale fills a cluster of its own.
func (k column) scale(ctx context.Context) {
	c, r := k.c, k.sys.Recipes()[k.recipe]
	c.workload(ctx, "scale", r.Name, func(ctx context.Context) ([]table.Sample, error) {
		fleet, err := k.sys.Dial(ctx, k.cluster.Endpoints(), k.recipe, c.holders, scaleTTL)
		if err != nil {
			return nil, err
		}
		defer fleet.Close()
		return load.Scale(ctx, c.timing, k.cluster, fleet.Clients, c.held)
	})
}

// failOver has clients that each know one server: one that knows all may end up
// with the server that is stopped, and wait for it for a minute.
func (k column) failOver(ctx context.Context, fault load.Fault) ([]table.Sample, error) {
	if _, err := k.cluster.Leader(ctx); err != nil { // nothing can fail over
		return nil, err
	}
	var clients []system.Client
	for _, endpoint := range k.cluster.Endpoints() {
		fleet, err := k.sys.Dial(ctx, []string{endpoint}, k.recipe, failOverClients, 0)
		if err != nil {
			return nil, err
		}
		defer fleet.Close()
		clients = append(clients, fleet.Clients...)
	}
	return load.FailOver(ctx, k.cluster, clients, fault)
}

// trials repeats what gives a single value a time, and returns the medians.
func trials(n int, do func() ([]table.Sample, error)) ([]table.Sample, error) {
	var first []table.Sample
	values := make(map[table.Row][]float64)
	for i := range n {
		samples, err := do()
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = samples
		}
		for _, s := range samples {
			values[s.Row] = append(values[s.Row], s.Value)
		}
	}
	for i, s := range first {
		slices.Sort(values[s.Row])
		first[i].Value = values[s.Row][n/2]
	}
	return first, nil
}
