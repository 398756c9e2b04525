package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/conch-lock/conch/sdk"
	"github.com/conch-lock/conch/sdk/fence"
)

// atTheGate ends the line with which a writer says that it is about to write.
const atTheGate = "next is the write"

// writer pays into the account once.
type writer struct {
	settings
	name  string
	cents int64
	hold  bool
	in    io.Reader
	out   io.Writer
}

func (w *writer) run(ctx context.Context) error {
	db, err := open(ctx, w.dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	client, err := sdk.Dial(ctx, sdk.Config{Endpoints: w.endpoints, Name: "fencedwriter " + w.name})
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		err := w.once(ctx, db, client)
		switch {
		case errors.Is(err, fence.ErrStale):
			w.say("was refused: %v", err)
		case ctx.Err() != nil:
			return err
		case errors.Is(err, sdk.ErrSessionExpired), errors.Is(err, sdk.ErrSessionEnded), errors.Is(err, sdk.ErrBroken):
			w.say("noticed in time that the lock is lost, and wrote nothing")
		default:
			return err
		}
		w.say("begins again, with a lock of today")
	}
}

// once takes the lock, reads, and writes under the lock's token.
func (w *writer) once(ctx context.Context, db *sql.DB, client *sdk.Client) error {
	session, err := client.NewSession(ctx, sdk.WithTTL(w.ttl))
	if err != nil {
		return err
	}
	defer session.Close(context.WithoutCancel(ctx))
	lock, err := session.Lock(ctx, lockOf(w.account))
	if err != nil {
		return err
	}
	cents, err := balance(ctx, db, w.account)
	if err != nil {
		return err
	}
	w.say("holds the lock with token %d and reads a balance of %s", lock.Token(), money(cents))
	if err := lock.Err(); err != nil {
		return err
	}
	// From here to the database's check nothing can stop a process from being
	// paused for as long as it likes.
	if w.hold {
		w.hold = false
		w.say("has made sure that the lock is its own; %s", atTheGate)
		if _, err := bufio.NewReader(w.in).ReadString('\n'); err != nil {
			return fmt.Errorf("wait for a line: %w", err)
		}
	}
	if err := write(ctx, db, w.account, cents+w.cents, lock.Token(), w.fence); err != nil {
		return err
	}
	w.say("wrote %s + %s = %s under token %d", money(cents), money(w.cents), money(cents+w.cents), lock.Token())
	if err := lock.Unlock(ctx); err != nil {
		w.say("learns after its write that it had lost the lock: %v", err)
	}
	return nil
}

func (w *writer) say(format string, args ...any) {
	fmt.Fprintf(w.out, w.name+" "+format+"\n", args...)
}
