//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
)

const pausedLock = "paused/0"

// pausedTTL is how long the session of the stopped client lives.
const pausedTTL = time.Second

// stopAWriter has a client stopped between looking at its lock and writing,
// until another one has got the lock and written. It returns the store: with a
// fence it has refused the late write, without it has lost an update.
func stopAWriter(ctx context.Context, endpoints []string, j *recorder.Journal, fenced bool) (*store, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	st := newStore(fenced)
	armed, wrote, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var once [3]sync.Once
	p := &process{
		worker: &worker{Name: "paused", Kind: "paused", TTL: pausedTTL, Endpoints: endpoints, to: newHistory(st, j)},
		errors: os.Stderr,
		hear: func(m message) {
			switch {
			case m.Armed:
				once[0].Do(func() { close(armed) })
			case m.Write != "":
				once[1].Do(func() { close(wrote) })
			case m.Done:
				once[2].Do(func() { close(done) })
			}
		},
	}
	if err := p.start(); err != nil {
		return nil, err
	}
	defer p.kill()
	await := func(c <-chan struct{}, what string) error {
		select {
		case <-c:
			return nil
		case <-p.done:
			select {
			case <-c:
				return nil
			default:
			}
			return fmt.Errorf("the client to be stopped ended before it %s", what)
		case <-ctx.Done():
			return fmt.Errorf("the client to be stopped has not %s: %w", what, ctx.Err())
		}
	}
	if err := await(armed, "had its lock"); err != nil {
		return nil, err
	}
	client, err := sdk.Dial(ctx, sdk.Config{Endpoints: endpoints, Name: "successor"})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := succeed(ctx, client, st, j); err != nil {
		return nil, fmt.Errorf("the successor of the stopped client: %w", err)
	}
	if err := p.signal(syscall.SIGCONT); err != nil {
		return nil, err
	}
	return st, errors.Join(await(wrote, "written"), await(done, "noticed that its lock is lost"))
}

// succeed takes the lock after the stopped client, writes and gives it back.
func succeed(ctx context.Context, client *sdk.Client, st *store, j *recorder.Journal) error {
	s, err := client.NewSession(ctx)
	if err != nil {
		return err
	}
	calls := &recorder.Client{Name: "successor", Sink: j, Now: now}
	g, err := calls.Lock(ctx, s, false, one(pausedLock))
	if err != nil {
		return err
	}
	if err := st.write(pausedLock, g.Token()); err != nil {
		return err
	}
	calls.Believed(g.ID(), now())
	return calls.Unlock(ctx, g)
}

// proveFence has a writer stopped, without a fence and with one, and says what is
// wrong with the outcome.
func proveFence(stop func(fenced bool) (*store, error)) (wrong []string, err error) {
	for _, fenced := range []bool{false, true} {
		st, err := stop(fenced)
		if err != nil {
			return nil, fmt.Errorf("stopped writer, fence %v: %w", fenced, err)
		}
		writes, stale, refused := st.figures()
		switch {
		case !fenced && stale == 0:
			wrong = append(wrong, fmt.Sprintf("stopped writer: without a fence the late write must be taken: %d writes, %d stale", writes, stale))
		case fenced && (stale != 0 || refused == 0):
			wrong = append(wrong, fmt.Sprintf("stopped writer: the fence must refuse the late write: %d writes, %d stale, %d refused", writes, stale, refused))
		}
	}
	return wrong, nil
}
