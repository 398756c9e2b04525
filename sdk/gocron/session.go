package conchcron

import (
	"context"
	"fmt"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// closeTimeout bounds how long an end is waited for that nobody else bounds.
const closeTimeout = 5 * time.Second

// session is one session of the cell, opened when it is needed and again after
// it was lost.
type session struct {
	client *sdk.Client
	opts   []sdk.SessionOption
	turn   chan struct{} // has one element while nobody is in get or close

	s      *sdk.Session // guarded by turn
	closed bool
}

func newSession(client *sdk.Client, ttl time.Duration, labels map[string]string) (*session, error) {
	if ttl == 0 {
		ttl = sdk.DefaultTTL
	}
	if ttl < sdk.MinTTL || ttl > sdk.MaxTTL {
		return nil, fmt.Errorf("conchcron: TTL %v: %v to %v are allowed, 0 for %v", ttl, sdk.MinTTL, sdk.MaxTTL, sdk.DefaultTTL)
	}
	k := &session{client: client, opts: []sdk.SessionOption{sdk.WithTTL(ttl), sdk.WithLabels(labels)}, turn: make(chan struct{}, 1)}
	k.turn <- struct{}{}
	return k, nil
}

// get returns the session, and opens it when there is none.
func (k *session) get(ctx context.Context) (*sdk.Session, error) {
	select {
	case <-k.turn:
		defer func() { k.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, fmt.Errorf("conchcron: open a session: %w", context.Cause(ctx))
	}
	if k.closed {
		return nil, ErrClosed
	}
	if k.s != nil && k.s.Err() == nil {
		return k.s, nil
	}
	s, err := k.client.NewSession(ctx, k.opts...)
	if err != nil {
		return nil, fmt.Errorf("conchcron: %w", err)
	}
	k.s = s
	return s, nil
}

// close ends the session for good.
func (k *session) close(ctx context.Context) error {
	select {
	case <-k.turn:
		defer func() { k.turn <- struct{}{} }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	k.closed = true
	if k.s == nil || k.s.Err() != nil {
		return nil
	}
	return k.s.Close(ctx)
}
