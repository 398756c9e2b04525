package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/conch-lock/conch/bench/process"
	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/bench/table"
)

// Timing is how long a workload runs.
type Timing struct {
	Warmup time.Duration
	Length time.Duration
}

// drain bounds the time in which clients end what they are in.
const drain = time.Minute

// The phases of a steady load.
const (
	warming int32 = iota
	measuring
	over
)

// errEnded: clients ended while they were measured; their own error says why.
var errEnded = errors.New("the clients ended early")

// tally is what one client did while it was measured.
type tally struct {
	phase *atomic.Int32
	done  int
	times []time.Duration
}

// took counts a latency.
func (t *tally) took(d time.Duration) {
	if t.phase.Load() == measuring {
		t.times = append(t.times, d)
	}
}

// finished counts an operation.
func (t *tally) finished() {
	if t.phase.Load() == measuring {
		t.done++
	}
}

// window is what all clients did while they were measured.
type window struct {
	length  time.Duration
	done    int
	times   []time.Duration // sorted
	servers process.Usage   // CPU within the window, memory at its end
	clients process.Usage
}

// steady has n clients do work over and over.
func steady(ctx context.Context, t Timing, cluster system.Cluster, n int, work func(ctx context.Context, client int, t *tally) error) (window, error) {
	ctx, cancel := context.WithTimeout(ctx, t.Warmup+t.Length+drain)
	defer cancel()
	var phase atomic.Int32
	tallies := make([]tally, n)
	failed, ended := make(chan struct{}), make(chan error, 1)
	go func() { // waited for below
		err := system.Parallel(ctx, n, n, func(ctx context.Context, i int) error {
			tallies[i].phase = &phase
			for phase.Load() != over {
				if err := work(ctx, i, &tallies[i]); err != nil {
					return fmt.Errorf("client %d: %w", i, err)
				}
			}
			return nil
		})
		close(failed) // or done, when the phase is over
		ended <- err
	}()
	w, err := measure(ctx, t, cluster, &phase, failed)
	phase.Store(over)
	if err != nil {
		cancel()
	}
	wrong := <-ended
	if err != nil && !errors.Is(err, errEnded) {
		return window{}, err
	}
	if wrong != nil {
		return window{}, wrong
	}
	for _, one := range tallies {
		w.done += one.done
		w.times = append(w.times, one.times...)
	}
	slices.Sort(w.times)
	if w.done == 0 {
		return window{}, fmt.Errorf("nothing was done in %v", w.length)
	}
	return w, nil
}

// measure moves the phases on and reads what it costs.
func measure(ctx context.Context, t Timing, cluster system.Cluster, phase *atomic.Int32, failed <-chan struct{}) (window, error) {
	if err := pass(ctx, t.Warmup, failed); err != nil {
		return window{}, err
	}
	servers, clients, err := usage(cluster)
	if err != nil {
		return window{}, err
	}
	phase.Store(measuring)
	begin := time.Now()
	if err := pass(ctx, t.Length, failed); err != nil {
		return window{}, err
	}
	phase.Store(over)
	w := window{length: time.Since(begin)}
	if w.servers, w.clients, err = usage(cluster); err != nil {
		return window{}, err
	}
	w.servers.CPU -= servers.CPU
	w.clients.CPU -= clients.CPU
	return w, nil
}

// usage reads what the servers and this process have cost so far.
func usage(cluster system.Cluster) (servers, clients process.Usage, err error) {
	if servers, err = process.Sum(cluster.Servers()); err != nil {
		return servers, clients, err
	}
	clients, err = process.Of(os.Getpid())
	return servers, clients, err
}

// pass waits.
func pass(ctx context.Context, d time.Duration, failed <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-failed:
		return errEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w window) rate() float64 { return float64(w.done) / w.length.Seconds() }

// quantile is the latency, in milliseconds, that a share of all did not exceed.
func (w window) quantile(share float64) float64 { return table.Quantile(w.times, share) }

// perThousand is the CPU seconds for 1,000 operations.
func (w window) perThousand(u process.Usage) float64 {
	return u.CPU.Seconds() * 1000 / float64(w.done)
}

func millis(d time.Duration) float64 { return d.Seconds() * 1000 }
