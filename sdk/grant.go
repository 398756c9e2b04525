package sdk

import (
	"context"
	"time"

	"github.com/conch-lock/conch/api"
)

// grant is what a claim got: locks, or the leadership of an election. It is
// what [Lock] and [Leadership] have in common.
type grant struct {
	session     *Session
	seq         uint64
	names       []string
	token       Token
	term        uint64 // of a leadership
	revision    uint64
	since       time.Time
	predecessor Predecessor
	done        chan struct{}
	ctx         context.Context
	cancel      context.CancelCauseFunc

	// Guarded by Client.mu.
	err     error    // why it has ended; nil while it stands
	release *release // begun by its user
	leaving int      // hand-overs by its user that are under way
}

// release is one request to give a grant back, until the cell has acknowledged it.
type release struct {
	done chan struct{}
	err  error // valid once done is closed
}

// Predecessor tells how the last holder of a lock, or the last leader of an
// election, ended, so that its successor knows whether to clean up after it.
type Predecessor struct {
	Token   Token     `json:"token"`
	Session SessionID `json:"session"`
	Ended   EndReason `json:"ended"` // empty: there is none that is known
	// Value is the last one that a leader proclaimed. Locks have none.
	Value Value `json:"value"`
}

// outcome is what the cell tells of a granted claim of either kind.
type outcome interface {
	GetState() api.ClaimState
	GetSequence() uint64
	GetToken() uint64
	GetRevision() uint64
	GetSinceUnixMs() int64
	GetPredecessor() *api.Predecessor
}

func newGrant(cl *claim, r outcome) *grant {
	g := &grant{
		session: cl.s, seq: cl.seq, names: cl.names, token: Token(r.GetToken()), revision: r.GetRevision(),
		since: time.UnixMilli(r.GetSinceUnixMs()), done: make(chan struct{}), predecessor: predecessorOf(r.GetPredecessor()),
	}
	if l, ok := r.(*api.CampaignResponse); ok {
		g.term = l.GetTerm()
	}
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	return g
}

func predecessorOf(p *api.Predecessor) Predecessor {
	return Predecessor{
		Token: Token(p.GetToken()), Session: SessionID(p.GetSession()),
		Ended: endReasonOf(p.GetEnded()), Value: p.GetValue(),
	}
}

// Name is the name of the lock or election; of several locks, the first one.
func (g *grant) Name() string { return g.names[0] }

// Token is the fencing token of the grant: hand it to the resource with every
// write, which must refuse a smaller one than the largest it has seen.
func (g *grant) Token() Token { return g.token }

// Session is what it is held in.
func (g *grant) Session() *Session { return g.session }

// Revision is the revision of the grant.
func (g *grant) Revision() uint64 { return g.revision }

// Since is when it was granted, on the clock of the cell's leader.
func (g *grant) Since() time.Time { return g.since }

// Predecessor tells how the last holder or leader ended.
func (g *grant) Predecessor() Predecessor { return g.predecessor }

// Done is closed when it is not held any more: its user gave it back, it was
// taken away, or its session is over. Err says which.
func (g *grant) Done() <-chan struct{} { return g.done }

// Err says why it is not held any more; nil while it is. For a lock errors.Is
// finds ErrReleased or ErrBroken in it, for a leadership ErrResigned,
// ErrTransferred or ErrBroken, for both ErrSessionExpired, ErrSessionEnded and
// ErrSessionClosed. It looks at the clock itself.
func (g *grant) Err() error {
	c := g.session.c
	c.mu.Lock()
	defer c.mu.Unlock()
	return g.check()
}

// check is Err. Needs mu.
func (g *grant) check() error {
	_ = g.session.check()
	return g.err
}

// Context is cancelled when it is not held any more, with the same cause that
// Err tells. It does not descend from the context of the call that claimed it.
func (g *grant) Context() context.Context { return g.ctx }

// Deadline is until when it can be relied upon if no further keep-alive of its
// session is acknowledged; see Session.Deadline.
func (g *grant) Deadline() time.Time { return g.session.Deadline() }

// giveBack ends the grant for its user at once, and returns when the cell has
// acknowledged the request that ask makes, or ctx ends.
func (g *grant) giveBack(ctx context.Context, op string, reason error, ask func(seq, acked uint64) *api.Request) error {
	s, c := g.session, g.session.c
	c.mu.Lock()
	_ = s.check()
	r := g.release
	switch {
	case r != nil:
		c.mu.Unlock()
	case g.err != nil:
		defer c.mu.Unlock()
		return g.err
	default:
		r = &release{done: make(chan struct{})}
		g.release = r
		g.end(reason)
		c.sendOff(s.next(op, g.Name(), ask, func(_ *api.Response, err error) {
			r.err = err
			close(r.done)
		}))
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	select {
	case <-r.done:
		return r.err
	default:
	}
	return &waitError{op: op, name: g.Name(), ctx: causeOf(ctx), reason: c.trouble(), note: "it goes on in the background"}
}

// end ends the grant for its user. Needs mu.
func (g *grant) end(err error) {
	if g.err != nil {
		return
	}
	g.err = err
	delete(g.session.claims, g.seq)
	close(g.done)
	g.cancel(err)
}

// ended ends a grant as the cell tells. What it cancelled was given back by
// what acts for the leader. Needs mu.
func (g *grant) ended(err *Error) {
	if err.Code == CodeClaimCancelled {
		err.cause = ErrResigned
	}
	g.end(err)
}

// endedUnheard ends a grant that is gone from the cell while the client was not
// there to be told; why is what the cell remembers of it, if anything. Needs mu.
func (g *grant) endedUnheard(op string, why *api.Error) {
	if why != nil {
		g.ended(fromWire(op, g.Name(), why))
		return
	}
	err := &Error{Op: op, Name: g.Name(), Code: CodeClaimBroken, Definite: true, Token: g.token,
		Message: "it was taken away while the client was not connected"}
	if g.leaving > 0 {
		err.Code, err.Message = CodeClaimTransferred, "it was handed over"
	}
	g.end(err)
}
