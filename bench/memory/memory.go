// Package memory is a coordination service within the process of the benchmark.
// It tests the workloads and what is around them. Its servers are processes that
// only sleep: killing or stopping the first one takes it out of service until a
// fixed time has passed, as if another were elected.
package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/conch-lock/conch/bench/process"
	"github.com/conch-lock/conch/bench/system"
)

// Election is how long the service is away after its leader was killed.
const Election = 30 * time.Millisecond

// errAway: no server leads.
var errAway = errors.New("memory: no server leads")

// System is the service. The zero value is ready for use; one value serves one
// cluster at a time.
type System struct {
	mu      sync.Mutex
	cluster *servers
	locks   map[string]*lock
	keys    map[string][]byte
	seen    map[string][]func(string) // observers by election
	leads   map[string]string         // who leads, by election
}

// Name implements [system.System].
func (s *System) Name() string { return "memory" }

// Prepare implements [system.System]: there is nothing to build.
func (s *System) Prepare(context.Context, string) error { return nil }

// Settings implements [system.System].
func (s *System) Settings() []string { return []string{"within the process"} }

// ShortestTTL implements [system.System]: any would do.
func (s *System) ShortestTTL() time.Duration { return 50 * time.Millisecond }

// Recipes are one with a queue and one without.
func (s *System) Recipes() []system.Recipe {
	return []system.Recipe{{Name: "Memory", How: "a queue", Queue: true}, {Name: "Memory, cheapest", How: "no queue"}}
}

// Start starts three processes.
func (s *System) Start(_ context.Context, dir string) (system.Cluster, error) {
	path, err := exec.LookPath("sleep")
	if err != nil {
		return nil, err
	}
	c := &servers{}
	for i := range 3 {
		p, err := process.Start(process.Spec{
			Name: fmt.Sprintf("memory n%d", i+1), Path: path, Args: []string{"3600"}, Log: filepath.Join(dir, "log"),
		})
		if err != nil {
			c.Close()
			return nil, err
		}
		c.all = append(c.all, p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cluster, s.locks, s.keys = c, make(map[string]*lock), make(map[string][]byte)
	s.seen, s.leads = make(map[string][]func(string)), make(map[string]string)
	return c, nil
}

// Dial makes clients.
func (s *System) Dial(_ context.Context, _ []string, recipe, clients int, _ time.Duration) (*system.Fleet, error) {
	f := &system.Fleet{Close: func() {}}
	for range clients {
		f.Clients = append(f.Clients, &client{s, recipe == 0})
	}
	return f, nil
}

// Idle makes sessions that cost nothing.
func (s *System) Idle(_ context.Context, _ []string, recipe, _ int, _ time.Duration) (system.Sessions, error) {
	if recipe != 0 {
		return nil, system.ErrNotOffered
	}
	return sessions{}, nil
}

type sessions struct{}

func (sessions) Lost(context.Context) (int, error) { return 0, nil }
func (sessions) Close()                            {}

// servers are three processes.
type servers struct {
	mu   sync.Mutex
	all  []*process.Process
	lead int       // who leads, or led last
	away time.Time // since when it is known to be gone; zero: it is there
}

func (c *servers) Servers() []*process.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

func (c *servers) Endpoints() []string { return []string{"memory"} }
func (c *servers) Close()              { process.KillAll(c.Servers()) }

// Snapshotting is so for half of the time.
func (c *servers) Snapshotting(int) (bool, error) {
	return time.Now().UnixMilli()/10%2 == 0, nil
}

func (c *servers) Leader(context.Context) (int, error) {
	err := c.serves()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lead, err
}

func (c *servers) Restart(_ context.Context, server int) error {
	p, err := c.Servers()[server].Again()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[server] = p
	return nil
}

// serves says why nothing can be asked now, and elects when it is time.
func (c *servers) serves() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if alive(c.all[c.lead]) {
		c.away = time.Time{}
		return nil
	}
	if c.away.IsZero() {
		c.away = time.Now()
	}
	if time.Since(c.away) < Election {
		return errAway
	}
	c.lead = slices.IndexFunc(c.all, alive)
	if c.lead < 0 {
		c.lead = 0
		return errAway
	}
	c.away = time.Time{}
	return nil
}

// alive tells whether a process runs and did not get SIGSTOP.
func alive(p *process.Process) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	return p.Running() && err == nil && !bytes.Contains(stat, []byte(") T "))
}
