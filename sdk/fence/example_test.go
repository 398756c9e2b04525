package fence_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/conch-lock/conch/sdk"
	"github.com/conch-lock/conch/sdk/fence"
)

func ExampleGuard_Do() {
	var guard fence.Guard
	write := func(token sdk.Token, what string) {
		err := guard.Do("report", token, func() error {
			fmt.Println("written:", what)
			return nil
		})
		if errors.Is(err, fence.ErrStale) {
			fmt.Println(err)
		}
	}
	write(41, "by the first holder")
	write(42, "by the second holder")
	write(41, "by the first, which was paused") // does not get through
	// Output:
	// written: by the first holder
	// written: by the second holder
	// fence: "report": token 41 is stale: 42 has been seen; nothing was written
}

// The check and the writes that it guards are one transaction.
func ExampleSQL_Check() {
	var db *sql.DB // opened elsewhere
	pay := func(ctx context.Context, token sdk.Token, account int, amount int64) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := (fence.SQL{}).Check(ctx, tx, "payouts", token); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE accounts SET balance = balance + $1 WHERE id = $2`, amount, account); err != nil {
			return err
		}
		return tx.Commit()
	}
	_ = pay
}
