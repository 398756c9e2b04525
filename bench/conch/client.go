package conch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/sdk"
)

// atOnce bounds what is opened or closed at the same time.
const atOnce = 64

// holding is sessions and the connections that they are over: one for all, or
// as many as sessions.
type holding struct {
	connections []*sdk.Client
	sessions    []*sdk.Session
}

func open(ctx context.Context, endpoints []string, recipe, count int, ttl time.Duration) (*holding, error) {
	h := &holding{sessions: make([]*sdk.Session, count), connections: make([]*sdk.Client, 1)}
	if recipe == connectionEach {
		h.connections = make([]*sdk.Client, count)
	}
	var opts []sdk.SessionOption
	if ttl > 0 {
		opts = append(opts, sdk.WithTTL(ttl))
	}
	err := system.Parallel(ctx, len(h.connections), atOnce, func(ctx context.Context, i int) (err error) {
		h.connections[i], err = sdk.Dial(ctx, sdk.Config{Endpoints: endpoints, Name: "bench"})
		return err
	})
	if err == nil {
		err = system.Parallel(ctx, count, atOnce, func(ctx context.Context, i int) (err error) {
			h.sessions[i], err = h.connections[i%len(h.connections)].NewSession(ctx, opts...)
			return err
		})
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Lost counts the sessions that are over.
func (h *holding) Lost(context.Context) (int, error) {
	lost := 0
	for _, s := range h.sessions {
		if s.Err() != nil {
			lost++
		}
	}
	return lost, nil
}

// Close closes the connections, and with them the sessions.
func (h *holding) Close() {
	var workers sync.WaitGroup
	free := make(chan struct{}, atOnce)
	for _, c := range h.connections {
		if c == nil {
			continue
		}
		free <- struct{}{}
		workers.Go(func() {
			_ = c.Close() // the sessions expire if this could not close them
			<-free
		})
	}
	workers.Wait()
}

// client is one session.
type client struct {
	connection *sdk.Client
	session    *sdk.Session
}

func (c *client) Lock(ctx context.Context, name string) (func(context.Context) error, error) {
	l, err := c.session.Lock(ctx, name)
	if err != nil {
		return nil, err
	}
	return l.Unlock, nil
}

func (c *client) Get(ctx context.Context, key string) ([]byte, error) {
	kv, err := c.connection.Get(ctx, key)
	return kv.Value, err
}

func (c *client) Put(ctx context.Context, key string, value []byte) error {
	_, err := c.connection.Put(ctx, key, value)
	return err
}

func (c *client) Campaign(ctx context.Context, election, value string) (func(context.Context) error, error) {
	l, err := c.session.Campaign(ctx, election, []byte(value))
	if err != nil {
		return nil, err
	}
	return l.Resign, nil
}

func (c *client) Observe(ctx context.Context, election string, seen func(value string)) error {
	for change, err := range c.connection.Observe(ctx, election) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if change.Leader != nil {
			seen(string(change.Leader.Value))
		}
	}
	if ctx.Err() == nil {
		return errors.New("conch: the observation ended by itself")
	}
	return nil
}
