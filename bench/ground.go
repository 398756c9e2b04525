package main

import (
	"context"
	"os"
	"time"

	"github.com/conch-lock/conch/bench/floor"
	"github.com/conch-lock/conch/bench/load"
	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/bench/table"
)

// floorColumn is the heading of what the machine can do.
const floorColumn = "Bare quorum commit"

// floor measures the machine.
func (c *comparison) floor(ctx context.Context) {
	if !c.does("floor") {
		return
	}
	c.header.Recipes[floorColumn] = "no system, but its lower bound: two commits of 256 bytes for a cycle, three processes, a connection each, no state machine; one commit by one client for a hand-over, and after the same rest for a new leader"
	c.workload(ctx, "floor", floorColumn, func(context.Context) ([]table.Sample, error) { return c.parts() })
	q := &floor.Quorum{Node: []string{c.self, roleFloor}}
	dir, err := os.MkdirTemp(c.dir, "floor-")
	if err != nil {
		c.failed(floorColumn, "start", err)
		return
	}
	defer os.RemoveAll(dir) // again with the folder that it is in
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cluster, err := q.Start(starting, dir)
	if err != nil {
		c.failed(floorColumn, "start", err)
		return
	}
	defer cluster.Close()
	for _, n := range c.cycleClients {
		c.commits(ctx, q, cluster, n, func(ctx context.Context, clients []system.Client) ([]table.Sample, error) {
			return load.Cycles(ctx, c.timing, cluster, clients)
		})
	}
	if c.does("handover") {
		c.commits(ctx, q, cluster, 1, func(ctx context.Context, clients []system.Client) ([]table.Sample, error) {
			return load.Queued(ctx, c.timing, cluster, clients[0], c.waiters...)
		})
	}
	if c.does("observers") {
		c.commits(ctx, q, cluster, 1, func(ctx context.Context, clients []system.Client) ([]table.Sample, error) {
			return load.Rested(ctx, c.timing, clients[0], c.observers)
		})
	}
}

// parts are the disk and the network alone.
func (c *comparison) parts() ([]table.Sample, error) {
	synced, err := floor.Fdatasync(c.dir, c.timing.Length)
	if err != nil {
		return nil, err
	}
	tripped, err := floor.Loopback(c.timing.Length)
	if err != nil {
		return nil, err
	}
	row := func(work, measure string) table.Row {
		return table.Row{Kind: "floor", Work: work, Measure: measure, Unit: "ms", Better: table.Less}
	}
	disk, net := "256 bytes and fdatasync", "64 bytes over loopback and back"
	return []table.Sample{
		{Row: row(disk, "median"), Value: table.Quantile(synced, 0.5)},
		{Row: row(disk, "99 %"), Value: table.Quantile(synced, 0.99)},
		{Row: row(net, "median"), Value: table.Quantile(tripped, 0.5)},
		{Row: row(net, "99 %"), Value: table.Quantile(tripped, 0.99)},
	}, nil
}

// commits runs a workload with clients that commit.
func (c *comparison) commits(ctx context.Context, q *floor.Quorum, cluster system.Cluster, clients int, do work) {
	c.workload(ctx, "floor", floorColumn, func(ctx context.Context) ([]table.Sample, error) {
		fleet, err := q.Dial(ctx, cluster.Endpoints(), clients)
		if err != nil {
			return nil, err
		}
		defer fleet.Close()
		return do(ctx, fleet.Clients)
	})
}
