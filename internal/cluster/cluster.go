package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// poll is between two looks at something that is waited for.
const poll = 20 * time.Millisecond

// Config says what to run. Binary and Dir are needed.
type Config struct {
	// Binary is the path of the conch program.
	Binary string
	// Dir is an existing folder for the data and the logs of the nodes.
	Dir string
	// Nodes is how many; 0: three.
	Nodes int
	// Args are further arguments of every node's conch serve.
	Args []string
	// Hosts are where the nodes run, one each; empty: all on 127.0.0.1, on free
	// ports.
	Hosts []Host
	// Piped has the nodes write their log to a pipe that is read here and copied
	// to their LogFile, so that Mute can stop reading.
	Piped bool
}

// Host is a network of its own for a node.
type Host struct {
	// Address is where the node listens.
	Address string
	// Enter is the command, with arguments, that runs another one there.
	Enter []string
}

// Cluster is nodes of conch, each a process of its own. Its methods may be
// called from several goroutines.
type Cluster struct {
	nodes []*Node

	mu     sync.Mutex
	client *sdk.Client // for Status, opened when it is first needed
}

// New chooses the ports and folders of a cluster. Nothing runs yet.
func New(cfg Config) (*Cluster, error) {
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	ports, err := freePorts(2 * cfg.Nodes)
	if err != nil {
		return nil, err
	}
	c := &Cluster{}
	var members []string
	for i := range cfg.Nodes {
		n := &Node{
			Name:     fmt.Sprintf("n%d", i+1),
			Endpoint: fmt.Sprintf("127.0.0.1:%d", ports[2*i]),
			Peer:     fmt.Sprintf("127.0.0.1:%d", ports[2*i+1]),
		}
		if len(cfg.Hosts) > 0 {
			h := cfg.Hosts[i]
			n.Endpoint, n.Peer, n.enter = h.Address+":7654", h.Address+":7754", h.Enter
		}
		n.Data = filepath.Join(cfg.Dir, n.Name)
		n.LogFile = filepath.Join(cfg.Dir, n.Name+".log")
		c.nodes = append(c.nodes, n)
		members = append(members, n.Name+"="+n.Peer)
	}
	for _, n := range c.nodes {
		n.binary, n.members, n.more = cfg.Binary, strings.Join(members, ","), cfg.Args
		if cfg.Piped {
			n.reader = newReader()
		}
	}
	return c, nil
}

// Start starts every node that does not run and waits until all are ready.
func (c *Cluster) Start(ctx context.Context) error {
	for _, n := range c.nodes {
		if n.Running() {
			continue
		}
		if err := n.Start(); err != nil {
			return err
		}
	}
	for _, n := range c.nodes {
		if err := n.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Nodes are all nodes, running or not.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// Endpoints are the client addresses of all nodes.
func (c *Cluster) Endpoints() []string {
	var out []string
	for _, n := range c.nodes {
		out = append(out, n.Endpoint)
	}
	return out
}

// Status asks the cell for its state.
func (c *Cluster) Status(ctx context.Context) (sdk.Status, error) {
	client, err := c.dial(ctx)
	if err != nil {
		return sdk.Status{}, err
	}
	return client.Status(ctx)
}

// Leader waits until the cell is led by a node that runs, and returns it.
func (c *Cluster) Leader(ctx context.Context) (*Node, error) {
	var leader *Node
	err := c.until(ctx, "a leader", func(s sdk.Status) bool {
		for _, n := range c.nodes {
			if n.Name == s.Leader && n.Running() {
				leader = n
				return true
			}
		}
		return false
	})
	return leader, err
}

// Healthy waits until every node runs, is seen by the one that answers, and
// follows or leads.
func (c *Cluster) Healthy(ctx context.Context) error {
	return c.until(ctx, "all nodes to be healthy", func(s sdk.Status) bool {
		healthy := 0
		for _, n := range s.Nodes {
			if n.Healthy && n.Role != "unknown" && n.Applied > 0 {
				healthy++
			}
		}
		return s.Leader != "" && healthy == len(c.nodes)
	})
}

// until asks for the state until it is as wanted.
func (c *Cluster) until(ctx context.Context, what string, wanted func(sdk.Status) bool) error {
	var last error
	for {
		try, cancel := context.WithTimeout(ctx, time.Second)
		s, err := c.Status(try)
		cancel()
		if err == nil && wanted(s) {
			return nil
		}
		if err != nil {
			last = err
		} else {
			last = fmt.Errorf("the state was %+v", s)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w: %w", what, ctx.Err(), last)
		case <-time.After(poll):
		}
	}
}

func (c *Cluster) dial(ctx context.Context) (*sdk.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		client, err := sdk.Dial(ctx, sdk.Config{Endpoints: c.Endpoints(), Name: "cluster"})
		if err != nil {
			return nil, err
		}
		c.client = client
	}
	return c.client, nil
}

// KillAll kills all nodes at once with SIGKILL and waits until they are gone.
func (c *Cluster) KillAll() error {
	var errs []error
	for _, n := range c.nodes { // all signals before any waiting
		errs = append(errs, n.Signal(os.Kill))
	}
	for _, n := range c.nodes {
		n.wait()
	}
	return errors.Join(errs...)
}

// Close kills what runs. The data stays.
func (c *Cluster) Close() {
	c.mu.Lock()
	client := c.client
	c.client = nil
	c.mu.Unlock()
	for _, n := range c.nodes {
		if n.Running() {
			_ = n.Signal(os.Kill)
		}
	}
	for _, n := range c.nodes {
		n.wait()
	}
	if client != nil {
		_ = client.Close()
	}
}
