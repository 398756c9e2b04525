package conch

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/conch-lock/conch/bench/process"
	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/sdk"
)

// servers are the nodes of a cell, by their numbers less one.
type servers struct {
	all       []*process.Process
	endpoints []string
	dirs      []string // of their data
}

func (c *servers) Servers() []*process.Process { return slices.Clone(c.all) }
func (c *servers) Endpoints() []string         { return slices.Clone(c.endpoints) }
func (c *servers) Close()                      { process.KillAll(c.all) }

// Leader asks the cell.
func (c *servers) Leader(ctx context.Context) (int, error) {
	s, err := c.status(ctx)
	if err != nil {
		return 0, err
	}
	for i := range c.all {
		if s.Leader == fmt.Sprintf("n%d", i+1) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("conch: no node leads: %+v", s)
}

// Snapshotting looks for the file that a snapshot is written into.
func (c *servers) Snapshotting(server int) (bool, error) {
	files, err := filepath.Glob(filepath.Join(c.dirs[server], "cells", "default", "snapshots", "*.snap.tmp"))
	return len(files) > 0, err
}

func (c *servers) Restart(ctx context.Context, server int) error {
	p, err := c.all[server].Again()
	if err != nil {
		return err
	}
	c.all[server] = p
	if err := c.ready(ctx, server); err != nil {
		return err
	}
	return c.serving(ctx)
}

// ready waits until a node says itself that it serves: what the others say of
// it is a little old.
func (c *servers) ready(ctx context.Context, server int) error {
	return system.Until(ctx, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.endpoints[server]+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("conch: node n%d is not ready: %s", server+1, resp.Status)
		}
		return nil
	})
}

// serving waits until every node is healthy and one leads.
func (c *servers) serving(ctx context.Context) error {
	err := system.Until(ctx, func(ctx context.Context) error {
		for _, p := range c.all {
			if !p.Running() {
				return p.Complaint("it does not serve")
			}
		}
		s, err := c.status(ctx)
		if err != nil {
			return err
		}
		healthy := 0
		for _, n := range s.Nodes {
			if n.Healthy && n.Applied > 0 {
				healthy++
			}
		}
		if s.Leader == "" || healthy < len(c.all) {
			return fmt.Errorf("conch: the state is %+v", s)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("conch does not serve: %w", err)
	}
	return nil
}

func (c *servers) status(ctx context.Context) (sdk.Status, error) {
	client, err := sdk.Dial(ctx, sdk.Config{Endpoints: c.endpoints, Name: "bench status"})
	if err != nil {
		return sdk.Status{}, err
	}
	defer client.Close()
	return client.Status(ctx)
}
