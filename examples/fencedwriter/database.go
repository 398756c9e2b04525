package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/conch-lock/conch/sdk"
	"github.com/conch-lock/conch/sdk/fence"
)

const accounts = `CREATE TABLE IF NOT EXISTS conch_example_account (name VARCHAR(64) PRIMARY KEY, cents BIGINT NOT NULL)`

// open opens an SQLite file or a PostgreSQL database.
func open(ctx context.Context, dsn string) (*sql.DB, error) {
	driver, source := "sqlite", "file:"+dsn+"?_pragma=busy_timeout(10000)&_txlock=immediate"
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		driver, source = "pgx", dsn
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := db.PingContext(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return db, nil
}

// prepare makes the tables, and the account with its first balance.
func prepare(ctx context.Context, s settings, cents int64) error {
	db, err := open(ctx, s.dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, accounts); err != nil {
		return fmt.Errorf("make the table of accounts: %w", err)
	}
	if err := (fence.SQL{}).Create(ctx, db); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `INSERT INTO conch_example_account (name, cents) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET cents = excluded.cents`, s.account, cents)
	if err != nil {
		return fmt.Errorf("make the account %q: %w", s.account, err)
	}
	return nil
}

// balance reads an account.
func balance(ctx context.Context, db *sql.DB, account string) (cents int64, err error) {
	err = db.QueryRowContext(ctx, `SELECT cents FROM conch_example_account WHERE name = $1`, account).Scan(&cents)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("there is no account %q: make it with fencedwriter prepare", account)
	}
	if err != nil {
		return 0, fmt.Errorf("read the account %q (fencedwriter prepare makes it): %w", account, err)
	}
	return cents, nil
}

// write sets the balance of an account. When it is fenced, the token is checked
// in the same transaction: an older one than the largest seen is refused with
// fence.ErrStale, and nothing is written.
func write(ctx context.Context, db *sql.DB, account string, cents int64, token sdk.Token, fenced bool) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if fenced {
		if err := (fence.SQL{}).Check(ctx, tx, lockOf(account), token); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `UPDATE conch_example_account SET cents = $1 WHERE name = $2`, cents, account); err != nil {
		return fmt.Errorf("write the account %q: %w", account, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// lockOf is the lock of an account, and the name under which its tokens are kept.
func lockOf(account string) string { return "account/" + account }
