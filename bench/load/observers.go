package load

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/bench/table"
)

// between two changes of the leader, in which the other candidate queues up.
const settle = 50 * time.Millisecond

// Observers has two candidates lead in turn, and all other clients observe.
// Timed is from the old leader calling resign to the last, and to the median,
// observer knowing the new one.
func Observers(ctx context.Context, t Timing, clients []system.Client) ([]table.Sample, error) {
	electors := make([]system.Elector, len(clients))
	for i, c := range clients {
		var ok bool
		if electors[i], ok = c.(system.Elector); !ok {
			return nil, system.ErrNotOffered
		}
	}
	candidates, observers := electors[:2], electors[2:]
	ctx, cancel := context.WithTimeout(ctx, t.Warmup+t.Length+drain)
	defer cancel()
	type sight struct {
		observer int
		value    string
		when     time.Time
	}
	sights, failed := make(chan sight, 4*len(observers)), make(chan error, len(observers))
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel() // before waiting
	for i, o := range observers {
		watching.Go(func() {
			err := o.Observe(ctx, "observed", func(value string) {
				select {
				case sights <- sight{i, value, time.Now()}:
				case <-ctx.Done():
				}
			})
			if err != nil && ctx.Err() == nil {
				failed <- fmt.Errorf("observer %d: %w", i, err)
			}
		})
	}
	// all returns when every observer has seen a value, and when each did.
	all := func(value string) ([]time.Time, error) {
		when := make([]time.Time, len(observers))
		for left := len(observers); left > 0; {
			select {
			case s := <-sights:
				if s.value == value && when[s.observer].IsZero() {
					when[s.observer] = s.when
					left--
				}
			case err := <-failed:
				return nil, err
			case <-ctx.Done():
				return nil, fmt.Errorf("%d of %d observers have not seen a leader: %w", left, len(observers), ctx.Err())
			}
		}
		return when, nil
	}
	resign, err := candidates[0].Campaign(ctx, "observed", "leader-0")
	if err != nil {
		return nil, err
	}
	if _, err := all("leader-0"); err != nil {
		return nil, err
	}
	var last, median []time.Duration
	for change, begin := 1, time.Now(); change < 3 || time.Since(begin) < t.Length; change++ {
		value := fmt.Sprintf("leader-%d", change)
		type won struct {
			resign func(context.Context) error
			err    error
		}
		next := make(chan won, 1)
		go func() { // ends with the campaign or with ctx
			resign, err := candidates[change%2].Campaign(ctx, "observed", value)
			next <- won{resign, err}
		}()
		if err := pass(ctx, settle, nil); err != nil {
			return nil, err
		}
		called := time.Now()
		if err := resign(ctx); err != nil {
			return nil, err
		}
		w := <-next
		if w.err != nil {
			return nil, w.err
		}
		resign = w.resign
		when, err := all(value)
		if err != nil {
			return nil, err
		}
		var took []time.Duration
		for _, at := range when {
			took = append(took, at.Sub(called))
		}
		slices.Sort(took)
		last, median = append(last, took[len(took)-1]), append(median, took[len(took)/2])
	}
	if err := resign(ctx); err != nil {
		return nil, err
	}
	slices.Sort(last)
	slices.Sort(median)
	return []table.Sample{
		{Row: observersRow(len(observers), "resign called to the median observer knowing, median"), Value: table.Quantile(median, 0.5)},
		{Row: observersRow(len(observers), observersLast), Value: table.Quantile(last, 0.5)},
		{Row: observersRow(len(observers), observersMost), Value: table.Quantile(last, 0.99)},
	}, nil
}

// Measures that the floor has, too.
const (
	observersLast = "the same to the last observer, median"
	observersMost = "the same to the last observer, 99 %"
)

func observersRow(observers int, measure string) table.Row {
	return table.Row{Kind: "observers", Work: "new leader, " + count(observers, "observer"), Measure: measure, Unit: "ms", Better: table.Less}
}
