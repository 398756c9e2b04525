// Package etcd is etcd as the benchmark sees it: servers built from etcd's Go
// module, and its own client.
package etcd

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/conch-lock/conch/bench/process"
	"github.com/conch-lock/conch/bench/system"
)

const nodes = 3

// The recipes.
const (
	mutex = iota
	transaction
)

// System is etcd. The zero value is ready for Prepare.
type System struct {
	binary  string
	version string
}

// Name is etcd.
func (s *System) Name() string { return "etcd" }

// Prepare builds the server of the version that etcdserver/go.mod names.
func (s *System) Prepare(ctx context.Context, cache string) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/conch-lock/conch/bench").Output()
	if err != nil {
		return fmt.Errorf("find the source of the benchmark: %w", err)
	}
	path := filepath.Join(cache, "etcd")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, ".")
	build.Dir = filepath.Join(strings.TrimSpace(string(out)), "etcdserver")
	if said, err := build.CombinedOutput(); err != nil {
		return &system.MissingError{
			What: fmt.Sprintf("the etcd server (go build in %s: %v: %s)", build.Dir, err, strings.TrimSpace(string(said))),
			How:  "let go build reach a module proxy, see GOPROXY",
		}
	}
	out, err = exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", path, err)
	}
	s.binary = path
	s.version, _, _ = strings.Cut(string(out), "\n")
	return nil
}

// Settings are the version and what differs from the defaults.
func (s *System) Settings() []string {
	return []string{
		s.version + ", built from go.etcd.io/etcd/server/v3",
		"3 nodes, defaults; only names, addresses and folders are given, and --log-level warn",
		"a client each: it is given one endpoint, in turn, as that of the nearest server, and has one connection; given all it would have one to each and take turns",
		"one client for all: it is given all endpoints, has a connection to each and takes turns, as is the default",
	}
}

// Recipes are the one that etcd comes with and the cheapest correct one.
func (s *System) Recipes() []system.Recipe {
	return []system.Recipe{
		mutex: {Name: "etcd", How: "concurrency.Session and concurrency.Mutex, a connection each; reads and writes over a connection each", Queue: true, Like: system.ConnectionEach},
		transaction: {Name: "etcd, cheapest", How: "a lease for each client; one transaction creates the key with it if absent, one deletes it if it is still the own; " +
			"all over one client, reads and writes too; no queue"},
	}
}

// ShortestTTL is 2 s: etcd raises shorter ones to one and a half election
// timeouts of 1 s.
func (s *System) ShortestTTL() time.Duration { return 2 * time.Second }

// Start starts three nodes.
func (s *System) Start(ctx context.Context, dir string) (system.Cluster, error) {
	addresses, err := process.Addresses(2 * nodes)
	if err != nil {
		return nil, err
	}
	var members []string
	for i := range nodes {
		members = append(members, fmt.Sprintf("n%d=http://%s", i+1, addresses[nodes+i]))
	}
	c := &servers{endpoints: addresses[:nodes]}
	for i := range nodes {
		name, client, peer := fmt.Sprintf("n%d", i+1), "http://"+addresses[i], "http://"+addresses[nodes+i]
		p, err := process.Start(process.Spec{
			Name: "etcd " + name, Path: s.binary, Log: filepath.Join(dir, name+".log"),
			Args: []string{
				"--name", name, "--data-dir", filepath.Join(dir, name), "--log-level", "warn",
				"--listen-client-urls", client, "--advertise-client-urls", client,
				"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
				"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "new",
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
