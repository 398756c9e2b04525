package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/conch-lock/conch/cmd/conch/report"
	"github.com/conch-lock/conch/sdk"
)

// load is one kind of work: worker n does one operation a call.
type load func(ctx context.Context, n int) error

func (a *App) benchCommand() *cobra.Command {
	clients, duration := 0, time.Duration(0)
	c := &cobra.Command{
		Use: "bench own|contended|kv", Short: "Run a load against a cluster and print throughput and latency",
		Long: `Bench has a number of clients work at once and prints what they got done:

  own         each takes and releases a lock of its own
  contended   all of them take and release the same lock
  kv          each writes a key of its own

Latency is that of one operation: for locks, from asking for it to its release being
acknowledged. Locks and keys are named conch-bench/…; the keys are deleted at the end.`,
		Example: "  conch bench own --clients 64 --duration 10s",
		Args:    exactly("LOAD"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			if !slices.Contains([]string{"own", "contended", "kv"}, args[0]) {
				return usage("LOAD %s: own, contended and kv are allowed", quote(args[0]))
			}
			if clients < 1 || clients > 10000 {
				return usage("--clients %d: 1 to 10000 are allowed", clients)
			}
			if duration <= 0 || duration > time.Hour {
				return usage("--duration %v: more than 0, at most 1h, is allowed", duration)
			}
			return a.bench(ctx, args[0], clients, duration)
		}),
	}
	c.Flags().IntVar(&clients, "clients", 16, "how many work at once: `N`")
	c.Flags().DurationVar(&duration, "duration", 5*time.Second, "how long")
	return c
}

func (a *App) bench(ctx context.Context, kind string, clients int, duration time.Duration) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	work, clean, err := a.benchLoad(ctx, c, kind, clients)
	if err != nil {
		return err
	}
	defer clean()

	var mu sync.Mutex
	var all []time.Duration
	var failed error
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	var workers sync.WaitGroup
	begin := time.Now()
	for n := range clients {
		workers.Go(func() {
			var own []time.Duration
			var wrong error
			for ctx.Err() == nil && wrong == nil {
				start := time.Now()
				if wrong = work(ctx, n); wrong == nil {
					own = append(own, time.Since(start))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
			if wrong != nil && ctx.Err() == nil {
				failed = errors.Join(failed, wrong)
				cancel()
			}
		})
	}
	workers.Wait()
	if failed != nil {
		return failed
	}
	return a.results().Bench(report.Bench{Load: kind, Clients: clients, Elapsed: time.Since(begin), Latencies: all})
}

// benchLoad prepares a load. clean ends what it left in the cell.
func (a *App) benchLoad(ctx context.Context, c cell, kind string, clients int) (work load, clean func(), err error) {
	if kind == "kv" {
		value := []byte(strings.Repeat("x", 64))
		work = func(ctx context.Context, n int) error {
			_, err := c.Txn(ctx, sdk.Txn{Then: []sdk.Op{sdk.PutOp(fmt.Sprintf("conch-bench/%d", n), value)}})
			return err
		}
		clean = func() {
			if err := a.deleteAll(c, sdk.Prefix("conch-bench/")); err != nil {
				a.say("the keys conch-bench/… were not deleted: %v", err)
			}
		}
		return work, clean, nil
	}
	open := make([]session, clients)
	var opening sync.WaitGroup
	wrong := make([]error, clients)
	for i := range open {
		opening.Go(func() {
			open[i], wrong[i] = c.Open(ctx, sdk.WithLabels(ownLabels([]string{"conch", "bench", kind})))
		})
	}
	opening.Wait()
	if err := errors.Join(wrong...); err != nil {
		return nil, nil, err
	}
	work = func(ctx context.Context, n int) error {
		name := "conch-bench/contended"
		if kind == "own" {
			name = fmt.Sprintf("conch-bench/%d", n)
		}
		h, err := open[n].Claim(ctx, name)
		if err != nil {
			return err
		}
		return h.Unlock(ctx)
	}
	return work, func() {}, nil // closing the client closes the sessions
}

// deleteAll deletes keys, however many: in parts, as a transaction has bounds.
func (a *App) deleteAll(c cell, keys sdk.KeyRange) error {
	for more := true; more; {
		ctx, cancel := context.WithTimeout(context.Background(), a.global.timeout)
		page, err := c.Range(ctx, keys, sdk.KeysOnly(), sdk.Limit(50_000))
		if err == nil && len(page.KVs) > 0 {
			part := sdk.KeyRange{Key: keys.Key, End: page.KVs[len(page.KVs)-1].Key + "\x00"}
			_, err = c.Txn(ctx, sdk.Txn{Then: []sdk.Op{sdk.DeleteOp(part, false)}})
			keys.Key = part.End
		}
		cancel()
		if err != nil {
			return err
		}
		more = page.More
	}
	return nil
}
