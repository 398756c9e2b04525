package coordinator

import (
	"context"
	"errors"
)

// Server is a running node.
type Server struct{}

// Start brings a node up: it opens the data directory, joins the others, and
// listens for clients. It returns once the node listens; [Server.Ready] tells
// when it serves. An error names what could not be used, and nothing is left
// running.
func Start(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return nil, errors.New("the server is not there yet")
}

// Name is the node's name.
func (s *Server) Name() string { return "" }

// ClientAddress is where clients reach the node, PeerAddress where the other
// nodes do.
func (s *Server) ClientAddress() string { return "" }

// PeerAddress is where the other nodes reach the node.
func (s *Server) PeerAddress() string { return "" }

// Ready is closed once the node has seen a leader and caught up with it, so that
// a lock can be taken. It stays closed.
func (s *Server) Ready() <-chan struct{} { return nil }

// Done is closed when the node has ended, by itself or by Stop or Close.
func (s *Server) Done() <-chan struct{} { return nil }

// Err says, once Done is closed, why the node ended by itself: a failed log, a
// full disk, damaged data. It is nil after Stop and Close, and before.
func (s *Server) Err() error { return nil }

// Stop ends the node in good order: it hands leadership to another node, refuses
// new requests, ends those under way, lets streams take what is queued for them,
// and closes everything. When ctx ends it goes on without waiting. It returns
// when nothing of the node runs any more.
func (s *Server) Stop(ctx context.Context) error { return nil }

// Close ends the node at once, without handing over.
func (s *Server) Close() error { return nil }
