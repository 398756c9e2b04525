package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"storj.io/drpc"
	"storj.io/drpc/drpcctx"
	"storj.io/drpc/drpcmanager"
	"storj.io/drpc/drpcmux"
	"storj.io/drpc/drpcserver"
	"storj.io/drpc/drpcstream"
	"storj.io/drpc/drpcwire"

	"github.com/conch-lock/conch/api"
)

const (
	// maxFrame is the largest message that a client may send; the connection of
	// one that sends more is closed.
	maxFrame = 4 << 20
	// rpcStream is the one method that is a stream.
	rpcStream = "/conch.v1.Conch/Stream"
	// maxUnaryCall is how long a unary call is served at most.
	maxUnaryCall = maxUnaryWait + 10*time.Second
)

// rpcHandler calls the methods of the service. A panic in one is that call's
// end alone.
type rpcHandler struct {
	mux      *drpcmux.Mux
	log      zerolog.Logger
	metrics  *requestMetrics
	decoding *decoding
	idle     time.Duration // how long a connection may be open without a call on it
}

func newRPCHandler(s service, log zerolog.Logger, m *requestMetrics) (*rpcHandler, error) {
	h := &rpcHandler{mux: drpcmux.New(), log: log, metrics: m, decoding: newDecoding(), idle: s.loop.cfg.idleTimeout}
	if err := api.DRPCRegisterConch(h.mux, s); err != nil {
		return nil, fmt.Errorf("register the methods: %w", err)
	}
	return h, nil
}

// HandleRPC implements drpc.Handler.
func (h *rpcHandler) HandleRPC(stream drpc.Stream, rpc string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.metrics.panics.Inc()
			h.log.Error().Interface("panic", p).Str("rpc", rpc).Str("stack", stack()).Msg("serving a call panicked")
			err = &rpcError{internal(p)}
		}
	}()
	if wire, ok := stream.(*drpcstream.Stream); ok {
		b := &bounded{Stream: stream, wire: wire, decoding: h.decoding, keep: rpc == rpcStream}
		if tr, ok := drpcctx.Transport(wire.Context()); ok {
			b.conn, _ = tr.(*conn)
		}
		defer b.done()
		stream = b
	}
	return h.mux.HandleRPC(stream, rpc)
}

// serveRPC serves the calls on one connection until it ends.
func (h *rpcHandler) serveRPC(ctx context.Context, c *conn) {
	server := drpcserver.NewWithOptions(h, drpcserver.Options{Manager: drpcmanager.Options{
		WriterBufferSize:  16 << 10,
		Reader:            drpcwire.ReaderOptions{MaximumBufferSize: maxFrame},
		Stream:            drpcstream.Options{MaximumBufferSize: 256 << 10},
		InactivityTimeout: h.idle,
	}})
	err := server.ServeOne(ctx, c)
	if drpc.ProtocolError.Has(err) {
		h.metrics.malformed.Inc()
		h.log.Info().Err(err).Stringer("client", c.RemoteAddr()).Msg("a client broke the protocol, its connection was closed")
	} else if err != nil && !errors.Is(err, context.Canceled) {
		h.log.Debug().Err(err).Stringer("client", c.RemoteAddr()).Msg("a client's connection ended")
	}
}
