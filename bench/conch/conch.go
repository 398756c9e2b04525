// Package conch is Conch as the benchmark sees it: real servers, and the client
// library with its default settings.
package conch

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/conch-lock/conch/bench/process"
	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/internal/cluster"
	"github.com/conch-lock/conch/sdk"
)

const nodes = 3

// The recipes.
const (
	oneConnection = iota
	connectionEach
)

// System is Conch. The zero value is ready for Prepare.
type System struct {
	binary  string
	version string
}

// Name is conch.
func (s *System) Name() string { return "conch" }

// Prepare builds the program from the source that this module is beside.
func (s *System) Prepare(ctx context.Context, cache string) error {
	path, err := cluster.Build(ctx, cache)
	if err != nil {
		return fmt.Errorf("%w (the benchmark must be run in its own folder)", err)
	}
	out, err := exec.CommandContext(ctx, path, "version").Output()
	if err != nil {
		return fmt.Errorf("%s version: %w", path, err)
	}
	s.binary, s.version = path, strings.TrimSpace(string(out))+", "+builtFrom(ctx, path)
	return nil
}

// Settings are the version and what differs from the defaults.
func (s *System) Settings() []string {
	return []string{
		s.version,
		"3 nodes, defaults; only names, addresses and folders are given, and --log-level warn",
	}
}

// Recipes are two: the client library is made for many sessions over one
// connection, but clients on machines of their own have one each.
func (s *System) Recipes() []system.Recipe {
	return []system.Recipe{
		oneConnection:  {Name: "Conch", How: "a session for each client, all over one connection; Session.Lock, Lock.Unlock", Queue: true, Many: true},
		connectionEach: {Name: system.ConnectionEach, How: "the same with a connection for each client", Queue: true},
	}
}

// ShortestTTL is that of the client library.
func (s *System) ShortestTTL() time.Duration { return sdk.MinTTL }

// Start starts three nodes.
func (s *System) Start(ctx context.Context, dir string) (system.Cluster, error) {
	addresses, err := process.Addresses(2 * nodes)
	if err != nil {
		return nil, err
	}
	var members []string
	for i := range nodes {
		members = append(members, fmt.Sprintf("n%d=%s", i+1, addresses[nodes+i]))
	}
	c := &servers{endpoints: addresses[:nodes]}
	for i := range nodes {
		name := fmt.Sprintf("n%d", i+1)
		c.dirs = append(c.dirs, filepath.Join(dir, name))
		p, err := process.Start(process.Spec{
			Name: "conch " + name, Path: s.binary, Log: filepath.Join(dir, name+".log"),
			Args: []string{
				"serve", "--name", name, "--data-dir", c.dirs[i], "--log-level", "warn",
				"--listen-client", addresses[i], "--listen-peer", addresses[nodes+i], "--initial-cluster", strings.Join(members, ","),
			},
		})
		if err != nil {
			c.Close()
			return nil, err
		}
		c.all = append(c.all, p)
	}
	if err := c.serving(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Dial opens sessions.
func (s *System) Dial(ctx context.Context, endpoints []string, recipe, clients int, ttl time.Duration) (*system.Fleet, error) {
	h, err := open(ctx, endpoints, recipe, clients, ttl)
	if err != nil {
		return nil, err
	}
	f := &system.Fleet{Close: h.Close}
	for i, session := range h.sessions {
		f.Clients = append(f.Clients, &client{h.connections[i%len(h.connections)], session})
	}
	return f, nil
}

// Idle opens sessions that only live.
func (s *System) Idle(ctx context.Context, endpoints []string, recipe, sessions int, ttl time.Duration) (system.Sessions, error) {
	return open(ctx, endpoints, recipe, sessions, ttl)
}
