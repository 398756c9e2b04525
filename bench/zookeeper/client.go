package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/conch-lock/conch/bench/system"
)

const (
	atOnce     = 32 // sessions that are opened at the same time
	defaultTTL = 10 * time.Second
)

// Dial opens sessions. They end with ctx, too: the library knows no contexts, so
// that is what ends a call that hangs.
func (s *System) Dial(ctx context.Context, endpoints []string, recipe, clients int, ttl time.Duration) (*system.Fleet, error) {
	if ttl == 0 {
		ttl = defaultTTL
	}
	all := make([]*client, clients)
	fleet := &system.Fleet{Close: func() {
		var workers sync.WaitGroup
		for _, c := range all {
			if c != nil {
				workers.Go(c.conn.Close)
			}
		}
		workers.Wait()
	}}
	err := system.Parallel(ctx, clients, atOnce, func(dialing context.Context, i int) error {
		conn, err := connect(dialing, endpoints, ttl)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, conn.Close) // calls of the library cannot be cancelled, but fail then
		all[i] = &client{conn: conn, recipe: recipe, locks: make(map[string]*zk.Lock)}
		return nil
	})
	for _, folder := range []string{"/locks", "/keys", "/elections"} {
		if err == nil {
			if _, err = all[0].conn.Create(folder, nil, 0, zk.WorldACL(zk.PermAll)); errors.Is(err, zk.ErrNodeExists) {
				err = nil
			}
		}
	}
	if err != nil {
		fleet.Close()
		return nil, err
	}
	for _, c := range all {
		fleet.Clients = append(fleet.Clients, c)
	}
	return fleet, nil
}

// connect returns when the session is there.
func connect(ctx context.Context, endpoints []string, ttl time.Duration) (*zk.Conn, error) {
	conn, events, err := zk.Connect(endpoints, ttl, zk.WithLogInfo(false), zk.WithLogger(silent{}))
	if err != nil {
		return nil, err
	}
	for {
		select {
		case e := <-events:
			if e.State != zk.StateHasSession {
				continue
			}
			go func() { // ends when the connection is closed
				for range events {
				}
			}()
			return conn, nil
		case <-ctx.Done():
			conn.Close()
			return nil, fmt.Errorf("zookeeper: open a session: %w", ctx.Err())
		}
	}
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// client is one session.
type client struct {
	conn   *zk.Conn
	recipe int
	locks  map[string]*zk.Lock // of the sequential recipe, made once
}

// Lock waits in the library, and closes the connection when ctx ends.
func (c *client) Lock(ctx context.Context, name string) (func(context.Context) error, error) {
	stop := context.AfterFunc(ctx, c.conn.Close)
	defer stop()
	path := "/locks/" + name
	if c.recipe == sequential {
		l, ok := c.locks[path]
		if !ok {
			l = zk.NewLock(c.conn, path, zk.WorldACL(zk.PermAll))
			c.locks[path] = l
		}
		return func(context.Context) error { return l.Unlock() }, l.Lock()
	}
	path += ".node" // the other recipe has a folder of that name
	_, err := c.conn.Create(path, nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
	if errors.Is(err, zk.ErrNodeExists) {
		return nil, system.ErrHeld
	}
	return func(context.Context) error { return c.conn.Delete(path, -1) }, err
}

// Get has the server catch up with the leader first.
func (c *client) Get(_ context.Context, key string) ([]byte, error) {
	path := "/keys/" + key
	if _, err := c.conn.Sync(path); err != nil {
		return nil, err
	}
	value, _, err := c.conn.Get(path)
	return value, err
}

func (c *client) Put(_ context.Context, key string, value []byte) error {
	path := "/keys/" + key
	_, err := c.conn.Set(path, value, -1)
	if errors.Is(err, zk.ErrNoNode) {
		_, err = c.conn.Create(path, value, 0, zk.WorldACL(zk.PermAll))
	}
	return err
}
