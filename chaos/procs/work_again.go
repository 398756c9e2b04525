//go:build linux

package main

import (
	"context"

	"github.com/conch-lock/conch/chaos/recorder"
)

// again asks for everything several times, without the SDK.
func (w *worker) again(ctx context.Context) {
	r := &recorder.Repeater{
		Name: w.Name, Sink: w.to, Now: now, Dial: w.gate.dial, Endpoints: w.Endpoints, Rand: w.rng, Value: w.value,
		Prefix: named("again", 0), Answered: func() { w.grants.Add(1) },
	}
	r.Live(ctx)
}
