//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
)

// Sizes of a crowd.
const (
	crowdSessions = 10_000
	crowdWaiters  = 1_000
	crowdTTL      = 60 * time.Second
	crowdWriters  = 300 // some ten times as many as there are clients otherwise
)

// crowd has ten thousand sessions, a thousand waiters of one lock and ten times
// as many writers come, and kills the leader in the middle of each. Every session
// must live on, every waiter must be granted, in the order of the queue, and when
// the writers are gone everybody makes progress again.
func (r *runner) crowd(ctx context.Context, report *report) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	var clients []*sdk.Client
	for range 4 {
		c, err := sdk.Dial(ctx, sdk.Config{Endpoints: r.cluster.Endpoints(), Name: "crowd"})
		if err != nil {
			return err
		}
		defer c.Close()
		clients = append(clients, c)
	}
	sessions, err := r.openMany(ctx, clients)
	if err != nil {
		return err
	}
	r.say("%d sessions are open", len(sessions))
	if err := r.killLeader(ctx); err != nil {
		return err
	}
	if err := r.queueMany(ctx, clients[0], sessions[:crowdWaiters]); err != nil {
		return err
	}
	if err := r.overload(ctx, clients); err != nil {
		return err
	}
	report.violations = append(report.violations, r.progress(ctx, report, now())...)
	for _, s := range sessions {
		if err := s.Err(); err != nil {
			r.history.violation("session %d of %d, with a TTL of %v, was lost although only leaders were killed: %v", s.ID(), len(sessions), crowdTTL, err)
		}
	}
	r.history.count(fmt.Sprintf("crowds of %d sessions and %d waiters", crowdSessions, crowdWaiters))
	return nil
}

// openMany opens the sessions.
func (r *runner) openMany(ctx context.Context, clients []*sdk.Client) ([]*sdk.Session, error) {
	sessions := make([]*sdk.Session, crowdSessions)
	errs := make(chan error, 1)
	var wg sync.WaitGroup
	const at = 64 // at a time
	for k := range at {
		wg.Go(func() {
			for i := k; i < len(sessions); i += at {
				s, err := clients[i%len(clients)].NewSession(ctx, sdk.WithTTL(crowdTTL))
				if err != nil {
					select {
					case errs <- fmt.Errorf("session %d of the crowd: %w", i, err):
					default:
					}
					return
				}
				sessions[i] = s
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return nil, err
	default:
		return sessions, nil
	}
}

// queueMany has sessions wait for one lock, and looks at the queue and kills the
// leader meanwhile.
func (r *runner) queueMany(ctx context.Context, looker *sdk.Client, sessions []*sdk.Session) error {
	const name = "crowd/0"
	calls := &recorder.Client{Name: "crowd", Sink: r.history, Now: now}
	var first *recorder.Grant
	first, err := calls.Lock(ctx, sessions[0], false, one(name))
	if err != nil {
		return err
	}
	var granted atomic.Int64
	var wg sync.WaitGroup
	for i, s := range sessions[1:] {
		wg.Go(func() {
			mine := &recorder.Client{Name: fmt.Sprintf("crowd-%d", i+1), Sink: r.history, Now: now}
			g, err := mine.Lock(ctx, s, false, one(name))
			if err != nil {
				r.history.violation("waiter %d of the crowd was not granted: %v", i+1, err)
				return
			}
			granted.Add(1)
			mine.Believed(g.ID(), now())
			_ = mine.Unlock(ctx, g)
		})
	}
	for { // until all wait
		info, err := looker.ShowLock(ctx, name)
		if err == nil && info.WaiterCount == len(sessions)-1 {
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d wait: %w", info.WaiterCount, len(sessions)-1, ctx.Err())
		}
		r.rest(ctx, 50*time.Millisecond)
	}
	r.say("%d sessions wait for one lock", len(sessions)-1)
	if err := calls.Queue(ctx, looker, name); err != nil {
		r.history.count("a look at the queue of the crowd failed")
	}
	calls.Believed(first.ID(), now())
	if err := calls.Unlock(ctx, first); err != nil {
		return err
	}
	for granted.Load() < int64(len(sessions)/3) && ctx.Err() == nil {
		r.rest(ctx, 5*time.Millisecond)
	}
	if err := r.killLeader(ctx); err != nil {
		return err
	}
	wg.Wait()
	r.say("%d of them were granted it", granted.Load())
	return ctx.Err()
}

// Bounds of an overload.
const (
	// crowdMemory is by how much a node may grow: what is under way of so many
	// clients, the history of what they wrote, and as much again that is garbage.
	crowdMemory = 384 << 20
	// restored is how much of what everybody got before they get again, and
	// restoredIn how soon.
	restored   = 0.9
	restoredIn = 10 * time.Second
	// measured is for how long is counted what everybody gets.
	measured = 2 * time.Second
)

// overload has many write without a pause for a while. Whoever is not served is
// told so, no node takes more memory than is stated, and when they are gone
// everybody gets as much as before, within ten seconds in which the machine runs.
func (r *runner) overload(ctx context.Context, clients []*sdk.Client) error {
	usual := (r.served(ctx) + r.served(ctx)) / 2
	small := r.memory()
	r.say("%d write without a pause; everybody got %.0f locks a second before", crowdWriters, usual)
	work, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	before := r.history.Len()
	var refused, unknown atomic.Int64
	largest := make(chan map[string]int64, 1)
	go func() { largest <- r.largest(work) }()
	var wg sync.WaitGroup
	for i := range crowdWriters {
		wg.Go(func() {
			mine := &recorder.Client{Name: fmt.Sprintf("flood-%d", i), Sink: r.history, Now: now}
			for n := 0; work.Err() == nil; n++ {
				op := check.KeyOp{Action: check.Put, Key: fmt.Sprintf("flood/%d", i), Value: fmt.Sprintf("%d-%d", i, n)}
				_, err := mine.Txn(work, clients[i%len(clients)], check.Txn{Then: []check.KeyOp{op}})
				switch explicit := new(sdk.Error); {
				case err == nil || work.Err() != nil:
				case !errors.As(err, &explicit):
					r.history.violation("crowd: a writer was told neither that it was refused nor that nobody knows: %v", err)
				case explicit.Code == sdk.CodeOverloaded || explicit.Code == sdk.CodeNoLeader || explicit.Code == sdk.CodeUnavailable:
					refused.Add(1)
				case explicit.Code == sdk.CodeUnknownOutcome:
					unknown.Add(1)
				default:
					r.history.violation("crowd: a writer was refused for another reason than load: %v", err)
				}
			}
		})
	}
	r.rest(ctx, 3*time.Second)
	if err := r.killLeader(ctx); err != nil {
		return err
	}
	wg.Wait()
	r.say("%d operations meanwhile, %d refused, %d of unknown outcome", r.history.Len()-before, refused.Load(), unknown.Load())
	for name, n := range <-largest {
		r.say("node %s had %d MiB at most, and %d before", name, n>>20, small[name]>>20)
		if r.cfg.binary == "" && n > small[name]+crowdMemory { // one that is built otherwise may need more
			r.history.violation("crowd: node %s grew from %d to %d MiB, at most %d more are allowed", name, small[name]>>20, n>>20, crowdMemory>>20)
		}
	}
	return r.asBefore(ctx, usual)
}

// asBefore waits until everybody gets nearly as much as usual.
func (r *runner) asBefore(ctx context.Context, usual float64) error {
	since, best := now(), 0.0
	for ctx.Err() == nil {
		best = max(best, r.served(ctx))
		took := now() - since
		if best >= restored*usual {
			r.say("%.0f locks a second again, %v after the overload", best, took.Round(time.Millisecond))
			return nil
		}
		if held := stalled(r.outages.seen(), since, now()); took-held > restoredIn+measured {
			r.history.violation("crowd: %v after the overload, of which the machine was held up for %v, everybody gets %.0f locks a second at most: it were %.0f before",
				took.Round(time.Millisecond), held.Round(time.Millisecond), best, usual)
			return nil
		}
	}
	return ctx.Err()
}

// served is how many locks all clients of this process get in a second.
func (r *runner) served(ctx context.Context) float64 {
	sum := func() (n int64) {
		for _, w := range r.workers {
			n += w.grants.Load()
		}
		return n
	}
	before, since := sum(), now()
	r.rest(ctx, measured)
	return float64(sum()-before) / (now() - since).Seconds()
}

// memory is what each node has resident; one that does not run is not in it.
func (r *runner) memory() map[string]int64 {
	out := map[string]int64{}
	for i, n := range r.cluster.Nodes() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", r.node(i).Pid()))
		var size, resident int64
		if err != nil {
			continue
		}
		if _, err := fmt.Sscan(string(b), &size, &resident); err == nil {
			out[n.Name] = resident * int64(os.Getpagesize())
		}
	}
	return out
}

// largest is the most that each node has resident until the context ends.
func (r *runner) largest(ctx context.Context) map[string]int64 {
	out := map[string]int64{}
	for ctx.Err() == nil {
		for name, n := range r.memory() {
			out[name] = max(out[name], n)
		}
		r.rest(ctx, 100*time.Millisecond)
	}
	return out
}

// killLeader kills the node that leads and starts it again.
func (r *runner) killLeader(ctx context.Context) error {
	i := r.leader()
	if i < 0 {
		return nil
	}
	r.say("SIGKILL of the leader, %s", r.node(i).Name)
	over := r.outages.begin("SIGKILL", "", r.node(i).Name)
	defer over()
	r.down[i].Store(true)
	if err := r.kill(i, "SIGKILL"); err != nil {
		return err
	}
	return r.revive(ctx, i)
}
