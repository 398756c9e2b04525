package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/bench/table"
)

// Holder takes a lock in a process of its own and returns how to kill it.
type Holder func(ctx context.Context, lock string, ttl time.Duration) (kill func(), err error)

// Crash kills the holder of a lock for which a client waits. Timed is from the
// kill to the client knowing that it holds the lock. The kill comes at a random
// point between two renewals of the holder's session, which are about a third of
// the time to live apart in every client library here.
func Crash(ctx context.Context, hold Holder, waiter system.Client, lock string, ttl time.Duration) ([]table.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*ttl+drain)
	defer cancel()
	kill, err := hold(ctx, lock, ttl)
	if err != nil {
		return nil, err
	}
	type grant struct {
		unlock func(context.Context) error
		err    error
		when   time.Time
	}
	granted := make(chan grant, 1)
	go func() { // ends with the grant or with ctx
		unlock, err := waiter.Lock(ctx, lock)
		granted <- grant{unlock, err, time.Now()}
	}()
	select {
	case g := <-granted:
		kill()
		if g.err != nil {
			return nil, g.err
		}
		return nil, fmt.Errorf("the lock was granted while another process held it")
	case <-time.After(ttl + rand.N(ttl/3)): // the waiter is in the queue, and the holder is anywhere between two renewals
	case <-ctx.Done():
		kill()
		return nil, ctx.Err()
	}
	begin := time.Now()
	kill()
	g := <-granted
	if g.err != nil {
		return nil, g.err
	}
	if err := g.unlock(ctx); err != nil {
		return nil, err
	}
	row := func(measure string) table.Row {
		return table.Row{Kind: "crash", Work: "SIGKILL of a holder, shortest TTL", Measure: measure, Unit: "ms", Better: table.Less}
	}
	return []table.Sample{
		{Row: row("to the next holder knowing"), Value: millis(g.when.Sub(begin))},
		{Row: row("that TTL"), Value: millis(ttl)},
	}, nil
}
