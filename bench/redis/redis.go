// Package redis is Redis as the benchmark sees it: one server from the Debian
// package, not replicated, and the client library github.com/redis/go-redis.
//
// It is no peer in what it promises: an acknowledged write is on one disk. It
// shows what a lock costs when nobody has to agree.
package redis

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/conch-lock/conch/bench/process"
	"github.com/conch-lock/conch/bench/system"
)

// System is Redis. The zero value is ready for Prepare.
type System struct {
	binary  string
	version string
}

// Name is redis.
func (s *System) Name() string { return "redis" }

// Prepare finds the package.
func (s *System) Prepare(ctx context.Context, _ string) error {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return &system.MissingError{What: "redis-server", How: "apt-get install redis-server"}
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", path, err)
	}
	s.binary, s.version = path, strings.TrimSpace(string(out))
	return nil
}

// Settings are the version and what differs from the defaults.
func (s *System) Settings() []string {
	return []string{s.version, "1 node, not replicated; appendonly yes, appendfsync always; otherwise defaults"}
}

// Recipes are one.
func (s *System) Recipes() []system.Recipe {
	return []system.Recipe{{
		Name: "Redis, one node",
		How:  "SET NX with a time to live, and a script that compares and deletes; a connection each; no queue, no session",
		Like: system.ConnectionEach,
	}}
}

// ShortestTTL is none: there are no sessions.
func (s *System) ShortestTTL() time.Duration { return 0 }

// Start starts the server.
func (s *System) Start(ctx context.Context, dir string) (system.Cluster, error) {
	addresses, err := process.Addresses(1)
	if err != nil {
		return nil, err
	}
	host, port, _ := strings.Cut(addresses[0], ":")
	p, err := process.Start(process.Spec{
		Name: "redis", Path: s.binary, Log: filepath.Join(dir, "redis.log"), Dir: dir,
		Args: []string{"--bind", host, "--port", port, "--dir", dir, "--appendonly", "yes", "--appendfsync", "always"},
	})
	if err != nil {
		return nil, err
	}
	c := &server{p, addresses[0]}
	if err := c.serving(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Idle is not offered: what lives on its own in Redis are keys.
func (s *System) Idle(context.Context, []string, int, int, time.Duration) (system.Sessions, error) {
	return nil, system.ErrNotOffered
}

// server is the one server.
type server struct {
	process *process.Process
	address string
}

func (c *server) Servers() []*process.Process         { return []*process.Process{c.process} }
func (c *server) Endpoints() []string                 { return []string{c.address} }
func (c *server) Leader(context.Context) (int, error) { return 0, system.ErrNotOffered }
func (c *server) Close()                              { c.process.Kill() }

func (c *server) Restart(ctx context.Context, _ int) error {
	p, err := c.process.Again()
	if err != nil {
		return err
	}
	c.process = p
	return c.serving(ctx)
}

func (c *server) serving(ctx context.Context) error {
	r := redis.NewClient(&redis.Options{Addr: c.address, MaxRetries: -1})
	defer r.Close()
	err := system.Until(ctx, func(ctx context.Context) error {
		if !c.process.Running() {
			return c.process.Complaint("it does not serve")
		}
		return r.Ping(ctx).Err()
	})
	if err != nil {
		return fmt.Errorf("redis does not serve: %w", err)
	}
	return nil
}
