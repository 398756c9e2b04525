package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
	"github.com/conch-lock/conch/sdk"
)

// TestFailOver measures how long after the death of the leader's process a new
// lock can be taken, ten times, by a client that is there already and by one
// that has to connect first.
func TestFailOver(t *testing.T) {
	const kills = 10
	const bound = 3 * time.Second // of the median; the aim is 600 ms
	c := start(t)
	client := dial(t, c)
	session, err := client.NewSession(within(t, 10*time.Second), sdk.WithTTL(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	var known, fresh []time.Duration
	for i := range kills {
		ctx := within(t, time.Minute)
		if err := c.Healthy(ctx); err != nil {
			t.Fatal(err)
		}
		lock, err := session.Lock(ctx, fmt.Sprintf("before/%d", i))
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Unlock(ctx); err != nil {
			t.Fatal(err)
		}
		leader, err := c.Leader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		term := highestTerm(t, c)

		killed := time.Now()
		if err := leader.Kill(); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if _, err := session.Lock(ctx, fmt.Sprintf("known/%d", i)); err != nil {
				t.Fatal(err)
			}
			known = append(known, time.Since(killed))
		} else {
			o := conch(ctx, t.TempDir(), nil, "lock", fmt.Sprintf("fresh/%d", i), "--timeout=10s", endpoints(c), "--", "true")
			if o.code != 0 {
				t.Fatalf("conch lock ended with %d: %s", o.code, o.errors)
			}
			fresh = append(fresh, time.Since(killed))
		}
		next, err := c.Leader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if now := highestTerm(t, c); next == leader || now <= term {
			t.Errorf("kill %d: %s led in term %d, now %s leads in term %d: that was no fail-over", i, leader.Name, term, next.Name, now)
		}

		if err := leader.Start(); err != nil {
			t.Fatal(err)
		}
		if err := leader.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := session.Err(); err != nil {
		t.Errorf("the session was lost on the way: %v", err)
	}
	all := slices.Concat(known, fresh)
	t.Logf("from SIGKILL of the leader to the next grant: median %v of %d", median(all), kills)
	t.Logf("  by a client that was there: %v", rounded(known))
	t.Logf("  by a conch lock that was started then, to its end: %v", rounded(fresh))
	if median(all) > bound {
		t.Errorf("the median is %v: want %v at most", median(all), bound)
	}
}

func highestTerm(t *testing.T, c *cluster.Cluster) (term uint64) {
	t.Helper()
	s, err := c.Status(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range s.Nodes {
		term = max(term, n.Term)
	}
	return term
}

// median is the mean of the two in the middle of an even number.
func median(all []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(all))
	return ((s[len(s)/2] + s[(len(s)-1)/2]) / 2).Round(time.Millisecond)
}

func rounded(all []time.Duration) []time.Duration {
	var out []time.Duration
	for _, d := range slices.Sorted(slices.Values(all)) {
		out = append(out, d.Round(time.Millisecond))
	}
	return out
}
