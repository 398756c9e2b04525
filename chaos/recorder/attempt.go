package recorder

import (
	"context"
	"time"

	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcerr"
	"storj.io/drpc/drpcmigrate"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/chaos/check"
)

// attempt makes a request once and writes it down; it says whether it was answered.
func (r *Repeater) attempt(ctx context.Context, node int, name string, ask asking, limit time.Duration) (answered bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	o := ask.operation
	o.Client, o.Invoke = name, r.Now()
	id := r.Sink.Begin(o)
	err := r.at(ctx, r.Endpoints[node], func(ctx context.Context, c api.DRPCConchClient) error { return ask.do(ctx, c, &o) })
	o.Return, o.Until = r.Now(), 0
	switch code := codeOf(err); {
	case err == nil:
		o.Outcome = check.Done
	case refusal(code):
		o.Outcome, o.Code = check.Refused, code.String()
	default:
		o.Outcome, o.Return = check.Unknown, check.Forever
		if code == api.Code_SESSION_NOT_FOUND || code == api.Code_SESSION_OVER {
			r.mu.Lock()
			r.over = true
			r.mu.Unlock()
		}
	}
	r.Sink.End(id, o)
	return o.Outcome != check.Unknown
}

func codeOf(err error) api.Code {
	if err == nil {
		return api.Code_OK
	}
	return api.Code(drpcerr.Code(err))
}

// refusal says whether an error is the answer to a request. What a node says of
// itself, or of a session that is over, is not: another attempt may have been done.
func refusal(code api.Code) bool {
	switch code {
	case api.Code_HELD, api.Code_NOT_HOLDER:
		return true
	}
	return false
}

// call makes a call at one node after the other until it is answered.
func (r *Repeater) call(ctx context.Context, do func(ctx context.Context, c api.DRPCConchClient) error) error {
	for {
		try, cancel := context.WithTimeout(ctx, patientCall/2)
		err := r.at(try, r.Endpoints[r.Rand.IntN(len(r.Endpoints))], do)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		rest(ctx, repeaterPause)
	}
}

// at makes a call over a connection of its own.
func (r *Repeater) at(ctx context.Context, endpoint string, do func(ctx context.Context, c api.DRPCConchClient) error) error {
	raw, err := r.Dial(ctx, endpoint)
	if err != nil {
		return err
	}
	conn := drpcconn.New(drpcmigrate.NewHeaderConn(raw, drpcmigrate.DRPCHeader))
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	return do(ctx, api.NewDRPCConchClient(conn))
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
