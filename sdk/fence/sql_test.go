package fence

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/conch-lock/conch/sdk"
)

// databases runs a test against every database there is.
func databases(t *testing.T, test func(t *testing.T, db *sql.DB)) {
	t.Run("sqlite", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "data.db")
		test(t, connect(t, "sqlite", "file:"+file+"?_pragma=busy_timeout(20000)&_txlock=immediate"))
	})
}

func connect(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, q := range []string{`DROP TABLE IF EXISTS conch_fence`, `DROP TABLE IF EXISTS written`, `CREATE TABLE written (token BIGINT)`} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time it is there
		if err := (SQL{}).Create(t.Context(), db); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// write checks the token and writes it in one transaction.
func write(ctx context.Context, db *sql.DB, resource string, token sdk.Token) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := (SQL{}).Check(ctx, tx, resource, token); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO written (token) VALUES ($1)`, int64(token)); err != nil {
		return err
	}
	return tx.Commit()
}

func TestSQLRefusesSmallerTokens(t *testing.T) {
	databases(t, func(t *testing.T, db *sql.DB) {
		for _, step := range []struct {
			resource string
			token    sdk.Token
			want     error
		}{
			{"accounts", 5, nil},
			{"accounts", 5, nil},
			{"accounts", 4, ErrStale},
			{"accounts", 9, nil},
			{"accounts", 5, ErrStale},
			{"other", 1, nil},
			{"accounts", 0, ErrInvalid},
			{"accounts", 1<<63 - 1, nil},
		} {
			if err := write(t.Context(), db, step.resource, step.token); !errors.Is(err, step.want) {
				t.Errorf("token %d of %q: %v, want %v", step.token, step.resource, err, step.want)
			}
		}
		var stale *StaleError
		if err := write(t.Context(), db, "accounts", 7); !errors.As(err, &stale) || stale.Seen != 1<<63-1 {
			t.Errorf("got %+v", stale)
		}
		var n int
		if err := db.QueryRow(`SELECT count(*) FROM written`).Scan(&n); err != nil || n != 5 {
			t.Errorf("%d rows are written (%v), want 5: a refused write left something", n, err)
		}
	})
}

func TestSQLForgetsATokenThatWasRolledBack(t *testing.T) {
	databases(t, func(t *testing.T, db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if err := (SQL{}).Check(t.Context(), tx, "accounts", 9); err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := write(t.Context(), db, "accounts", 3); err != nil {
			t.Errorf("after the rollback: %v", err)
		}
	})
}

func TestSQLWritersInAnyOrder(t *testing.T) {
	databases(t, func(t *testing.T, db *sql.DB) {
		var wg sync.WaitGroup
		for token := sdk.Token(1); token <= 30; token++ {
			wg.Go(func() {
				if err := write(t.Context(), db, "accounts", token); err != nil && !errors.Is(err, ErrStale) {
					t.Errorf("token %d: %v", token, err)
				}
			})
		}
		wg.Wait()
		var last int64
		if err := db.QueryRow(`SELECT token FROM conch_fence WHERE resource = $1`, "accounts").Scan(&last); err != nil || last != 30 {
			t.Errorf("the largest token noted is %d (%v), want 30", last, err)
		}
		if err := db.QueryRow(`SELECT max(token) FROM written`).Scan(&last); err != nil || last != 30 {
			t.Errorf("the largest token written is %d (%v), want 30", last, err)
		}
	})
}
