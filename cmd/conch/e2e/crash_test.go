package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
	"github.com/conch-lock/conch/sdk"
)

// TestKillAll: all nodes are killed at once under load, and everything that was
// acknowledged is there when they are back.
func TestKillAll(t *testing.T) {
	c := start(t)
	acknowledgedSurvives(t, c, 3, func() error {
		if err := c.KillAll(); err != nil {
			return err
		}
		return c.Start(within(t, time.Minute))
	})
}

// acknowledgedSurvives loads a cluster, calls crash in the middle, which brings
// all nodes down and up again, and checks every acknowledged grant and release.
func acknowledgedSurvives(t *testing.T, c *cluster.Cluster, rounds int, crash func() error) {
	const workers = 8
	client := dial(t, c)
	var sessions []*sdk.Session
	for range workers {
		// Longer than the test: whether the locks survive must not depend on keep-alives.
		s, err := client.NewSession(within(t, 10*time.Second), sdk.WithTTL(5*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, s)
	}
	all := &acknowledged{granted: map[string]sdk.Token{}, released: map[string]sdk.Token{}}
	for round := range rounds {
		before := all.count()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for w, s := range sessions {
			wg.Go(func() {
				for k := 0; ctx.Err() == nil; k++ {
					all.work(ctx, t, s, fmt.Sprintf("round%d/worker%d/%d", round, w, k), k%2 == 0)
				}
			})
		}
		// Some hundred acknowledgements, then the crash in the middle of others.
		deadline := time.Now().Add(30 * time.Second)
		for all.count() < before+300 && time.Now().Before(deadline) {
			pause(ctx, 5*time.Millisecond)
		}
		err := crash()
		cancel()
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if n := all.count() - before; n < 100 {
			t.Errorf("round %d: %d grants and releases were acknowledged: want some hundred", round, n)
		}
		all.check(t, client)
	}

	// The sessions outlived it all, and tokens go on above all that were given.
	lock, err := sessions[0].Lock(within(t, 10*time.Second), "afterwards")
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range all.granted {
		if token >= lock.Token() {
			t.Errorf("token %d of %q was given before token %d", token, name, lock.Token())
		}
	}
	for i, s := range sessions {
		if err := s.Err(); err != nil {
			t.Errorf("session %d: %v", i, err)
		}
	}
	sameState(t, c, client)
	t.Logf("%d rounds, %d acknowledged grants and %d acknowledged releases are all there", rounds, len(all.granted), len(all.released))
}

// acknowledged is what the cell has said to have done.
type acknowledged struct {
	mu       sync.Mutex
	granted  map[string]sdk.Token // by lock, each of which is taken once
	unsure   map[string]bool      // its release was asked for and not acknowledged
	released map[string]sdk.Token
}

func (a *acknowledged) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.granted) + len(a.released)
}

// work takes a lock, and may give it back. What the crash cuts off is not
// acknowledged, and counts for nothing.
func (a *acknowledged) work(ctx context.Context, t *testing.T, s *sdk.Session, name string, giveBack bool) {
	lock, err := s.Lock(ctx, name)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("lock %q: %v", name, err)
		}
		return
	}
	a.mu.Lock()
	a.granted[name] = lock.Token()
	if giveBack {
		if a.unsure == nil {
			a.unsure = map[string]bool{}
		}
		a.unsure[name] = true
	}
	a.mu.Unlock()
	if !giveBack {
		return
	}
	if err := lock.Unlock(ctx); err != nil {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("unlock %q: %v", name, err)
		}
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.unsure, name)
	a.released[name] = lock.Token()
}

// check compares everything with what the cell says now.
func (a *acknowledged) check(t *testing.T, client *sdk.Client) {
	t.Helper()
	ctx := within(t, 2*time.Minute)
	tokens := map[sdk.Token]string{}
	now := map[string]sdk.LockInfo{}
	held, err := client.Locks(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range held {
		now[l.Name] = l
	}
	for name, token := range a.granted {
		if other, twice := tokens[token]; twice {
			t.Errorf("token %d was given twice: for %q and for %q", token, other, name)
		}
		tokens[token] = name
		holders := now[name].Holders
		isHeld := len(holders) == 1 && holders[0].Token == token
		_, released := a.released[name]
		switch {
		case released && len(holders) > 0:
			t.Errorf("%q: the acknowledged release of token %d is gone: it is held by %+v", name, token, holders)
		case !released && !a.unsure[name] && !isHeld:
			t.Errorf("%q: the acknowledged grant with token %d is gone: its holders are %+v", name, token, holders)
		}
	}
	// The history has them too: a sample, since each is a question.
	n := 0
	for name, token := range a.released {
		if n++; n > 50 {
			break
		}
		h, err := client.LockHistory(ctx, name, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(h.Tenures) != 1 || h.Tenures[0].Token != token || h.Tenures[0].Ended != sdk.ReasonReleased {
			t.Errorf("%q: its history is %+v, want one tenure with token %d, released", name, h.Tenures, token)
		}
	}
}
