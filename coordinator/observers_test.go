package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// fixedPorts keeps the nodes' client addresses over restarts, so that clients
// find them again.
func fixedPorts(t *testing.T, names ...string) (endpoints []string, change func(*Config)) {
	t.Helper()
	byName := map[string]string{}
	for _, n := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // after all of them are chosen
		byName[n] = l.Addr().String()
		endpoints = append(endpoints, byName[n])
	}
	return endpoints, func(cfg *Config) { cfg.ListenClient = byName[cfg.Name] }
}

func dialSDK(t *testing.T, endpoints []string) *sdk.Client {
	t.Helper()
	c, err := sdk.Dial(context.Background(), sdk.Config{Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// spell writes a change so that two observers of the same write the same.
func spell(x sdk.LeaderChange) string {
	who := "nobody"
	if x.Leader != nil {
		who = fmt.Sprintf("%d %q since %d", x.Leader.Session, x.Leader.Value, x.Leader.SinceRevision)
	}
	last := "first"
	if x.Last != nil {
		last = fmt.Sprintf("after %d %s %q", x.Last.Token, x.Last.Ended, x.Last.Value)
	}
	return fmt.Sprintf("%d %s %s term %d token %d: %s, %s", x.Revision, x.Election, x.Change, x.Term, x.Token, who, last)
}

// observed is what one observer saw, until a leader proclaimed the end.
type observed struct {
	changes []string
	terms   []uint64 // of new leaders
	err     error
}

const theEnd = "the end"

func observe(ctx context.Context, changes func(context.Context) func(func(sdk.LeaderChange, error) bool), ready func()) (o observed) {
	for x, err := range changes(ctx) {
		if err != nil {
			o.err = err
			return o
		}
		if x.Term == 0 { // the state before the first leader
			ready()
			continue
		}
		o.changes = append(o.changes, spell(x))
		if x.Change == sdk.Elected {
			o.terms = append(o.terms, x.Term)
		}
		if x.Leader != nil && string(x.Leader.Value) == theEnd {
			return o
		}
	}
	o.err = errors.New("it ended without an error")
	return o
}

// TestObserversOverLeaderKills: 100 observers, 1,000 leaders, and the node that
// leads the cell killed again and again. Each observer sees every leader, every
// proclamation and every moment without a leader, once and in order.
func TestObserversOverLeaderKills(t *testing.T) {
	const observers, leaders, kills = 100, 1000, 6
	count := leaders
	if testing.Short() {
		count = leaders / 10
	}
	endpoints, change := fixedPorts(t, "n1", "n2", "n3")
	c := newCluster(t, 3, func(cfg *Config) {
		change(cfg)
		cfg.Log = nil // hundreds of connections come and go
	})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	candidates := dialSDK(t, endpoints)

	// 1. Observers, each with a connection of its own, spread over the nodes:
	// from now, from a revision, and of a prefix. Those from now have seen that
	// nobody leads before it begins.
	var watching, ready sync.WaitGroup
	seen := make([]observed, observers)
	for i := range observers {
		client := dialSDK(t, []string{endpoints[i%3], endpoints[(i+1)%3], endpoints[(i+2)%3]})
		kind := i % 3
		if kind == 0 {
			ready.Add(1)
		}
		watching.Go(func() {
			seen[i] = observe(ctx, func(ctx context.Context) func(func(sdk.LeaderChange, error) bool) {
				switch kind {
				case 0:
					return client.Observe(ctx, "e/main")
				case 1:
					return client.Observe(ctx, "e/main", sdk.FromRevision(1))
				default:
					return client.ObservePrefix(ctx, "e/", sdk.FromRevision(1))
				}
			}, sync.OnceFunc(ready.Done))
		})
	}
	ready.Wait()

	// 2. Candidates come to lead by all ways there are.
	sessions := make([]*sdk.Session, 3)
	for i := range sessions {
		s, err := candidates.NewSession(ctx, sdk.WithTTL(30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		sessions[i] = s
	}
	type standing struct {
		l   *sdk.Leadership
		err error
	}
	stand := func(s *sdk.Session, value string) <-chan standing {
		done := make(chan standing, 1)
		go func() {
			l, err := s.Campaign(ctx, "e/main", []byte(value))
			done <- standing{l, err}
		}()
		return done
	}
	take := func(from <-chan standing) *sdk.Leadership {
		t.Helper()
		x := <-from
		if x.err != nil {
			t.Fatal(x.err)
		}
		return x.l
	}
	waits := func() {
		t.Helper()
		eventually(t, "the candidate", func() bool {
			info, err := candidates.ShowElection(ctx, "e/main")
			return err == nil && info.CandidateCount == 1
		})
	}
	var down []int
	began := time.Now()
	leads := take(stand(sessions[0], "value 1"))
	for term := 1; term < count; term++ {
		if leads.Term() != uint64(term) {
			t.Fatalf("term %d leads, want %d", leads.Term(), term)
		}
		if term%(count/kills) == count/kills/2 {
			// The one killed before comes back, so that there is a majority.
			for _, i := range down {
				waitReady(t, c.start(i, nil))
			}
			i := c.leader()
			c.kill(i)
			down = []int{i}
		}
		heir := sessions[term%len(sessions)]
		value := fmt.Sprintf("value %d", term+1)
		var err error
		switch term % 4 {
		case 0: // somebody waits, and follows in the same revision
			next := stand(heir, value)
			waits()
			err = leads.Resign(ctx)
			leads = take(next)
		case 1: // nobody leads for a while
			if err = leads.Resign(ctx); err == nil {
				leads = take(stand(heir, value))
			}
		case 2: // handed over by name, after a proclamation
			next := stand(heir, value)
			waits()
			if err = leads.Proclaim(ctx, []byte("the last word of "+value)); err == nil {
				if err = leads.Transfer(ctx, heir.ID()); err == nil {
					leads = take(next)
				}
			}
		case 3: // pre-empted
			var l *sdk.Leadership
			if l, err = heir.Campaign(ctx, "e/main", []byte(value), sdk.WithPriority(term%500+1), sdk.WithPreemption()); err == nil {
				<-leads.Done()
				leads = l
			}
		}
		if err != nil {
			t.Fatalf("after term %d: %v", term, err)
		}
	}
	if err := leads.Proclaim(ctx, []byte(theEnd)); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d leaders with %d kills in %v", count, kills, time.Since(began).Round(time.Millisecond))
	watching.Wait()

	// 3. All saw the same, and it is whole.
	for i, o := range seen {
		if o.err != nil {
			t.Fatalf("observer %d: %v, after %d changes", i, o.err, len(o.changes))
		}
		if !slices.Equal(o.changes, seen[0].changes) {
			n := 0
			for n < min(len(o.changes), len(seen[0].changes)) && o.changes[n] == seen[0].changes[n] {
				n++
			}
			t.Fatalf("observers 0 and %d differ at change %d:\n%s\n%s", i, n,
				strings.Join(seen[0].changes[n:min(n+2, len(seen[0].changes))], "\n"), strings.Join(o.changes[n:min(n+2, len(o.changes))], "\n"))
		}
	}
	if len(seen[0].terms) != count {
		t.Errorf("%d leaders were seen, %d led", len(seen[0].terms), count)
	}
	for i, term := range seen[0].terms {
		if term != uint64(i+1) {
			t.Fatalf("leader %d has term %d", i+1, term)
		}
	}
	history, err := candidates.ElectionHistory(ctx, "e/main", count)
	if err != nil {
		t.Fatal(err)
	}
	if len(history.Tenures) != count {
		t.Errorf("the history has %d tenures of %d", len(history.Tenures), count)
	}
}
