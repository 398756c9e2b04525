package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// Do is the short way: take the lock, run a function, release.
func ExampleClient_Do() {
	ctx := context.Background()
	c, err := sdk.Dial(ctx, sdk.Config{Endpoints: []string{"127.0.0.1:7654"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	err = c.Do(ctx, "nightly-report", func(ctx context.Context, token sdk.Token) error {
		// Hand the token to whatever is written to, and stop when ctx ends.
		return writeReport(ctx, token)
	}, sdk.WithWait(time.Minute))
	switch {
	case errors.Is(err, sdk.ErrWaitTimedOut):
		log.Print("somebody else is at it")
	case err != nil:
		log.Fatal(err)
	}
}

// A try tells who is in the way.
func ExampleSession_TryLock() {
	ctx := context.Background()
	c, err := sdk.Dial(ctx, sdk.Config{Endpoints: []string{"127.0.0.1:7654"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	s, err := c.NewSession(ctx, sdk.WithTTL(5*time.Second), sdk.WithLabels(map[string]string{"host": "a1"}))
	if err != nil {
		log.Fatal(err)
	}

	lock, err := s.TryLock(ctx, "disk-7")
	if refusal := (*sdk.Error)(nil); errors.Is(err, sdk.ErrHeld) && errors.As(err, &refusal) {
		fmt.Printf("session %d holds it since %v\n", refusal.Holder, refusal.Since)
		return
	} else if err != nil {
		log.Fatal(err)
	}
	defer lock.Unlock(ctx)

	select {
	case <-lock.Done():
		log.Print("lost: ", lock.Err())
	case <-time.After(time.Second):
	}
}

// An application that needs some time to stop begins in jeopardy, while the
// lock is still its own.
func ExampleSession_States() {
	ctx := context.Background()
	c, err := sdk.Dial(ctx, sdk.Config{Endpoints: []string{"127.0.0.1:7654"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	s, err := c.NewSession(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for state := range s.States(ctx) {
		switch state {
		case sdk.Healthy:
			log.Print("go on")
		case sdk.Jeopardy:
			log.Printf("begin nothing new; safe until %v", s.Deadline())
		case sdk.Lost:
			log.Print("stop: ", s.Err())
		}
	}
}

// A watch goes on across reconnects. Lagging is told and is not the end.
func ExampleClient_Watch() {
	ctx := context.Background()
	c, err := sdk.Dial(ctx, sdk.Config{Endpoints: []string{"127.0.0.1:7654"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for batch, err := range c.Watch(ctx, sdk.Prefix("config/"), sdk.FromRevision(2)) {
		if errors.Is(err, sdk.ErrLagging) {
			log.Print(err) // the rest follows
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		for _, e := range batch.Events {
			fmt.Println(batch.Revision, e.KV.Key, e.Deleted)
		}
	}
}

func writeReport(context.Context, sdk.Token) error { return nil }

// Lead is the loop of a worker of which exactly one must run.
func ExampleClient_Lead() {
	ctx := context.Background() // that of the process: it ends at its shutdown
	c, err := sdk.Dial(ctx, sdk.Config{Endpoints: []string{"127.0.0.1:7654"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	err = c.Lead(ctx, "mailer", func(ctx context.Context, token sdk.Token) error {
		l, _ := sdk.LeadershipOf(ctx)
		if p := l.Predecessor(); p.Ended == sdk.ReasonExpired {
			log.Printf("the last one died after %s: look at its work", p.Value)
		}
		for batch := 0; ctx.Err() == nil; batch++ {
			if err := writeReport(ctx, token); err != nil {
				return err // resigns: another one has a go
			}
			if err := l.Proclaim(ctx, fmt.Appendf(nil, "batch %d", batch)); err != nil {
				return err
			}
		}
		return ctx.Err()
	}, sdk.WithValue([]byte("host a1")))
	if err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

// A client that follows the leader.
func ExampleClient_Observe() {
	ctx := context.Background()
	c, err := sdk.Dial(ctx, sdk.Config{Endpoints: []string{"127.0.0.1:7654"}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for change, err := range c.Observe(ctx, "database/primary") {
		if err != nil {
			log.Fatal(err)
		}
		if change.Leader == nil {
			fmt.Println("no primary: hold requests back")
			continue
		}
		fmt.Printf("term %d: connect to %s\n", change.Term, change.Leader.Value)
	}
}
