package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
	"github.com/conch-lock/conch/sdk"
	"github.com/conch-lock/conch/sdk/fence"
)

// asCommand makes this test program the batchjob itself, so that the tests
// have runners that are processes of their own.
const asCommand = "BATCHJOB_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// filled is a store with an inbox of orders.
func filled(t *testing.T, files int) store {
	t.Helper()
	s := store{filepath.Join(t.TempDir(), "batch")}
	if err := fill(s, files, 20, 7, io.Discard); err != nil {
		t.Fatal(err)
	}
	return s
}

// Four processes compete for the inbox of a real cluster; one of them is
// killed with SIGKILL while it works on a file.
func TestRunnersCompete(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	binary, err := cluster.Build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.New(cluster.Config{Binary: binary, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	s := filled(t, 24)
	var runners []*exec.Cmd
	var victim sync.Once
	killed := false
	for _, name := range []string{"r1", "r2", "r3", "r4"} {
		cmd := exec.CommandContext(ctx, os.Args[0], "run", "--dir", s.dir, "--name", name,
			"--endpoints", strings.Join(c.Endpoints(), ","), "--ttl", "2s", "--pace", "50ms")
		cmd.Env = append(os.Environ(), asCommand+"=1")
		cmd.Stderr = os.Stderr
		cmd.Stdout = writerFunc(func(p []byte) (int, error) {
			t.Logf("%s", p)
			if name == "r2" && strings.Contains(string(p), "orders-") {
				victim.Do(func() { killed = true; _ = cmd.Process.Kill() })
			}
			return len(p), nil
		})
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		runners = append(runners, cmd)
	}
	for i, cmd := range runners {
		if err := cmd.Wait(); err != nil && !(i == 1 && killed) {
			t.Errorf("runner r%d: %v", i+1, err)
		}
	}
	if !killed {
		t.Error("the runner that was to be killed booked nothing")
	}
	if err := check(s, io.Discard); err != nil {
		t.Error(err)
	}
	if left, err := s.waiting(); err != nil || len(left) > 0 {
		t.Errorf("%d files are left in the inbox (%v)", len(left), err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Without the lock the very same runners lose updates, and the check sees it:
// otherwise it would prove nothing.
func TestWithoutLockUpdatesAreLost(t *testing.T) {
	s := filled(t, 30)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			r := runner{store: s, name: "r", unlocked: true, pace: 5 * time.Millisecond, out: io.Discard}
			if err := r.run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	err := check(s, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "is done and stands 0 times in the ledger") {
		t.Errorf("no update was lost: %v", err)
	}
}

func TestLedgerRefusesAnOlderToken(t *testing.T) {
	s := filled(t, 2)
	writeAs := func(file string, token sdk.Token) error {
		l, err := s.readLedger()
		if err != nil {
			t.Fatal(err)
		}
		orders, err := readOrders(s.inbox(file))
		if err != nil {
			t.Fatal(err)
		}
		l.book(file, token, orders)
		return s.write(l, token)
	}
	if err := writeAs("orders-0001.csv", 9); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(s.ledger())
	err := writeAs("orders-0002.csv", 5)
	if !errors.Is(err, fence.ErrStale) {
		t.Errorf("token 5 after 9: %v, want it refused", err)
	}
	if after, _ := os.ReadFile(s.ledger()); string(after) != string(before) {
		t.Error("the refused write changed the ledger")
	}
	if err := writeAs("orders-0002.csv", 10); err != nil {
		t.Errorf("token 10 after 9: %v", err)
	}
}

// A runner that died between the ledger and the move leaves a file that must
// not be booked twice.
func TestBookedFileIsOnlyMoved(t *testing.T) {
	s := filled(t, 1)
	r := runner{store: s, name: "r", out: io.Discard}
	if _, err := r.next(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.done("orders-0001.csv"), s.inbox("orders-0001.csv")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.next(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	if r.booked != 1 || r.found != 1 {
		t.Errorf("booked %d times and found booked %d times, want once each", r.booked, r.found)
	}
	if err := check(s, io.Discard); err != nil {
		t.Error(err)
	}
}

func TestLostLockWritesNothing(t *testing.T) {
	s := filled(t, 1)
	ctx, lose := context.WithCancelCause(t.Context())
	lose(sdk.ErrSessionExpired)
	r := runner{store: s, name: "r", out: io.Discard}
	if _, err := r.next(ctx, 3); !errors.Is(err, sdk.ErrSessionExpired) {
		t.Errorf("got %v, want the reason for which the lock was lost", err)
	}
	if _, err := os.Stat(s.ledger()); err == nil {
		t.Error("a ledger was written")
	}
}

func TestBadFilesAreNamed(t *testing.T) {
	s := filled(t, 1)
	for _, bad := range []string{"2026-11-01,Ada\n", "2026-11-01,Ada,1.50\n", "yesterday,Ada,5\n", "2026-11-01,,5\n"} {
		if err := os.WriteFile(s.inbox("orders-0000.csv"), []byte("2026-11-01,Ada,7\n"+bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readOrders(s.inbox("orders-0000.csv")); err == nil || !strings.Contains(err.Error(), "orders-0000.csv") || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %v, want an error that names the file and the line", bad, err)
		}
	}
	if err := os.WriteFile(s.ledger(), []byte("token,1\ntotal,2026-11-01,Ada,x,5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.readLedger(); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a damaged ledger: %v", err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"dance"}, {"run"}, {"fill", "--dir", "x", "--files", "0"}, {"check", "--dir", "x", "y"}, {"run", "--bogus"},
	} {
		if err := command(t.Context(), args, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v, want wrong usage", args, err)
		}
	}
}
