//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
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

// TestRefusedHolder: who holds a lock, and is refused for its token, is a violation
// that ends the run, unless an operator may have robbed it.
func TestRefusedHolder(t *testing.T) {
	const newest = sdk.Token(5)
	lost := errors.New("lost")
	for name, c := range map[string]struct {
		token   sdk.Token
		grant   fakeGrant
		session sdk.SessionID
		wrong   string
	}{
		"it holds the lock, and has the newest token": {newest, fakeGrant{}, 1, ""},
		"it holds the lock, and nobody robbed it":     {newest - 1, fakeGrant{}, 1, refusedHolder + ": 1 times"},
		"it has lost the lock, and knows":             {newest - 1, fakeGrant{err: lost}, 1, ""},
		"an operator ended its session":               {newest - 1, fakeGrant{}, 7, ""},
		"an operator broke its lock":                  {newest - 2, fakeGrant{}, 1, ""},
	} {
		h := newHistory(newStore(true), &recorder.Journal{})
		h.History().Interventions = []check.Intervention{
			{Kind: check.EndSession, Session: 7, Outcome: check.Done}, {Kind: check.BreakLock, Token: uint64(newest - 2), Outcome: check.Unknown},
		}
		if err := h.write("y", newest); err != nil {
			t.Fatal(err)
		}
		w := &worker{to: h}
		w.protected(c.grant, c.session, c.token, []string{"x", "y"})
		found := h.wrongs()
		want(t, found, c.wrong)
		select {
		case <-h.alarm:
			if len(found) == 0 {
				t.Errorf("%s: an alarm", name)
			}
		default:
			if len(found) > 0 {
				t.Errorf("%s: no alarm", name)
			}
		}
	}
}

// TestRefusedHolderIsToldOn: a violation that a client process has seen is one of the run.
func TestRefusedHolderIsToldOn(t *testing.T) {
	h := newHistory(newStore(true), &recorder.Journal{})
	p := &process{worker: &worker{to: h}}
	var line bytes.Buffer
	(&teller{out: json.NewEncoder(&line)}).count(refusedHolder)
	var m message
	if err := json.Unmarshal(line.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	p.take(m, nil)
	want(t, h.wrongs(), refusedHolder)
}
