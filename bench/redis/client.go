package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/conch-lock/conch/bench/system"
)

const defaultTTL = 10 * time.Second

// release deletes a lock that is still the caller's own.
const release = `if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) else return 0 end`

// Dial connects clients.
func (s *System) Dial(ctx context.Context, endpoints []string, _, clients int, ttl time.Duration) (*system.Fleet, error) {
	if ttl == 0 {
		ttl = defaultTTL
	}
	f := &system.Fleet{}
	var all []*redis.Client
	f.Close = func() {
		for _, r := range all {
			_ = r.Close()
		}
	}
	for i := range clients {
		r := redis.NewClient(&redis.Options{Addr: endpoints[0], PoolSize: 1})
		all = append(all, r)
		f.Clients = append(f.Clients, &client{r: r, release: redis.NewScript(release), id: strconv.Itoa(i), ttl: ttl})
		if err := r.Ping(ctx).Err(); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// client is one connection.
type client struct {
	r       *redis.Client
	release *redis.Script
	id      string
	ttl     time.Duration
	tries   uint64
}

func (c *client) Lock(ctx context.Context, name string) (func(context.Context) error, error) {
	key := "locks/" + name
	c.tries++
	mark := c.id + "/" + strconv.FormatUint(c.tries, 10)
	err := c.r.SetArgs(ctx, key, mark, redis.SetArgs{Mode: "NX", TTL: c.ttl}).Err()
	if errors.Is(err, redis.Nil) {
		return nil, system.ErrHeld
	}
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		deleted, err := c.release.Run(ctx, c.r, []string{key}, mark).Int()
		if err == nil && deleted != 1 {
			err = fmt.Errorf("redis: the lock %q was lost", name)
		}
		return err
	}, nil
}

func (c *client) Get(ctx context.Context, key string) ([]byte, error) {
	return c.r.Get(ctx, "keys/"+key).Bytes()
}

func (c *client) Put(ctx context.Context, key string, value []byte) error {
	return c.r.Set(ctx, "keys/"+key, value, 0).Err()
}
