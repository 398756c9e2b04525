package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/conch-lock/conch/cmd/conch/config"
)

const (
	// maxDevNodes bounds --nodes: a cluster in one process has no use for more.
	maxDevNodes = 9
	// peerOffset is between the client ports of conch dev and its peer ports.
	peerOffset = 100
	// readyPatience bounds the wait until a lock can be taken.
	readyPatience = time.Minute
)

type devRequest struct {
	nodes   int
	dataDir string
	listen  string
	level   string
}

func (a *App) devCommand() *cobra.Command {
	r := devRequest{}
	c := &cobra.Command{
		Use: "dev", Short: "Run a whole cluster in this process, for a first look and for tests",
		Long: `Dev runs a real cluster in one process until it gets SIGINT or SIGTERM. It prints
"ready ENDPOINTS" on standard output once a lock can be taken. Client ports count up
from --listen, the ports between nodes from 100 above it; with port 0 the system
chooses. Without --data-dir the data is in a temporary folder that is removed at the
end; with it the cluster is there again at the next start.`,
		Example: `  conch dev
  conch dev --nodes 1 --listen 127.0.0.1:0
  conch dev --data-dir ./conch-data`,
		Args: exactly(),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			return a.dev(ctx, r)
		}),
	}
	f := c.Flags()
	f.IntVar(&r.nodes, "nodes", 3, "how many nodes: `N`")
	f.StringVar(&r.dataDir, "data-dir", "", "keep the data in folder `DIR`")
	f.StringVar(&r.listen, "listen", defaultEndpoint, "`HOST:PORT` of the first node's clients")
	f.StringVar(&r.level, config.KeyLogLevel, "warn", "`LEVEL` of logs: debug, info, warn or error")
	return c
}

// dev runs the cluster until it is told to stop.
func (a *App) dev(ctx context.Context, r devRequest) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := a.global.onlyDefaultCell(); err != nil {
		return err
	}
	secure, err := a.global.serverTLS()
	if err != nil {
		return err
	}
	specs, err := r.specs()
	defer closeListeners(specs) // of nodes that were not started
	if err != nil {
		return err
	}
	if r.dataDir == "" {
		if r.dataDir, err = os.MkdirTemp("", "conch-dev-"); err != nil {
			return fmt.Errorf("dev: make a temporary folder: %w", err)
		}
		defer os.RemoveAll(r.dataDir)
	}
	if err := keepNodes(r.dataDir, r.nodes); err != nil {
		return err
	}
	log := &hush{to: a.logTo("text")}
	for i := range specs {
		specs[i].DataDir = filepath.Join(r.dataDir, specs[i].Name)
		specs[i].secure, specs[i].log = secure, log
		if err := specs[i].Check(); err != nil {
			return err
		}
	}
	nodes, err := a.startAll(specs)
	defer func() { // before the folder is removed
		log.off.Store(true)
		err = errors.Join(err, closeAll(nodes))
	}()
	if err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	return a.devUntil(ctx, stop, nodes)
}

// nodesFile in the folder of a dev cluster says how many nodes it has.
const nodesFile = "nodes"

// keepNodes notes how many nodes the cluster in dir has, or refuses another
// number than the one it began with.
func keepNodes(dir string, nodes int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("dev: --data-dir: %w", err)
	}
	file := filepath.Join(dir, nodesFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(file, fmt.Appendf(nil, "%d\n", nodes), 0o600); err != nil {
			return fmt.Errorf("dev: --data-dir: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("dev: --data-dir: %w", err)
	}
	had, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("dev: --data-dir %s: %s does not say how many nodes it has: %.40q", dir, file, text)
	}
	if had != nodes {
		return usage("--nodes %d: the cluster in --data-dir %s has %d: use --nodes %d, or another folder", nodes, dir, had, had)
	}
	return nil
}

// devUntil says when the cluster is ready and waits for its end.
func (a *App) devUntil(ctx context.Context, stop func(), nodes []node) error {
	var endpoints []string
	for _, n := range nodes {
		endpoints = append(endpoints, n.ClientAddress())
	}
	ended := firstEnded(nodes)
	ready := time.After(readyPatience)
	for _, n := range nodes {
		select {
		case <-n.Ready():
		case n := <-ended:
			return fmt.Errorf("dev: node %s ended: %w", n.ClientAddress(), n.Err())
		case <-ready:
			return fmt.Errorf("dev: node %s is not ready after %v", n.ClientAddress(), readyPatience)
		case <-ctx.Done():
			return nil // told to stop before it was ready
		}
	}
	if err := a.results().Ready(endpoints); err != nil {
		return err
	}
	select {
	case n := <-ended:
		return fmt.Errorf("dev: node %s ended: %w", n.ClientAddress(), n.Err())
	case <-ctx.Done():
		stop() // a second signal ends the process at once
		return nil
	}
}

// specs listens on the ports of each node. Those that it returns are to be
// closed, also with an error.
func (r devRequest) specs() ([]nodeSpec, error) {
	if r.nodes < 1 || r.nodes > maxDevNodes {
		return nil, usage("--nodes %d: 1 to %d are allowed", r.nodes, maxDevNodes)
	}
	if err := config.CheckListen("--listen", r.listen); err != nil {
		return nil, exitWith(exitUsage, &usageError{err.Error()})
	}
	host, portText, _ := net.SplitHostPort(r.listen)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return nil, usage("--listen %q: name one address, like 127.0.0.1:7654: nodes and clients are told it", r.listen)
	}
	port, _ := strconv.Atoi(portText)
	if port == 0 && r.dataDir != "" {
		return nil, usage("--listen %q with --data-dir %s: name a port, the nodes must find each other there at the next start too", r.listen, r.dataDir)
	}
	if most := 65535 - peerOffset - r.nodes; port > most {
		return nil, usage("--listen %q: a port up to %d is allowed with --nodes %d", r.listen, most, r.nodes)
	}
	listen := func(offset int) (net.Listener, error) {
		p := 0 // the system chooses
		if port != 0 {
			p = port + offset
		}
		return net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(p)))
	}
	var out []nodeSpec
	var cluster []config.Node
	for i := range r.nodes {
		s := nodeSpec{Serve: config.Serve{Name: fmt.Sprintf("n%d", i+1), LogLevel: r.level, LogFormat: "text"}}
		var err error
		if s.client, err = listen(i); err == nil {
			s.ListenClient = s.client.Addr().String()
			s.peer, err = listen(peerOffset + i)
		}
		out = append(out, s)
		if err != nil {
			return out, fmt.Errorf("dev: node %s: %w", s.Name, err)
		}
		out[i].ListenPeer = s.peer.Addr().String()
		cluster = append(cluster, config.Node{Name: s.Name, Peer: out[i].ListenPeer})
	}
	for i := range out {
		out[i].InitialCluster = cluster
	}
	return out, nil
}

func closeListeners(specs []nodeSpec) {
	for _, s := range specs {
		if s.client != nil {
			s.client.Close()
		}
		if s.peer != nil {
			s.peer.Close()
		}
	}
}

// startAll starts the nodes. With an error it returns those that run.
func (a *App) startAll(specs []nodeSpec) ([]node, error) {
	var nodes []node
	for _, s := range specs {
		n, err := a.start(s)
		if err != nil {
			return nodes, fmt.Errorf("start node %s: %w", s.Name, err)
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// closeAll ends all nodes at once: with the whole cluster going, there is nobody
// to hand over to.
func closeAll(nodes []node) error {
	return within(stopSlack, func() error {
		errs := make(chan error, len(nodes))
		for _, n := range nodes {
			go func() { errs <- n.Close() }()
		}
		var all error
		for range nodes {
			all = errors.Join(all, <-errs)
		}
		return all
	})
}

// hush is a log until it is switched off: that nodes miss each other while all
// of them end is no news.
type hush struct {
	to  io.Writer
	off atomic.Bool
}

func (h *hush) Write(p []byte) (int, error) {
	if h.off.Load() {
		return len(p), nil
	}
	return h.to.Write(p)
}

// firstEnded tells of the nodes that end.
func firstEnded(nodes []node) <-chan node {
	c := make(chan node, len(nodes))
	for _, n := range nodes {
		go func() { // ends when the node is stopped
			<-n.Done()
			c <- n
		}()
	}
	return c
}
