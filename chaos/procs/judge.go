//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
)

// exclusive says of which locks nobody asks for shared holds.
func exclusive(lock string) bool {
	return !strings.HasPrefix(lock, "shared/") && !strings.HasPrefix(lock, "permits/")
}

// look looks at queues all the time.
func (r *runner) look(ctx context.Context) {
	calls := &recorder.Client{Name: "looker", Sink: r.history, Now: now}
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(30 * time.Millisecond):
		}
		look, cancel := context.WithTimeout(ctx, 2*time.Second)
		if err := calls.Queue(look, r.admin, named("hot", i%2)); err != nil && ctx.Err() == nil {
			r.history.count("a look at a queue failed")
		}
		cancel()
	}
}

// longRun is from which length on there must have been something of every kind
// that is judged, but where power is cut and nothing else is done.
const longRun = 5 * time.Minute

// veryLongRun is the same for what happens when a client dies while others wait
// for what it holds, and little else is wrong.
const veryLongRun = time.Hour

// rare says which checkers judge that.
func rare(checker string) bool {
	return checker == "granted after death" || checker == "not for ever"
}

// neverHappened says which kinds of faults never took effect, of a run that is long
// enough for all of them.
func (r *runner) neverHappened(ctx context.Context, report *report) []string {
	if r.cfg.length < longRun || report.stuck || ctx.Err() != nil || len(r.history.wrongs()) > 0 || len(report.violations) > 0 {
		return nil // it was broken off
	}
	var out []string
	for _, kind := range sortedNames(report.faults) {
		if report.faults[kind] == 0 {
			out = append(out, fmt.Sprintf("in a run of %v a fault never took effect: %s (tried %d times)", r.cfg.length, kind, report.vain[kind]))
		}
	}
	return out
}

// kept is how many revisions compaction leaves.
const kept = 2000

// compact forgets history now and then.
func (r *runner) compact(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(700 * time.Millisecond):
		}
		call, cancel := context.WithTimeout(ctx, 2*time.Second)
		// It must not overtake the watchers of the audit, which may be cut off for a while.
		upto := r.watchers.audited()
		if upto > kept {
			if err := r.admin.Compact(call, upto-kept); err != nil && ctx.Err() == nil {
				r.history.count("compaction failed")
			} else {
				r.history.count("compaction")
			}
		}
		cancel()
	}
}

// judgeGC has memory collected when a quarter of what is needed has become garbage. A
// history of millions of operations takes gigabytes, which it is to take once.
const judgeGC = 25

// judge completes the history and has it judged; the error says why that cannot be.
func (r *runner) judge(ctx context.Context, report *report) ([]string, error) {
	debug.SetGCPercent(judgeGC)
	upto, elections, err := r.settle(ctx)
	h := r.history.History()
	if err == nil {
		err = r.watchers.finish(ctx, upto, elections, r.downForGood, h)
	}
	if err != nil {
		return nil, fmt.Errorf("the end of the history cannot be told: %w; %s", err, r.keepHistory(h))
	}
	h.Promptness = r.promptness()
	if h.Interventions == nil {
		h.Interventions = []check.Intervention{} // there are operators, and their doings are to be judged
	}
	report.history, report.revisions, report.queues = len(h.Operations), upto, len(h.Queues)
	for i := range h.Watches {
		report.deliveries += len(h.Watches[i].Deliveries)
	}
	var bad []string
	judgement := check.Judge(h)
	for _, v := range judgement.Violations {
		bad = append(bad, v.String())
	}
	report.judged = judgement.Counts
	if r.cfg.cuts == 0 && r.cfg.length >= longRun {
		for _, c := range judgement.Idle() {
			if rare(c.Checker) && r.cfg.length < veryLongRun {
				continue
			}
			bad = append(bad, fmt.Sprintf("a run of %v has nothing to judge: %s: %s", r.cfg.length, c.Checker, c.What))
		}
	}
	report.opinion = check.Sceptic{Timeout: 2 * time.Minute, Dir: r.cfg.dir}.Check(h)
	for _, v := range report.opinion.Violations {
		bad = append(bad, v.String())
	}
	if len(bad) > 0 {
		bad = append(bad, r.keepHistory(h))
	}
	return bad, nil
}

// keepHistory writes the history down for who looks into a violation.
func (r *runner) keepHistory(h *check.History) string {
	file := filepath.Join(r.cfg.dir, "history.json")
	f, err := os.Create(file)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if err := h.Write(f); err != nil {
		return err.Error()
	}
	return "the history is in " + file
}

// settle gives the revision up to which the history is judged, and that of the
// last change of an election up to there.
func (r *runner) settle(ctx context.Context) (upto, elections uint64, err error) {
	// What the workers left behind ends with their sessions; none is longer.
	keys, err := r.admin.Range(ctx, sdk.One("no such key"))
	if err != nil {
		return 0, 0, err
	}
	found, err := r.admin.Range(ctx, sdk.Prefix(""), sdk.InSpace(sdk.Elections), sdk.AtRevision(keys.Revision))
	if err != nil {
		return 0, 0, err
	}
	for _, kv := range found.KVs {
		elections = max(elections, kv.ModRevision)
	}
	return keys.Revision, elections, nil
}
