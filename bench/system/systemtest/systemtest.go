// Package systemtest is the test that every system must pass before its figures
// mean anything: that it excludes, that it hands over, that it keeps what was
// written and that it comes back after its leader was killed.
package systemtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/conch-lock/conch/bench/system"
)

// limit bounds the whole suite for one system.
const limit = 2 * time.Minute

// Run runs the suite. A system that is not on this machine is skipped.
func Run(t *testing.T, sys system.System) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var missing *system.MissingError
	if err := sys.Prepare(ctx, t.TempDir()); errors.As(err, &missing) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	cluster, err := sys.Start(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopped(t, cluster) })
	for i, recipe := range sys.Recipes() {
		t.Run(recipe.Name, func(t *testing.T) {
			t.Run("locks", func(t *testing.T) { locks(ctx, t, sys, cluster, i, recipe.Queue) })
			t.Run("keys", func(t *testing.T) { keys(ctx, t, sys, cluster, i) })
			t.Run("elections", func(t *testing.T) { elections(ctx, t, sys, cluster, i) })
			t.Run("sessions", func(t *testing.T) { sessions(ctx, t, sys, cluster, i) })
		})
	}
	t.Run("leader", func(t *testing.T) { leader(ctx, t, sys, cluster) })
}

// locks: two clients never hold the same lock, and do hold different ones.
func locks(ctx context.Context, t *testing.T, sys system.System, cluster system.Cluster, recipe int, queue bool) {
	clients := dial(ctx, t, sys, cluster, recipe, 2)
	unlock, err := clients[0].Lock(ctx, "suite")
	if err != nil {
		t.Fatal(err)
	}
	other, err := clients[1].Lock(ctx, "suite-other")
	if err != nil {
		t.Fatalf("another lock: %v", err)
	}
	if err := other(ctx); err != nil {
		t.Fatal(err)
	}
	if !queue {
		if _, err := clients[1].Lock(ctx, "suite"); !errors.Is(err, system.ErrHeld) {
			t.Fatalf("a lock that is held: %v", err)
		}
		if err := unlock(ctx); err != nil {
			t.Fatal(err)
		}
		if unlock, err = clients[1].Lock(ctx, "suite"); err != nil {
			t.Fatalf("a lock that was released: %v", err)
		}
		if err := unlock(ctx); err != nil {
			t.Fatal(err)
		}
		return
	}
	type grant struct {
		unlock func(context.Context) error
		err    error
	}
	granted := make(chan grant, 1)
	go func() { // ends with the grant or with ctx
		unlock, err := clients[1].Lock(ctx, "suite")
		granted <- grant{unlock, err}
	}()
	select {
	case g := <-granted:
		t.Fatalf("granted while it was held: %v", g.err)
	case <-time.After(200 * time.Millisecond): // long enough to be wrong in
	}
	if err := unlock(ctx); err != nil {
		t.Fatal(err)
	}
	g := <-granted
	if g.err != nil {
		t.Fatalf("a lock that was released: %v", g.err)
	}
	if err := g.unlock(ctx); err != nil {
		t.Fatal(err)
	}
}

// keys: what one client wrote, the other reads.
func keys(ctx context.Context, t *testing.T, sys system.System, cluster system.Cluster, recipe int) {
	clients := dial(ctx, t, sys, cluster, recipe, 2)
	writer, ok := clients[0].(system.KV)
	reader, also := clients[1].(system.KV)
	if !ok || !also {
		t.Skip("no keys")
	}
	for i := range 20 {
		want := []byte(fmt.Sprintf("value %d of recipe %d", i, recipe))
		if err := writer.Put(ctx, "suite", want); err != nil {
			t.Fatal(err)
		}
		if got, err := reader.Get(ctx, "suite"); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("read %q, %v after %q was written", got, err, want)
		}
	}
	if got, err := reader.Get(ctx, "suite-absent"); err == nil {
		t.Fatalf("read %q of a key that was never written", got)
	}
}

// elections: an observer sees who leads, and who does then.
func elections(ctx context.Context, t *testing.T, sys system.System, cluster system.Cluster, recipe int) {
	clients := dial(ctx, t, sys, cluster, recipe, 3)
	var all []system.Elector
	for _, c := range clients {
		e, ok := c.(system.Elector)
		if !ok {
			t.Skip("no elections")
		}
		all = append(all, e)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seen, ended := make(chan string, 64), make(chan error, 1)
	go func() { ended <- all[2].Observe(ctx, "suite", func(v string) { seen <- v }) }()
	await := func(want string) {
		t.Helper()
		for {
			select {
			case v := <-seen:
				if v == want {
					return
				}
			case err := <-ended:
				t.Fatalf("waiting for %s: the observer ended: %v", want, err)
			case <-ctx.Done():
				t.Fatalf("waiting for %s: %v", want, ctx.Err())
			}
		}
	}
	resign, err := all[0].Campaign(ctx, "suite", "leader 0")
	if err != nil {
		t.Fatal(err)
	}
	await("leader 0")
	type won struct {
		resign func(context.Context) error
		err    error
	}
	next := make(chan won, 1)
	go func() { // ends with the campaign or with ctx
		resign, err := all[1].Campaign(ctx, "suite", "leader 1")
		next <- won{resign, err}
	}()
	select {
	case w := <-next:
		t.Fatalf("a second leader beside the first: %v", w.err)
	case <-time.After(200 * time.Millisecond): // long enough to be wrong in
	}
	if err := resign(ctx); err != nil {
		t.Fatal(err)
	}
	w := <-next
	if w.err != nil {
		t.Fatal(w.err)
	}
	await("leader 1")
	if err := w.resign(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatalf("observe: %v", err)
	}
}

// sessions: idle ones live longer than their time to live.
func sessions(ctx context.Context, t *testing.T, sys system.System, cluster system.Cluster, recipe int) {
	ttl := sys.ShortestTTL()
	open, err := sys.Idle(ctx, cluster.Endpoints(), recipe, 8, ttl)
	if errors.Is(err, system.ErrNotOffered) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	time.Sleep(ttl + ttl/2) // more than one of them would live without being renewed
	if lost, err := open.Lost(ctx); err != nil || lost != 0 {
		t.Fatalf("%d sessions lost, %v", lost, err)
	}
}

// leader: the cluster serves without it, and with it again.
func leader(ctx context.Context, t *testing.T, sys system.System, cluster system.Cluster) {
	at, err := cluster.Leader(ctx)
	if errors.Is(err, system.ErrNotOffered) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if all := cluster.Servers(); at < 0 || at >= len(all) || !all[at].Running() {
		t.Fatalf("server %d of %d leads", at, len(all))
	}
	cluster.Servers()[at].Kill()
	err = system.Until(ctx, func(context.Context) error {
		next, err := cluster.Leader(ctx)
		if err == nil && next == at {
			err = fmt.Errorf("server %d leads and is dead", at)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Restart(ctx, at); err != nil {
		t.Fatal(err)
	}
	clients := dial(ctx, t, sys, cluster, 0, 1)
	unlock, err := clients[0].Lock(ctx, "suite-after")
	if err != nil {
		t.Fatal(err)
	}
	if err := unlock(ctx); err != nil {
		t.Fatal(err)
	}
}

func dial(ctx context.Context, t *testing.T, sys system.System, cluster system.Cluster, recipe, clients int) []system.Client {
	t.Helper()
	f, err := sys.Dial(ctx, cluster.Endpoints(), recipe, clients, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	if len(f.Clients) != clients {
		t.Fatalf("%d clients of %d", len(f.Clients), clients)
	}
	return f.Clients
}

// stopped: Close leaves no process.
func stopped(t *testing.T, cluster system.Cluster) {
	all := cluster.Servers()
	cluster.Close()
	for _, p := range all {
		if p.Running() {
			t.Errorf("%s runs after Close", p.Name())
		}
	}
}
