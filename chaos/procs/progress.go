//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// grantWithin is how long after everything has healed every client must have
// got a lock that it asked for: every client that has a node to ask. Time in
// which the machine held something up does not count.
const grantWithin = 15 * time.Second

// grantAtLast is how long it may take whatever the machine held up meanwhile.
const grantAtLast = 3 * time.Minute

// tooLate judges how long somebody has waited since everything healed, and for how
// much of that the machine was held up.
func tooLate(took, held time.Duration) bool { return took-held > grantWithin || took > grantAtLast }

// progress waits until every client has got what it asked for, and says who did
// not. Since is when everything healed.
func (r *runner) progress(ctx context.Context, report *report, since instant) []string {
	r.calm.Store(true)
	defer r.calm.Store(false)
	before := map[*worker]int64{}
	for _, w := range r.everybody() {
		before[w] = w.grants.Load()
	}
	for {
		waiting := r.unserved(before)
		took := now() - since
		if len(waiting) == 0 {
			report.slowest = max(report.slowest, took)
			r.say("everybody got a lock within %v", took.Round(time.Millisecond))
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		if held := stalled(r.outages.seen(), since, now()); tooLate(took, held) {
			return []string{fmt.Sprintf("liveness: %v after everything had healed, of which the machine was held up for %v, these clients have got no lock: %v",
				took.Round(time.Millisecond), held.Round(time.Millisecond), waiting)}
		}
		r.rest(ctx, 20*time.Millisecond)
	}
}

// unserved are the clients that have a node to ask and have got nothing beside
// what they had before.
func (r *runner) unserved(before map[*worker]int64) (names []string) {
	for _, w := range r.everybody() {
		if w.grants.Load() <= before[w] && !r.downForGood(w.Pinned) {
			names = append(names, w.Name)
		}
	}
	return names
}
