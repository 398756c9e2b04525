package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/conch-lock/conch/sdk"
	"github.com/conch-lock/conch/sdk/fence"
)

// lockName is what the runners compete for.
const lockName = "ledger"

// runner books files until there are none.
type runner struct {
	store     store
	endpoints []string
	name      string
	ttl       time.Duration
	pace      time.Duration
	unlocked  bool
	out       io.Writer

	booked, found, refused, lost int
}

func (r *runner) run(ctx context.Context) error {
	if err := r.store.create(); err != nil {
		return err
	}
	if r.unlocked {
		return r.runUnlocked(ctx)
	}
	client, err := sdk.Dial(ctx, sdk.Config{Endpoints: r.endpoints, Name: "batchjob " + r.name, SessionTTL: r.ttl})
	if err != nil {
		return err
	}
	defer client.Close()
	for empty := false; !empty; {
		err := client.Do(ctx, lockName, func(ctx context.Context, token sdk.Token) (err error) {
			empty, err = r.next(ctx, token)
			return err
		})
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return fmt.Errorf("%s was told to stop: %w", r.name, err)
		case errors.Is(err, fence.ErrStale):
			// Somebody else holds the lock by now. Nothing was written: try again.
			r.refused++
			r.say("refused: %v", err)
			empty = false
		case errors.Is(err, sdk.ErrSessionExpired), errors.Is(err, sdk.ErrSessionEnded), errors.Is(err, sdk.ErrBroken):
			// The next round takes the lock anew. What was booked stands in the ledger.
			r.lost++
			r.say("lost the lock: %v", err)
			empty = false
		default:
			return err
		}
	}
	r.say("finds the inbox empty: %d files booked, %d found booked, %d times refused, the lock lost %d times", r.booked, r.found, r.refused, r.lost)
	return nil
}

// next books the first file of the inbox, and tells when there is none. The
// context ends when the lock is lost.
func (r *runner) next(ctx context.Context, token sdk.Token) (empty bool, err error) {
	names, err := r.store.waiting()
	if err != nil || len(names) == 0 {
		return err == nil, err
	}
	name := names[0]
	if r.unlocked { // without a lock there is no agreement on which is next
		name = names[rand.IntN(len(names))]
	}
	book, err := r.store.readLedger()
	if err != nil {
		return false, err
	}
	if book.booked(name) { // by somebody who died before moving it
		r.found++
		r.say("token %d  %s is in the ledger already", token, name)
		return false, r.store.finish(name)
	}
	orders, err := readOrders(r.store.inbox(name))
	if err != nil {
		return false, err
	}
	book.book(name, token, orders)
	select {
	case <-time.After(r.pace):
	case <-ctx.Done():
	}
	if ctx.Err() != nil { // the lock is lost, or somebody wants an end: not a byte was written
		return false, context.Cause(ctx)
	}
	if err := r.store.write(book, token); err != nil {
		return false, err
	}
	r.booked++
	cents := int64(0)
	for _, o := range orders {
		cents += o.cents
	}
	r.say("token %d  %s  %d orders, %s", token, name, len(orders), money(cents))
	return false, r.store.finish(name)
}

// runUnlocked is what not to do. Every runner has the same token, so the
// ledger cannot tell them apart either.
func (r *runner) runUnlocked(ctx context.Context) error {
	for {
		empty, err := r.next(ctx, 1)
		if errors.Is(err, context.Canceled) || empty {
			return err
		}
		if err != nil {
			r.say("went on after: %v", err) // a file that another one took away
		}
	}
}

func (r *runner) say(format string, args ...any) {
	fmt.Fprintf(r.out, r.name+"  "+format+"\n", args...)
}
