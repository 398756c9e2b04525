package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/conch-lock/conch/cmd/conch/config"
	"github.com/conch-lock/conch/coordinator"
)

const (
	// stopPatience bounds a graceful stop; after it a node ends without waiting.
	stopPatience = 10 * time.Second
	// stopSlack is how much longer a node may take until it is left to the end
	// of the process.
	stopSlack = 5 * time.Second
)

// node is a running node; *coordinator.Server is one.
type node interface {
	// ClientAddress is where clients reach it.
	ClientAddress() string
	// Ready is closed when a lock can be taken through it.
	Ready() <-chan struct{}
	// Done is closed when it has ended; Err then says why, nil after Stop.
	Done() <-chan struct{}
	Err() error
	// Stop hands leadership over, ends what is under way and closes the data.
	Stop(ctx context.Context) error
	// Close ends it at once. What was acknowledged is on disk.
	Close() error
}

// nodeSpec is what a node is started with.
type nodeSpec struct {
	config.Serve
	client, peer net.Listener // nil: it listens at the addresses
	secure       secure
	log          io.Writer
}

// starter starts a node. An error means that nothing of it runs.
type starter func(nodeSpec) (node, error)

// startServer starts a real node.
func startServer(s nodeSpec) (node, error) {
	level, err := zerolog.ParseLevel(s.LogLevel)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.KeyLogLevel, err)
	}
	cfg := coordinator.Config{
		Name: s.Name, Cluster: s.Cluster, DataDir: s.DataDir, Join: s.Join,
		ListenClient: s.ListenClient, ListenPeer: s.ListenPeer, AdvertiseClient: s.AdvertiseClient,
		ClientListener: s.client, PeerListener: s.peer,
		ClientTLS: s.secure.client, PeerServerTLS: s.secure.peerServer, PeerClientTLS: s.secure.peerClient,
		Version: version(), Log: s.log, LogLevel: level,
	}
	for _, n := range s.InitialCluster {
		cfg.InitialCluster = append(cfg.InitialCluster, coordinator.Member{Name: n.Name, Peer: n.Peer})
	}
	server, err := coordinator.Start(cfg)
	if err != nil {
		return nil, err // not server: a nil *Server would be a node
	}
	return server, nil
}

// secure is how a node's two ports use TLS. Empty: they do not.
type secure struct{ client, peerServer, peerClient *tls.Config }

// serverTLS makes both ports of a node TLS when a certificate is given. Nodes
// show theirs to each other; clients need none.
func (g *globals) serverTLS() (secure, error) {
	if g.cert == "" && g.cacert == "" {
		return secure{}, nil
	}
	if g.cert == "" || g.cacert == "" {
		return secure{}, usage("a node needs all of --cert %q, --key %q and --cacert %q, or none", g.cert, g.key, g.cacert)
	}
	own, err := g.tls()
	if err != nil {
		return secure{}, err
	}
	return secure{
		client:     &tls.Config{MinVersion: tls.VersionTLS12, Certificates: own.Certificates},
		peerClient: own,
		peerServer: &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: own.Certificates,
			ClientCAs: own.RootCAs, ClientAuth: tls.RequireAndVerifyClientCert,
		},
	}, nil
}

// authorities reads a file of certificates.
func authorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, usage("--cacert: %v", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, usage("--cacert %s: no PEM certificate is in it", file)
	}
	return pool, nil
}

// logTo is where a node's log goes.
func (a *App) logTo(format string) io.Writer {
	if format == "text" {
		return zerolog.ConsoleWriter{Out: a.Err, NoColor: !a.ErrTerminal, TimeFormat: time.TimeOnly}
	}
	return a.Err
}

// lastWords writes for a moment at most, since whoever reads may have stopped.
type lastWords struct{ to io.Writer }

// lastWordsPatience is how long a write may stand still.
const lastWordsPatience = 2 * time.Second

// Write implements io.Writer.
func (w *lastWords) Write(p []byte) (int, error) {
	written := make(chan error, 1)
	text := bytes.Clone(p)
	go func() { // ends with the write, or with the process
		_, err := w.to.Write(text)
		written <- err
	}()
	select {
	case err := <-written:
		return len(p), err
	case <-time.After(lastWordsPatience):
		return 0, os.ErrDeadlineExceeded
	}
}

// onlyDefaultCell refuses to host another cell.
func (g *globals) onlyDefaultCell() error {
	if g.cell != coordinator.DefaultCell {
		return usage("--cell %q: a server hosts the cell %q alone", g.cell, coordinator.DefaultCell)
	}
	return nil
}

// stopInOrder stops a node that others go on without.
func stopInOrder(n node) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	return within(stopPatience+stopSlack, func() error { return n.Stop(ctx) })
}

// within waits for stop to return, but not for ever.
func within(most time.Duration, stop func() error) error {
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	select {
	case err := <-stopped:
		if err != nil {
			return fmt.Errorf("stop: %w", err)
		}
		return nil
	case <-time.After(most):
		return fmt.Errorf("stop: a node has not ended after %v", most)
	}
}
