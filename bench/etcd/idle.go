package etcd

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/conch-lock/conch/bench/system"
)

// idle is leases that are kept alive.
type idle struct {
	connections []*clientv3.Client
	leases      []clientv3.LeaseID
	stop        context.CancelFunc
}

// Idle grants leases and keeps them alive as the client library does it. Each
// client is given one endpoint, so that its one connection is really one.
func (s *System) Idle(ctx context.Context, endpoints []string, recipe, sessions int, ttl time.Duration) (system.Sessions, error) {
	shared, err := connections(ctx, recipe, sessions, func(i int) []string { return endpoints[i%len(endpoints) : i%len(endpoints)+1] })
	if err != nil {
		return nil, err
	}
	alive, stop := context.WithCancel(context.Background()) // until Close
	h := &idle{connections: shared, leases: make([]clientv3.LeaseID, sessions), stop: stop}
	err = system.Parallel(ctx, sessions, atOnce, func(ctx context.Context, i int) error {
		c := shared[i%len(shared)]
		lease, err := c.Grant(ctx, int64(ttl/time.Second))
		if err != nil {
			return err
		}
		h.leases[i] = lease.ID
		answers, err := c.KeepAlive(alive, lease.ID)
		if err != nil {
			return err
		}
		go func() { // ends with alive, or with the lease
			for range answers {
			}
		}()
		return nil
	})
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Lost counts the leases that the cluster does not know any more.
func (h *idle) Lost(ctx context.Context) (int, error) {
	r, err := h.connections[0].Leases(ctx)
	if err != nil {
		return 0, fmt.Errorf("etcd: list the leases: %w", err)
	}
	known := make(map[clientv3.LeaseID]bool)
	for _, l := range r.Leases {
		known[l.ID] = true
	}
	lost := 0
	for _, id := range h.leases {
		if !known[id] {
			lost++
		}
	}
	return lost, nil
}

// Close hangs up; the leases run out.
func (h *idle) Close() {
	h.stop()
	hangUp(h.connections)
}
