package zookeeper

import (
	"context"
	"errors"

	"github.com/go-zookeeper/zk"
)

// Campaign creates one ephemeral node with the value, and watches it while it
// is somebody else's.
func (c *client) Campaign(ctx context.Context, election, value string) (func(context.Context) error, error) {
	path := "/elections/" + election
	for {
		_, err := c.conn.Create(path, []byte(value), zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
		if err == nil {
			return func(context.Context) error { return c.conn.Delete(path, -1) }, nil
		}
		if !errors.Is(err, zk.ErrNodeExists) {
			return nil, err
		}
		exists, _, changed, err := c.conn.ExistsW(path)
		if err != nil {
			return nil, err
		}
		if !exists {
			continue
		}
		if err := await(ctx, changed); err != nil {
			return nil, err
		}
	}
}

// Observe reads the node and watches it.
func (c *client) Observe(ctx context.Context, election string, seen func(value string)) error {
	path := "/elections/" + election
	for ctx.Err() == nil {
		value, _, changed, err := c.conn.GetW(path)
		if err == nil {
			seen(string(value))
		} else if errors.Is(err, zk.ErrNoNode) {
			var exists bool
			if exists, _, changed, err = c.conn.ExistsW(path); err == nil && exists {
				continue
			}
		}
		if err != nil {
			return err
		}
		if err := await(ctx, changed); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func await(ctx context.Context, changed <-chan zk.Event) error {
	select {
	case e := <-changed:
		return e.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}
