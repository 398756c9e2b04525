//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/conch-lock/conch/chaos/clock"
)

// clocks are the nodes' clocks, when the program was built so that they can go
// wrong.
type clocks struct {
	files []string
	set   atomic.Int64
}

func newClocks(dir string, nodes []string) *clocks {
	c := &clocks{}
	for _, n := range nodes {
		c.files = append(c.files, filepath.Join(dir, n+".clock"))
	}
	return c
}

func (c *clocks) to(node int, f clock.Fault) error {
	return f.Set(c.files[node], int(c.set.Add(1)))
}

// env is what a node's process is told of its clock.
func (c *clocks) env(node int) []string {
	return []string{fmt.Sprintf("%s=%s", clock.Variable, c.files[node])}
}

// mostRate is by how many millionths a clock runs wrong: clients count a tenth
// less than the cell, and what that does not cover is not promised.
const mostRate = 80_000

// clockRate: a node's clock runs up to eight percent fast or slow.
func (r *runner) clockRate() *fault {
	i, rate := r.victim(), r.rng.Int64N(2*mostRate)-mostRate
	return &fault{nodes: []int{i}, space: ofClock, length: r.span(time.Second, 20*time.Second),
		begin: func() error { return r.clocks.to(i, clock.Fault{Rate: rate}) },
		end:   func(context.Context) error { return r.clocks.to(i, clock.Fault{}) }}
}

// clockJump: a node's monotonic clock jumps ahead.
func (r *runner) clockJump() *fault {
	i, jump := r.victim(), r.span(50*time.Millisecond, 10*time.Second)
	return &fault{nodes: []int{i}, space: ofClock, begin: func() error { return r.clocks.to(i, clock.Fault{Jump: jump}) }}
}

// wallJump: a node's wall clock jumps, either way.
func (r *runner) wallJump() *fault {
	i, jump := r.victim(), r.span(-time.Hour, time.Hour)
	return &fault{nodes: []int{i}, space: ofClock, begin: func() error { return r.clocks.to(i, clock.Fault{Wall: jump}) }}
}
