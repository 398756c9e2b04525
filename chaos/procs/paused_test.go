//go:build linux

package main

import (
	"errors"
	"testing"

	"github.com/conch-lock/conch/sdk"
)

// lateWrite is a store to which a writer with token 1 came after one with token 2, if
// it came.
func lateWrite(fenced, came bool) *store {
	st := newStore(fenced)
	tokens := []sdk.Token{2}
	if came {
		tokens = append(tokens, 1)
	}
	for _, token := range tokens {
		_ = st.write(pausedLock, token) // what comes of it the figures tell
	}
	return st
}

// TestProveFence: the late write has to show, as an update that is lost without a
// fence and as a refusal with one.
func TestProveFence(t *testing.T) {
	const lost, refused = "without a fence the late write must be taken", "the fence must refuse the late write"
	for name, c := range map[string]struct {
		without, with *store
		wrong         string
	}{
		"as it has to be":                        {lateWrite(false, true), lateWrite(true, true), ""},
		"both had a fence":                       {lateWrite(true, true), lateWrite(true, true), lost},
		"neither had one":                        {lateWrite(false, true), lateWrite(false, true), refused},
		"without a fence nothing came late":      {lateWrite(false, false), lateWrite(true, true), lost},
		"with a fence nothing came late":         {lateWrite(false, true), lateWrite(true, false), refused},
		"it was refused, and taken another time": {lateWrite(false, true), &store{stale: 1, refused: 1}, refused},
	} {
		wrong, err := proveFence(func(fenced bool) (*store, error) {
			if fenced {
				return c.with, nil
			}
			return c.without, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { want(t, wrong, c.wrong) })
	}
	broken := errors.New("no second client")
	if _, err := proveFence(func(bool) (*store, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("what cannot be done is told as %v", err)
	}
}

// TestLateWrite: without a fence what comes late is taken, with one it is refused.
func TestLateWrite(t *testing.T) {
	for _, fenced := range []bool{false, true} {
		st := lateWrite(fenced, true)
		writes, stale, refused := st.figures()
		if fenced && (writes != 1 || stale != 0 || refused != 1) || !fenced && (writes != 2 || stale != 1 || refused != 0) {
			t.Errorf("fence %v: %d writes, %d stale, %d refused", fenced, writes, stale, refused)
		}
		want(t, st.complain, "")
	}
}
