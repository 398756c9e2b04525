//go:build linux

package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
)

// operator makes one, with a client of its own.
func (r *runner) operator(client *sdk.Client, rng *rand.Rand) *recorder.Operator {
	return &recorder.Operator{SDK: client, Journal: r.history.Journal, Now: now, Rand: rng}
}

// operate has an operator take away what somebody holds, again and again, until
// the context ends.
func (r *runner) operate(ctx context.Context) {
	rng := rand.New(rand.NewPCG(r.cfg.seed, 2))
	client, err := sdk.Dial(ctx, sdk.Config{Endpoints: r.cluster.Endpoints(), Name: "operator"})
	if err != nil {
		if ctx.Err() == nil {
			r.history.violation("no operator: %v", err)
		}
		return
	}
	defer client.Close()
	by := r.operator(client, rng)
	for ctx.Err() == nil {
		r.rest(ctx, time.Duration(50+rng.IntN(700))*time.Millisecond)
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		if x, holder := by.Choose(short, named(brittle, 0), named(contested, 0)); holder != 0 {
			r.history.count(recorder.Did(by.Intervene(short, x)))
		}
		cancel()
	}
}

// robWithin is for how long somebody who is to be robbed is given to hold something.
const robWithin = 5 * time.Second

// rob waits until a client holds something, has it fall silent, and takes that
// away. A client that does not come to it is left alone.
func (r *runner) rob(w *worker, by *recorder.Operator, silence func() error) error {
	ctx, cancel := context.WithTimeout(r.ctx, robWithin)
	defer cancel()
	for ctx.Err() == nil {
		x, holder := by.Choose(ctx, named(brittle, 0), named(contested, 0))
		if holder == 0 || r.history.sessionOf(w.Name) != uint64(holder) {
			r.rest(ctx, 10*time.Millisecond)
			continue
		}
		if err := silence(); err != nil {
			return err
		}
		x = by.Intervene(ctx, x)
		r.history.count(recorder.Did(x))
		if x.Outcome != check.Done {
			break
		}
		return nil
	}
	return errVain
}

// robbed are the clients whose holds operators take away, in this process.
func (r *runner) robbed() []*worker {
	var out []*worker
	for _, w := range r.workers {
		if w.Kind == brittle {
			out = append(out, w)
		}
	}
	return out
}

// robbedInSilence: what a client holds is taken away while it hears nothing.
func (r *runner) robbedInSilence() *fault {
	list := r.robbed()
	w, by := list[r.rng.IntN(len(list))], r.operator(r.admin, rand.New(rand.NewPCG(r.rng.Uint64(), 3)))
	return &fault{space: ofClient, client: w, length: r.span(50*time.Millisecond, w.TTL+time.Second),
		begin: func() error { return r.rob(w, by, func() error { w.gate.silence(); return nil }) },
		end:   func(context.Context) error { w.gate.heal(); return nil }}
}

// robbedWhileStopped: the same of a process that is stopped.
func (r *runner) robbedWhileStopped() *fault {
	f := r.clientStopped()
	for f.client.Kind != brittle {
		f = r.clientStopped()
	}
	stop, by := f.begin, r.operator(r.admin, rand.New(rand.NewPCG(r.rng.Uint64(), 3)))
	f.begin = func() error { return r.rob(f.client, by, stop) }
	return f
}
