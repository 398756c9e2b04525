package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/conch-lock/conch/sdk"
	"github.com/conch-lock/conch/sdk/fence"
)

// A tick may stand in the table any number of times: whether it does is what is
// to be seen.
const table = `CREATE TABLE IF NOT EXISTS ticks (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	due_ms INTEGER NOT NULL, -- the tick: when it was due
	ran_ms INTEGER NOT NULL,
	worker TEXT NOT NULL,
	token INTEGER NOT NULL   -- 0: none
)`

// row is one run of a tick.
type row struct {
	due, ran time.Time
	worker   string
	token    sdk.Token
}

// open opens the database and makes what is missing.
func open(ctx context.Context, file string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	if _, err := db.ExecContext(ctx, table); err != nil {
		db.Close()
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	if err := (fence.SQL{}).Create(ctx, db); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// record writes a run of a tick. A token older than the largest one seen is
// refused with fence.ErrStale, and nothing is written.
func record(ctx context.Context, db *sql.DB, r row) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if r.token != 0 {
		if err := (fence.SQL{}).Check(ctx, tx, "ticks", r.token); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO ticks (due_ms, ran_ms, worker, token) VALUES ($1, $2, $3, $4)`,
		r.due.UnixMilli(), r.ran.UnixMilli(), r.worker, int64(r.token)); err != nil {
		return fmt.Errorf("write the tick of %v: %w", r.due, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit the tick of %v: %w", r.due, err)
	}
	return nil
}

// rows are all runs in the order in which they were written.
func rows(ctx context.Context, db *sql.DB) ([]row, error) {
	found, err := db.QueryContext(ctx, `SELECT due_ms, ran_ms, worker, token FROM ticks ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("read the ticks: %w", err)
	}
	defer found.Close()
	var out []row
	for found.Next() {
		var r row
		var due, ran, token int64
		if err := found.Scan(&due, &ran, &r.worker, &token); err != nil {
			return nil, fmt.Errorf("read the ticks: %w", err)
		}
		r.due, r.ran, r.token = time.UnixMilli(due), time.UnixMilli(ran), sdk.Token(token)
		out = append(out, r)
	}
	return out, found.Err()
}

// check says what is wrong with the rows, if anything is.
func check(ctx context.Context, s settings, gap time.Duration, out io.Writer) error {
	db, err := open(ctx, s.db)
	if err != nil {
		return err
	}
	defer db.Close()
	all, err := rows(ctx, db)
	if err != nil {
		return err
	}
	var wrong []error
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	ran := make(map[int64][]string)
	whose := make(map[sdk.Token]string)
	longest := time.Duration(0)
	for i, r := range all {
		// 1. Every tick once.
		due := r.due.UnixMilli()
		if ran[due] = append(ran[due], r.worker); len(ran[due]) == 2 {
			bad("the tick of %s ran in %s and in %s", clock(r.due), ran[due][0], ran[due][1])
		}
		// 2. Under tokens that only grow, each of one worker.
		if w, known := whose[r.token]; known && w != r.worker && r.token != 0 {
			bad("token %d was that of %s and of %s", r.token, w, r.worker)
		}
		whose[r.token] = r.worker
		if i == 0 {
			continue
		}
		before := all[i-1]
		if r.token < before.token {
			bad("%s wrote under token %d after %s under %d", r.worker, r.token, before.worker, before.token)
		}
		// 3. Without a gap longer than allowed.
		longest = max(longest, r.due.Sub(before.due))
		if gap > 0 && r.due.Sub(before.due) > gap {
			bad("%v passed between the ticks of %s and %s: at most %v are allowed", r.due.Sub(before.due), clock(before.due), clock(r.due), gap)
		}
	}
	if len(all) == 0 {
		bad("no tick ran")
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("the ticks are WRONG:\n%w", err)
	}
	fmt.Fprintf(out, "the ticks are right: %d ran, each once, under %d tokens that only grow; the longest time between two was %v\n", len(ran), len(whose), longest)
	return nil
}

// clock shows a tick.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }
