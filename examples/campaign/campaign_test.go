package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
	"github.com/conch-lock/conch/sdk"
)

// asCommand makes this test program campaign itself, so that the tests have
// members that are processes of their own.
const asCommand = "CAMPAIGN_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		os.Exit(0)
	}
	os.Setenv(asCommand, "1") // for the members that show starts
	os.Exit(m.Run())
}

func TestCampaign(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	binary, err := cluster.Build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}

	// A hand-over and a kill, with a cluster of real processes.
	t.Run("show", func(t *testing.T) {
		var out strings.Builder
		err := command(ctx, []string{"show", "--conch", binary, "--ttl", "1s"}, writerFunc(func(p []byte) (int, error) {
			t.Logf("%s", strings.TrimSpace(string(p)))
			return out.Write(p)
		}))
		if err != nil {
			t.Error(err)
		}
		for _, want := range []string{
			"a leads under token", "the first primary; the last number was 0", "a handed over to c", "which was transferred; the last number was 1",
			"which was expired; the last number was 2", "the numbers are right: 30 of them, each once, from a, then c, then b",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("it does not say %q", want)
			}
		}
	})

	c, err := cluster.New(cluster.Config{Binary: binary, Dir: t.TempDir(), Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	client, err := sdk.Dial(ctx, sdk.Config{Endpoints: c.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	lead := func(t *testing.T) (*sdk.Leadership, *primary) {
		t.Helper()
		s, err := client.NewSession(ctx)
		if err != nil {
			t.Fatal(err)
		}
		l, err := s.Campaign(ctx, election, identity{Name: "x"}.value())
		if err != nil {
			t.Fatal(err)
		}
		p, err := begin(ctx, client, l)
		if err != nil {
			t.Fatal(err)
		}
		return l, p
	}

	// A primary that does not know that it leads no more hands out nothing.
	t.Run("a late primary", func(t *testing.T) {
		l, old := lead(t)
		for want := uint64(1); want <= 3; want++ {
			if n, err := old.next(ctx); err != nil || n != want {
				t.Fatalf("got %d, %v, want %d", n, err, want)
			}
		}
		// A request that was given up may or may not have got its number; the
		// ones after it get others.
		gaveUp, cancel := context.WithCancel(ctx)
		cancel()
		if n, err := old.next(gaveUp); err == nil {
			t.Errorf("got %d without asking", n)
		}
		if n, err := old.next(ctx); err != nil || n != 4 {
			t.Errorf("got %d, %v, want 4", n, err)
		}
		if err := client.ResignElection(ctx, election, l.Token(), "test"); err != nil {
			t.Fatal(err)
		}
		if n, err := old.next(ctx); !errors.Is(err, errNotPrimary) {
			t.Errorf("a late primary handed out %d, %v", n, err)
		}
		m, young := lead(t)
		if n, err := young.next(ctx); err != nil || n != 5 {
			t.Errorf("got %d, %v, want 5", n, err)
		}
		if n, err := old.next(ctx); !errors.Is(err, errNotPrimary) {
			t.Errorf("a late primary handed out %d, %v", n, err)
		}
		// A candidate that is not there is refused, and the primary goes on.
		if err := young.handover(ctx, 999_999); !errors.Is(err, sdk.ErrNotFound) {
			t.Errorf("handed over to nobody: %v", err)
		}
		if n, err := young.next(ctx); err != nil || n != 6 {
			t.Errorf("got %d, %v, want 6", n, err)
		}
		if err := m.Resign(ctx); err != nil {
			t.Error(err)
		}
	})

	// A member refuses what only the primary may do.
	t.Run("a standby", func(t *testing.T) {
		m := &member{client: client, name: "s", out: io.Discard}
		for _, ask := range []http.HandlerFunc{m.handleNext, m.handleHandover} {
			w := httptest.NewRecorder()
			ask(w, httptest.NewRequest(http.MethodPost, "/?to=x", nil))
			if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "s is not the primary") {
				t.Errorf("a standby answered %d %s", w.Code, w.Body)
			}
		}
	})
}

func TestCheckSeesWhatIsWrong(t *testing.T) {
	at := func(n uint64, from string, second int64) number { return number{n, from, time.Unix(second, 0)} }
	for says, numbers := range map[string][]number{
		"1 from b came after 1 from a":         {at(1, "a", 1), at(1, "b", 2)},
		"9s passed without a number":           {at(1, "a", 1), at(2, "b", 10)},
		`the primaries were ["a"], not`:        {at(1, "a", 1), at(2, "a", 2)},
		"the numbers are right: 2 of them, ea": {at(1, "a", 1), at(7, "b", 2)},
	} {
		var out strings.Builder
		if err := check(numbers, []string{"a", "b"}, 5*time.Second, &out); err != nil {
			out.WriteString(err.Error())
		}
		if !strings.Contains(out.String(), says) {
			t.Errorf("check says %q, want %q", out.String(), says)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"dance"}, {"serve"}, {"handover"}, {"show", "y"}, {"follow", "--bogus"}} {
		if err := command(t.Context(), args, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v, want wrong usage", args, err)
		}
	}
}
