package etcd

import (
	"context"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/conch-lock/conch/bench/process"
	"github.com/conch-lock/conch/bench/system"
)

// servers are the members of a cluster.
type servers struct {
	all       []*process.Process
	endpoints []string
}

func (c *servers) Servers() []*process.Process { return slices.Clone(c.all) }
func (c *servers) Endpoints() []string         { return slices.Clone(c.endpoints) }
func (c *servers) Close()                      { process.KillAll(c.all) }

// Leader asks the members, each for itself.
func (c *servers) Leader(ctx context.Context) (int, error) {
	var last error
	for i, endpoint := range c.endpoints {
		s, err := status(ctx, endpoint)
		if err != nil {
			last = err
		} else if s.Leader == s.Header.MemberId {
			return i, nil
		}
	}
	return 0, fmt.Errorf("etcd: no member leads: %w", last)
}

func (c *servers) Restart(ctx context.Context, server int) error {
	p, err := c.all[server].Again()
	if err != nil {
		return err
	}
	c.all[server] = p
	return c.serving(ctx)
}

// serving waits until every member knows the leader.
func (c *servers) serving(ctx context.Context) error {
	err := system.Until(ctx, func(ctx context.Context) error {
		for i, endpoint := range c.endpoints {
			if !c.all[i].Running() {
				return c.all[i].Complaint("it does not serve")
			}
			s, err := status(ctx, endpoint)
			if err != nil {
				return err
			}
			if s.Leader == 0 {
				return fmt.Errorf("etcd: %s knows no leader", endpoint)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("etcd does not serve: %w", err)
	}
	return nil
}

func status(ctx context.Context, endpoint string) (*clientv3.StatusResponse, error) {
	client, err := connect([]string{endpoint})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	return client.Status(ctx, endpoint)
}
