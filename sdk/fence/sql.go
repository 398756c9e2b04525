package fence

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/conch-lock/conch/sdk"
)

// SQL keeps the largest token of each resource in the table conch_fence of the
// database that it guards:
//
//	CREATE TABLE conch_fence (resource VARCHAR(512) PRIMARY KEY, token BIGINT NOT NULL)
//
// Its statements are understood by SQLite (3.24 or newer) and PostgreSQL. The
// zero value is ready.
type SQL struct{}

const (
	createTable = `CREATE TABLE IF NOT EXISTS conch_fence (resource VARCHAR(512) PRIMARY KEY, token BIGINT NOT NULL)`

	// One statement takes the row's lock and writes the token unless a larger
	// one is there, so that two transactions cannot pass each other: the
	// second waits for the first to end, and then compares with what it wrote.
	noteToken = `INSERT INTO conch_fence (resource, token) VALUES ($1, $2)
ON CONFLICT (resource) DO UPDATE SET token = excluded.token WHERE conch_fence.token <= excluded.token`

	seenToken = `SELECT token FROM conch_fence WHERE resource = $1`
)

// Execer is what Create needs of a *sql.DB, *sql.Conn or *sql.Tx.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Create makes the table if there is none.
func (SQL) Create(ctx context.Context, db Execer) error {
	if _, err := db.ExecContext(ctx, createTable); err != nil {
		return fmt.Errorf("fence: create the table conch_fence: %w", err)
	}
	return nil
}

// Check notes a token of a resource within the caller's transaction, and
// refuses it with ErrStale when a larger one was committed before. Call it
// before the writes that it guards and in the same transaction: then they
// commit together or not at all, and a writer with a smaller token waits, and
// is refused. After any error the transaction must be rolled back.
//
// A database that cannot serialise two such transactions reports an error of
// its own (PostgreSQL under repeatable read or stricter, SQLite when the
// database is locked); the caller may try the whole transaction again.
func (SQL) Check(ctx context.Context, tx *sql.Tx, resource string, token sdk.Token) error {
	if err := check(resource, token); err != nil {
		return err
	}
	res, err := tx.ExecContext(ctx, noteToken, resource, int64(token))
	if err != nil {
		return fmt.Errorf("fence: %q: note token %d: %w", resource, token, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("fence: %q: note token %d: %w", resource, token, err)
	}
	if n == 1 {
		return nil
	}
	var seen int64
	if err := tx.QueryRowContext(ctx, seenToken, resource).Scan(&seen); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("fence: %q: read the token: %w", resource, err)
	}
	return &StaleError{Resource: resource, Token: token, Seen: sdk.Token(seen)}
}
