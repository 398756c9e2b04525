package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"strconv"
	"time"

	"storj.io/drpc"
	"storj.io/drpc/drpchttp"

	"github.com/conch-lock/conch/api"
)

// newHTTP makes the HTTP side of the client port: health, metrics, and every
// unary method as JSON under POST /conch.v1.Conch/METHOD.
func (s *Server) newHTTP(h *rpcHandler) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", s.metrics.handler())
	methods := drpchttp.NewWithOptions(h, drpchttp.WithProtocol("application/json", jsonProtocol{h.decoding}))
	mux.Handle("POST /conch.v1.Conch/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), maxUnaryCall)
		defer cancel()
		// The package knows other protocols, and chooses by this.
		r = r.Clone(ctx)
		r.Header.Set("Content-Type", "application/json")
		methods.ServeHTTP(w, r)
	}))
	return &http.Server{
		// A page in somebody's browser must not take locks.
		Handler: http.NewCrossOriginProtection().Handler(mux),
		ConnState: func(c net.Conn, state http.ConnState) {
			if c, ok := c.(*conn); ok && state == http.StateIdle {
				c.rest()
			}
		},
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		// No WriteTimeout: an acquire may wait; each write has its deadline.
		ErrorLog: stdlog.New(io.Discard, "", 0),
	}
}

// healthz: the process is alive and its loop turns.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	turned, err := s.turn.after(s.group.Do)
	if err == nil {
		select {
		case <-turned:
		case <-ctx.Done():
			err = errors.New("the loop of the cell has not turned for 2 s")
		}
	}
	health(w, err)
}

// readyz: the node sees a leader and has caught up with it.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	health(w, s.CheckReady(ctx))
}

func health(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, err) // the client is gone
		return
	}
	_, _ = fmt.Fprintln(w, "ok") // the client is gone
}

// jsonProtocol is how a unary method is called over HTTP: JSON both ways, and an
// error as an object with its code, message and whether it is definite.
type jsonProtocol struct {
	decoding *decoding
}

// NewStream implements drpchttp.Protocol.
func (p jsonProtocol) NewStream(w http.ResponseWriter, r *http.Request) drpchttp.Stream {
	return &jsonStream{decoding: p.decoding, ctx: r.Context(), body: http.MaxBytesReader(w, r.Body, maxFrame), w: w}
}

type jsonStream struct {
	decoding *decoding

	ctx    context.Context
	body   io.Reader
	w      http.ResponseWriter
	taken  bool
	answer []byte
}

func (s *jsonStream) Context() context.Context { return s.ctx }
func (s *jsonStream) CloseSend() error         { return nil }
func (s *jsonStream) Close() error             { return nil }

// MsgSend implements drpc.Stream.
func (s *jsonStream) MsgSend(msg drpc.Message, enc drpc.Encoding) (err error) {
	s.answer, err = drpchttp.JSONMarshal(msg, enc)
	return err
}

// MsgRecv implements drpc.Stream. No body is an empty message.
func (s *jsonStream) MsgRecv(msg drpc.Message, enc drpc.Encoding) error {
	if s.taken {
		return io.EOF
	}
	s.taken = true
	b, err := io.ReadAll(s.body)
	if err != nil {
		return &rpcError{invalid("the body of the request: %v", err)}
	}
	if len(b) == 0 {
		b = []byte("{}")
	}
	if err := s.decoding.measureJSON(b); err != nil {
		return err
	}
	if len(b) > largeMessage {
		s.decoding.places <- struct{}{}
		defer func() { <-s.decoding.places }()
	}
	if err := drpchttp.JSONUnmarshal(b, msg, enc); err != nil {
		return &rpcError{invalid("the body of the request is not the JSON of its message: %v", err)}
	}
	return nil
}

// httpError is an error as HTTP clients see it.
type httpError struct {
	Code         string            `json:"code"`
	Message      string            `json:"message"`
	Definite     bool              `json:"definite"`
	Holder       uint64            `json:"holder,omitempty"`
	Token        uint64            `json:"token,omitempty"`
	Since        *time.Time        `json:"since,omitempty"`
	Position     uint32            `json:"position,omitempty"`
	HolderLabels map[string]string `json:"holder_labels,omitempty"`
	RetryAfterMs uint64            `json:"retry_after_ms,omitempty"`
	Revision     uint64            `json:"revision,omitempty"`
	Leader       string            `json:"leader_endpoint,omitempty"`
}

// Finish implements drpchttp.Stream.
func (s *jsonStream) Finish(err error) {
	s.w.Header().Set("Content-Type", "application/json")
	if err == nil {
		_, _ = s.w.Write(append(s.answer, '\n')) // the client is gone
		return
	}
	e := &api.Error{Code: api.Code_INVALID_ARGUMENT, Message: err.Error(), Definite: true}
	status := http.StatusNotFound // an unknown method is the one other error
	if r := (*rpcError)(nil); errors.As(err, &r) {
		e = r.e
		status = httpStatus(e.GetCode())
	}
	out := httpError{
		Code: e.GetCode().String(), Message: e.GetMessage(), Definite: e.GetDefinite(), Holder: e.GetHolder(), Token: e.GetToken(),
		Position: e.GetPosition(), HolderLabels: e.GetHolderLabels(), RetryAfterMs: e.GetRetryAfterMs(), Revision: e.GetRevision(),
		Leader: e.GetLeaderEndpoint(),
	}
	if ms := e.GetSinceUnixMs(); ms != 0 {
		t := time.UnixMilli(ms).UTC()
		out.Since = &t
	}
	if ms := e.GetRetryAfterMs(); ms != 0 {
		s.w.Header().Set("Retry-After", strconv.FormatUint((ms+999)/1000, 10))
	}
	s.w.WriteHeader(status)
	_ = json.NewEncoder(s.w).Encode(out) // the client is gone
}

// httpStatus is the nearest that HTTP has to a code.
func httpStatus(code api.Code) int {
	switch code {
	case api.Code_INVALID_ARGUMENT, api.Code_FUTURE_REVISION, api.Code_SEQUENCE_TOO_OLD:
		return http.StatusBadRequest
	case api.Code_UNKNOWN_OUTCOME:
		return http.StatusGatewayTimeout
	case api.Code_NO_LEADER, api.Code_UNAVAILABLE:
		return http.StatusServiceUnavailable
	case api.Code_OVERLOADED, api.Code_LIMIT_REACHED:
		return http.StatusTooManyRequests
	case api.Code_CELL_NOT_FOUND, api.Code_SESSION_NOT_FOUND, api.Code_LOCK_NOT_FOUND, api.Code_NOT_FOUND:
		return http.StatusNotFound
	case api.Code_COMPACTED:
		return http.StatusGone
	case api.Code_NO_SPACE:
		return http.StatusInsufficientStorage
	case api.Code_SPACE_READ_ONLY:
		return http.StatusForbidden
	case api.Code_INTERNAL:
		return http.StatusInternalServerError
	}
	return http.StatusConflict
}
