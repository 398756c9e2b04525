package coordinator

import (
	"errors"
	"fmt"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/cell"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/raftnode"
)

// How long a client should wait before it repeats what was refused.
const (
	retryOverload = 100 // ms
	retryElection = 100 // ms
)

// invalid refuses a request that is out of bounds; the message names the field,
// its value and what is allowed.
func invalid(format string, args ...any) *api.Error {
	return &api.Error{Code: api.Code_INVALID_ARGUMENT, Message: fmt.Sprintf(format, args...), Definite: true}
}

// refuse makes an error of a request that did not happen.
func refuse(code api.Code, format string, args ...any) *api.Error {
	return &api.Error{Code: code, Message: fmt.Sprintf(format, args...), Definite: true}
}

func overloaded(format string, args ...any) *api.Error {
	e := refuse(api.Code_OVERLOADED, format, args...)
	e.RetryAfterMs = retryOverload
	return e
}

func internal(what any) *api.Error {
	return &api.Error{Code: api.Code_INTERNAL, Message: fmt.Sprintf("a defect of the server, it is in its log: %v", what)}
}

// stopping refuses what comes while the node stops.
func stopping() *api.Error {
	return refuse(api.Code_UNAVAILABLE, "the node is stopping, nothing happened: ask another one")
}

// errorOf is what a client is told of an outcome other than a reply.
func errorOf(err error) *api.Error {
	e := &api.Error{Message: err.Error(), Definite: true}
	switch {
	case errors.Is(err, cell.ErrUnknown):
		e.Code, e.Definite = api.Code_UNKNOWN_OUTCOME, false
	case errors.Is(err, cell.ErrNoLeader), errors.Is(err, raftnode.ErrReadTimeout):
		e.Code, e.RetryAfterMs = api.Code_NO_LEADER, retryElection
	case errors.Is(err, cell.ErrOverloaded), errors.Is(err, raftnode.ErrBusy):
		e.Code, e.RetryAfterMs = api.Code_OVERLOADED, retryOverload
	case errors.Is(err, cell.ErrStopped), errors.Is(err, raftnode.ErrStopped):
		e.Code = api.Code_UNAVAILABLE
	default:
		e.Code, e.Definite = api.Code_INTERNAL, false
	}
	return e
}

// readError is what a client is told of a refused read.
func readError(s *store.Store, err error) *api.Error {
	switch {
	case errors.Is(err, store.ErrCompacted):
		e := refuse(api.Code_COMPACTED, "%v", err)
		e.Revision = s.Compacted()
		return e
	case errors.Is(err, store.ErrFuture):
		e := refuse(api.Code_FUTURE_REVISION, "%v", err)
		e.Revision = s.Revision()
		return e
	}
	return invalid("%v", err)
}

// refusalOf is what a client is told of a reply of the machine that refuses; nil
// for one that does not.
func refusalOf(s *store.Store, p *machine.Reply) *api.Error {
	if p.Code == machine.OK {
		return nil
	}
	e := &api.Error{
		Code: api.Code(p.Code), Message: p.Message, Definite: true,
		Holder: uint64(p.Session), Token: uint64(p.Token), SinceUnixMs: p.Since,
		Position: uint32(p.Position), HolderLabels: p.Labels.Map(),
	}
	switch p.Code {
	case machine.Compacted:
		e.Revision = s.Compacted()
	case machine.FutureRevision:
		e.Revision = p.Revision
	}
	return e
}

// rpcError carries an api.Error through DRPC and HTTP.
type rpcError struct{ e *api.Error }

func (r *rpcError) Error() string { return r.e.GetMessage() }

// Code is what [drpcerr.Code] finds on the client's side.
func (r *rpcError) Code() uint64 { return uint64(r.e.GetCode()) }
