package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
	"github.com/conch-lock/conch/sdk"
	"github.com/conch-lock/conch/sdk/fence"
)

// asCommand makes this test program cronleader itself, so that the tests have
// workers that are processes of their own.
const asCommand = "CRONLEADER_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		os.Exit(0)
	}
	os.Setenv(asCommand, "1") // for the workers that show starts
	os.Exit(m.Run())
}

// shown runs the demonstration and returns what it printed.
func shown(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := command(t.Context(), append([]string{"show"}, args...), writerFunc(func(p []byte) (int, error) {
		t.Logf("%s", strings.TrimSpace(string(p)))
		return out.Write(p)
	}))
	return out.String(), err
}

// Three workers against a real cluster; the one that runs is killed twice.
func TestOneRunsAlsoWhenItIsKilled(t *testing.T) {
	binary, err := cluster.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{byElector, byLocker} {
		t.Run(by, func(t *testing.T) {
			out, err := shown(t, "--conch", binary, "--by", by, "--ttl", "1s", "--every", "300ms")
			if err != nil {
				t.Error(err)
			}
			if strings.Count(out, "*** kill -9") != 2 || !strings.Contains(out, "the ticks are right: ") {
				t.Error("nobody was killed, or nothing checked")
			}
		})
	}
}

// Without an agreement every tick runs in every worker, and the check sees it:
// otherwise it would prove nothing.
func TestWithoutAgreementTicksRunTwice(t *testing.T) {
	_, err := shown(t, "--by", byNothing, "--kills", "0", "--every", "300ms")
	if err == nil || !strings.Contains(err.Error(), "ran in w") {
		t.Errorf("every tick ran once: %v", err)
	}
}

func TestCheckSeesWhatIsWrong(t *testing.T) {
	at := func(n int) time.Time { return time.UnixMilli(0).Add(time.Duration(n) * time.Second) }
	for says, all := range map[string][]row{
		"no tick ran":                        {},
		"ran in a and in b":                  {{due: at(1), worker: "a", token: 1}, {due: at(1), worker: "b", token: 2}},
		"token 1 was that of a and of b":     {{due: at(1), worker: "a", token: 1}, {due: at(2), worker: "b", token: 1}},
		"10s passed between the ticks":       {{due: at(1), worker: "a", token: 1}, {due: at(11), worker: "a", token: 1}},
		"right: 2 ran, each once, under 2 t": {{due: at(1), worker: "a", token: 1}, {due: at(2), worker: "b", token: 2}},
	} {
		file := filepath.Join(t.TempDir(), "ticks.db")
		db, err := open(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			if err := record(t.Context(), db, r); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := check(t.Context(), settings{db: file}, 5*time.Second, &out); err != nil {
			out.WriteString(err.Error())
		}
		if !strings.Contains(out.String(), says) {
			t.Errorf("check says %q, want %q", out.String(), says)
		}
	}
}

func TestLateWorkerIsRefused(t *testing.T) {
	db, err := open(t.Context(), filepath.Join(t.TempDir(), "ticks.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	write := func(token sdk.Token) error {
		return record(t.Context(), db, row{due: time.Now(), ran: time.Now(), worker: "w", token: token})
	}
	if err := errors.Join(write(4), write(9), write(9)); err != nil {
		t.Fatal(err)
	}
	if err := write(4); !errors.Is(err, fence.ErrStale) {
		t.Errorf("an older token: %v, want it refused", err)
	}
	if all, err := rows(t.Context(), db); err != nil || len(all) != 3 {
		t.Errorf("%d rows (%v): the refused one was written", len(all), err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"dance"}, {"run"}, {"check"}, {"run", "--db", "x", "--by", "luck"}, {"run", "--db", "x", "--every", "1ms"}, {"show", "y"}, {"run", "--bogus"},
	} {
		if err := command(context.Background(), args, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v, want wrong usage", args, err)
		}
	}
}
