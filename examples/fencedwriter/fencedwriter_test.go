package main

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
	"github.com/conch-lock/conch/sdk"
	"github.com/conch-lock/conch/sdk/fence"
)

func TestMain(m *testing.M) {
	// The race starts its own program as the writers: be that program.
	if len(os.Args) > 1 && os.Args[1] == "write" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// databases runs a test with each kind of database.
func databases(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), "accounts.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres(t)) })
}

// The whole demonstration, with real processes, on a real cluster, for both
// databases: with the fence nothing is lost, without it something is.
func TestRace(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	binary, err := cluster.Build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := startCluster(ctx, binary, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	databases(t, func(t *testing.T, dsn string) {
		for _, fenced := range []bool{true, false} {
			var said strings.Builder
			kind := filepath.Base(t.Name())
			s := settings{dsn: dsn, endpoints: c.Endpoints(), account: kind, ttl: time.Second, fence: fenced}
			err := race(t.Context(), s, "", &said)
			t.Log(said.String())
			if err != nil {
				t.Errorf("fence %t: %v", fenced, err)
			}
			if refused := strings.Contains(said.String(), "is stale"); refused != fenced {
				t.Errorf("fence %t: the late write was refused: %t", fenced, refused)
			}
		}
	})
}

// The judge of the race must be able to say no.
func TestJudge(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "accounts.db")
	for _, c := range []struct {
		cents int64
		fence bool
		right bool
	}{
		{115_00, true, true}, {105_00, true, false}, {110_00, true, false}, {105_00, false, true}, {115_00, false, false},
	} {
		s := settings{dsn: dsn, account: "a", fence: c.fence}
		if err := prepare(t.Context(), s, c.cents); err != nil {
			t.Fatal(err)
		}
		if err := judge(t.Context(), s, func(string, ...any) {}); (err == nil) != c.right {
			t.Errorf("%s with fence %t: %v", money(c.cents), c.fence, err)
		}
	}
}

func TestWriteChecksTheToken(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		db := prepared(t, dsn)
		for _, step := range []struct {
			token sdk.Token
			fence bool
			want  error
			left  int64
		}{
			{5, true, nil, 1},
			{4, true, fence.ErrStale, 1},
			{5, true, nil, 3}, // the same grant writes again
			{9, true, nil, 4},
			{6, true, fence.ErrStale, 4},
			{6, false, nil, 6}, // what the fence is for
			{0, true, fence.ErrInvalid, 6},
		} {
			amount := step.left
			if step.want != nil {
				amount = 77 // must not be there afterwards
			}
			if err := write(t.Context(), db, "a", amount, step.token, step.fence); !errors.Is(err, step.want) {
				t.Errorf("token %d, fence %t: %v, want %v", step.token, step.fence, err, step.want)
			}
			if got, err := balance(t.Context(), db, "a"); err != nil || got != step.left {
				t.Errorf("after token %d: the balance is %d (%v), want %d", step.token, got, err, step.left)
			}
		}
	})
}

// Whatever the order in which transactions come, the largest token writes last.
func TestConcurrentTokens(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		db := prepared(t, dsn)
		var wg sync.WaitGroup
		for token := sdk.Token(1); token <= 40; token++ {
			wg.Go(func() {
				err := write(t.Context(), db, "a", int64(token), token, true)
				if err != nil && !errors.Is(err, fence.ErrStale) {
					t.Errorf("token %d: %v", token, err)
				}
			})
		}
		wg.Wait()
		if got, err := balance(t.Context(), db, "a"); err != nil || got != 40 {
			t.Errorf("token %d wrote last (%v), want 40", got, err)
		}
	})
}

func TestRollbackForgetsTheToken(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		db := prepared(t, dsn)
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := (fence.SQL{}).Check(t.Context(), tx, lockOf("a"), 9); err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := write(t.Context(), db, "a", 3, 3, true); err != nil {
			t.Errorf("after the rollback: %v", err)
		}
	})
}

func TestMissingAccountIsNamed(t *testing.T) {
	db := prepared(t, filepath.Join(t.TempDir(), "accounts.db"))
	if _, err := balance(t.Context(), db, "nobody"); err == nil || !strings.Contains(err.Error(), `"nobody"`) {
		t.Errorf("got %v", err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"dance"}, {"write"}, {"prepare"}, {"race", "--fence", "maybe"}, {"race", "x"}, {"write", "--dsn", "x", "--account", ""},
	} {
		if err := command(t.Context(), args, strings.NewReader(""), io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v, want wrong usage", args, err)
		}
	}
}

func prepared(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	if err := prepare(t.Context(), settings{dsn: dsn, account: "a"}, 0); err != nil {
		t.Fatal(err)
	}
	db, err := open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
