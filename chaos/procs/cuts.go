//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// cutPowerOften cuts the power of one node, of two or of all, as soon as clients
// have made progress since the last time, until it was cut as often as is wanted.
// Every other fault is left out. What was acknowledged must be there in the end,
// which the history shows like any other.
func (r *runner) cutPowerOften(ctx context.Context, report *report) error {
	began := now()
	for report.cuts < r.cfg.cuts && ctx.Err() == nil && len(r.history.wrongs()) == 0 {
		nodes := r.all()
		r.rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		switch r.rng.IntN(8) {
		case 0:
			nodes = nodes[:1]
		case 1:
			nodes = nodes[:2]
		}
		f := r.cutPower(nodes...)
		var names []string
		for _, i := range nodes {
			names = append(names, r.node(i).Name)
		}
		over := r.outages.add(&outage{what: "power cut", nodes: names, from: now()})
		if err := f.begin(); err != nil {
			return err
		}
		heal, cancel := context.WithTimeout(ctx, 4*readyWithin) // disks that are mounted, and three starts, may take long on a busy machine
		err := f.end(heal)
		cancel()
		over()
		if err != nil {
			return fmt.Errorf("after %d power cuts: %w", report.cuts, err)
		}
		report.cuts += len(nodes)
		report.rounds++
		if slow := r.anyProgress(ctx); slow != "" {
			report.violations = append(report.violations, slow)
			r.diagnose()
			report.stuck = true
			return nil
		}
		if report.rounds%50 == 0 {
			r.say("power was cut %d times, %d times a second; %d operations so far", report.cuts,
				int(float64(report.cuts)/(now()-began).Seconds()+0.5), len(r.history.Sofar()))
		}
		r.rest(ctx, time.Duration(r.rng.IntN(100))*time.Millisecond) // not always at the same moment after an election
	}
	return ctx.Err()
}

// rest lets clients work for a while.
func (r *runner) rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// anyProgress waits until clients have got a few things, and says when they have not.
func (r *runner) anyProgress(ctx context.Context) string {
	const few = 10
	sum := func() (n int64) {
		for _, w := range r.everybody() {
			n += w.grants.Load()
		}
		return n
	}
	before, since := sum(), now()
	for sum() < before+few {
		if ctx.Err() != nil {
			return ""
		}
		if now()-since > 2*grantWithin {
			return fmt.Sprintf("liveness: %v after the power was back nobody has got anything", 2*grantWithin)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return ""
}
