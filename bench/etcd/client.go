package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"

	"github.com/conch-lock/conch/bench/system"
)

const (
	atOnce     = 64 // connections and sessions that are opened at the same time
	defaultTTL = 60 * time.Second
)

func connect(endpoints []string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
}

// connections are as many as the recipe has for that many clients. The library
// connects a client to every endpoint that it is given, and sends its requests to
// them in turn.
func connections(ctx context.Context, recipe, clients int, endpoints func(i int) []string) ([]*clientv3.Client, error) {
	all := make([]*clientv3.Client, 1)
	if recipe == mutex {
		all = make([]*clientv3.Client, clients)
	}
	err := system.Parallel(ctx, len(all), atOnce, func(_ context.Context, i int) (err error) {
		all[i], err = connect(endpoints(i))
		return err
	})
	if err != nil {
		hangUp(all)
		return nil, err
	}
	return all, nil
}

func hangUp(all []*clientv3.Client) {
	for _, c := range all {
		if c != nil {
			_ = c.Close()
		}
	}
}

// Dial opens connections and, with the session or the lease of each client,
// what its locks are held in.
func (s *System) Dial(ctx context.Context, endpoints []string, recipe, clients int, ttl time.Duration) (*system.Fleet, error) {
	if ttl == 0 {
		ttl = defaultTTL
	}
	shared, err := connections(ctx, recipe, clients, func(i int) []string {
		if recipe == mutex { // so that a connection each is one
			return endpoints[i%len(endpoints) : i%len(endpoints)+1]
		}
		return endpoints
	})
	if err != nil {
		return nil, err
	}
	all, closers := make([]system.Client, clients), make([]func(), clients)
	err = system.Parallel(ctx, clients, atOnce, func(ctx context.Context, i int) error {
		c := shared[i%len(shared)]
		// The session is not bound to ctx: it lives until it is closed.
		session, err := concurrency.NewSession(c, concurrency.WithTTL(int(ttl/time.Second)))
		if err != nil {
			return err
		}
		closers[i] = func() { _ = session.Close() }
		if recipe == mutex {
			all[i] = &mutexClient{keys{c}, session}
		} else {
			all[i] = &transactionClient{keys{c}, session.Lease()}
		}
		return nil
	})
	fleet := &system.Fleet{Clients: all, Close: func() {
		var workers sync.WaitGroup
		for _, end := range closers {
			if end != nil {
				workers.Go(end)
			}
		}
		workers.Wait()
		hangUp(shared)
	}}
	if err != nil {
		fleet.Close()
		return nil, err
	}
	return fleet, nil
}

// keys reads and writes.
type keys struct{ c *clientv3.Client }

func (k keys) Get(ctx context.Context, key string) ([]byte, error) {
	r, err := k.c.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	if len(r.Kvs) == 0 {
		return nil, fmt.Errorf("etcd: no key %q", key)
	}
	return r.Kvs[0].Value, nil
}

func (k keys) Put(ctx context.Context, key string, value []byte) error {
	_, err := k.c.Put(ctx, key, string(value))
	return err
}

// mutexClient uses what package concurrency offers.
type mutexClient struct {
	keys
	session *concurrency.Session
}

func (c *mutexClient) Lock(ctx context.Context, name string) (func(context.Context) error, error) {
	m := concurrency.NewMutex(c.session, "/locks/"+name)
	if err := m.Lock(ctx); err != nil {
		return nil, err
	}
	return m.Unlock, nil
}

func (c *mutexClient) Campaign(ctx context.Context, election, value string) (func(context.Context) error, error) {
	e := concurrency.NewElection(c.session, "/elections/"+election)
	if err := e.Campaign(ctx, value); err != nil {
		return nil, err
	}
	return e.Resign, nil
}

func (c *mutexClient) Observe(ctx context.Context, election string, seen func(value string)) error {
	e := concurrency.NewElection(c.session, "/elections/"+election)
	for r := range e.Observe(ctx) {
		seen(string(r.Kvs[0].Value))
	}
	if ctx.Err() == nil {
		return errors.New("etcd: the observation ended by itself")
	}
	return nil
}

// transactionClient takes and releases a lock with one transaction each.
type transactionClient struct {
	keys
	lease clientv3.LeaseID
}

func (c *transactionClient) Lock(ctx context.Context, name string) (func(context.Context) error, error) {
	key := "/locks/" + name
	r, err := c.c.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, "", clientv3.WithLease(c.lease))).Commit()
	if err != nil {
		return nil, err
	}
	if !r.Succeeded {
		return nil, system.ErrHeld
	}
	created := r.Header.Revision
	return func(ctx context.Context) error {
		r, err := c.c.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(key), "=", created)).
			Then(clientv3.OpDelete(key)).Commit()
		if err == nil && !r.Succeeded {
			err = fmt.Errorf("etcd: the lock %q was lost", name)
		}
		return err
	}, nil
}
