//go:build linux

package main

import (
	"errors"
	"testing"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
)

// fakeGrant is one that is over, or is not.
type fakeGrant struct {
	err      error
	deadline time.Time
}

func (g fakeGrant) Done() <-chan struct{} {
	c := make(chan struct{})
	if g.err != nil {
		close(c)
	}
	return c
}

func (g fakeGrant) Err() error          { return g.err }
func (g fakeGrant) Deadline() time.Time { return g.deadline }

// TestHeld: a belief lasts until its client looks, and no longer than to the
// deadline, however late it looks.
func TestHeld(t *testing.T) {
	over := errors.New("over")
	for name, c := range map[string]struct {
		grant    fakeGrant
		from, to time.Duration // from now
	}{
		"held":                          {fakeGrant{nil, time.Now().Add(time.Hour)}, 0, time.Minute},
		"over before its deadline":      {fakeGrant{over, time.Now().Add(time.Hour)}, 0, time.Minute},
		"over while nobody was looking": {fakeGrant{over, time.Now().Add(-5 * time.Second)}, -6 * time.Second, -4 * time.Second},
	} {
		j := &recorder.Journal{}
		w := &worker{calls: &recorder.Client{Name: "x", Sink: j, Now: now}}
		began := now()
		w.held(t.Context(), c.grant, j.Begin(check.Operation{}), time.Millisecond)
		if until := j.Sofar()[0].Until; until < began+c.from || until > began+c.to {
			t.Errorf("%s: it believed until %v from now", name, until-began)
		}
	}
}
