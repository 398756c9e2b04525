package coordinator

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/conch-lock/conch/sdk"
	"github.com/conch-lock/conch/sdk/fence"
)

// TestLeadOverLeaderKill: three workers of which one runs. It runs on while the
// node that leads the cell is killed; when its own process goes another one
// takes over, and is told what its predecessor did last.
func TestLeadOverLeaderKill(t *testing.T) {
	endpoints, change := fixedPorts(t, "n1", "n2", "n3")
	c := newCluster(t, 3, change)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	type reign struct {
		worker int
		l      *sdk.Leadership
	}
	var (
		guard   fence.Guard
		clients [3]*sdk.Client
		begun   = make(chan reign, 10)
		over    [3]chan error
	)
	for i := range clients {
		clients[i] = dialSDK(t, endpoints)
		over[i] = make(chan error, 1)
		go func() {
			over[i] <- clients[i].Lead(ctx, "worker", func(ctx context.Context, token sdk.Token) error {
				l, _ := sdk.LeadershipOf(ctx)
				if err := guard.Check("the resource", token); err != nil {
					t.Errorf("worker %d: %v", i, err)
				}
				if err := l.Proclaim(ctx, []byte{byte('a' + i)}); err != nil {
					t.Errorf("worker %d: %v", i, err)
				}
				begun <- reign{i, l}
				<-ctx.Done()
				return context.Cause(ctx)
			})
		}()
	}
	first := <-begun
	eventually(t, "two candidates", func() bool {
		info, err := clients[0].ShowElection(ctx, "worker")
		return err == nil && info.CandidateCount == 2
	})
	killed := c.leader()
	c.kill(killed)
	waitReady(t, c.start(killed, nil))
	c.leader()
	if err := first.l.Err(); err != nil {
		t.Fatalf("the leader was lost with the cell's: %v", err)
	}
	if err := first.l.Proclaim(ctx, []byte("half done")); err != nil {
		t.Fatal(err)
	}
	// The worker's client goes, and with it its session.
	if err := clients[first.worker].Close(); err != nil {
		t.Fatal(err)
	}
	second := <-begun
	if p := second.l.Predecessor(); second.worker == first.worker || second.l.Term() != first.l.Term()+1 ||
		p.Ended != sdk.ReasonClosed || p.Value.String() != "half done" || p.Token != first.l.Token() {
		t.Errorf("worker %d leads term %d after %+v", second.worker, second.l.Term(), p)
	}
	if err := <-over[first.worker]; !errors.Is(err, sdk.ErrClosed) {
		t.Errorf("the worker whose client was closed ended with %v", err)
	}
	cancel()
	for i := range over {
		if i == first.worker {
			continue
		}
		if err := <-over[i]; !errors.Is(err, context.Canceled) {
			t.Errorf("worker %d ended with %v", i, err)
		}
	}
}
