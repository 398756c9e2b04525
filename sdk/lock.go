package sdk

import (
	"context"
	"slices"
	"time"

	"github.com/conch-lock/conch/api"
)

// Lock is a grant: of one lock, or of several as a whole. It is safe for
// concurrent use.
type Lock struct {
	session     *Session
	seq         uint64
	names       []string
	token       Token
	revision    uint64
	since       time.Time
	predecessor Predecessor
	done        chan struct{}
	ctx         context.Context
	cancel      context.CancelCauseFunc

	// Guarded by Client.mu.
	err     error    // why it has ended; nil while it is held
	release *release // begun by Unlock
}

// release is one request to release, until the cell has acknowledged it.
type release struct {
	done chan struct{}
	err  error // valid once done is closed
}

// Predecessor tells how the last holder of a lock ended, so that its successor
// knows whether to clean up after it.
type Predecessor struct {
	Token   Token
	Session SessionID
	Ended   EndReason // empty: nobody is known to have held it
}

// Name is the name of the lock, the first one of several.
func (l *Lock) Name() string { return l.names[0] }

// Names are the names of all locks of the claim.
func (l *Lock) Names() []string { return slices.Clone(l.names) }

// Token is the fencing token of the grant: hand it to the resource with every
// write, which must refuse a smaller one than the largest it has seen.
func (l *Lock) Token() Token { return l.token }

// Session is what the lock is held in.
func (l *Lock) Session() *Session { return l.session }

// Revision is the revision of the grant.
func (l *Lock) Revision() uint64 { return l.revision }

// Since is when it was granted, on the clock of the cell's leader.
func (l *Lock) Since() time.Time { return l.since }

// Predecessor tells how the last holder ended.
func (l *Lock) Predecessor() Predecessor { return l.predecessor }

// Done is closed when the lock is not held any more: it was released or
// broken, or its session is over. Err says which.
func (l *Lock) Done() <-chan struct{} { return l.done }

// Err says why the lock is not held any more; nil while it is. errors.Is finds
// ErrReleased, ErrBroken, ErrSessionExpired, ErrSessionEnded or
// ErrSessionClosed in it. It looks at the clock itself.
func (l *Lock) Err() error {
	c := l.session.c
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = l.session.check()
	return l.err
}

// Context is cancelled when the lock is not held any more, with the same cause
// that Err tells. It does not descend from the context of the call that took
// the lock.
func (l *Lock) Context() context.Context { return l.ctx }

// Deadline is until when the lock can be relied upon if no further keep-alive
// of its session is acknowledged; see Session.Deadline.
func (l *Lock) Deadline() time.Time { return l.session.Deadline() }

// Unlock releases the lock. It counts as released for its user at once, and
// Unlock returns when the cell has acknowledged that. When ctx ends first, the
// request goes on in the background until it is acknowledged or the session is
// over; calling Unlock again waits on for the same request. A lock that was
// lost before is reported with the reason for which it was lost.
func (l *Lock) Unlock(ctx context.Context) error {
	c := l.session.c
	c.mu.Lock()
	_ = l.session.check()
	if l.release == nil {
		if l.err != nil {
			defer c.mu.Unlock()
			return l.err
		}
		l.giveBack()
	}
	r := l.release
	c.mu.Unlock()
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
	return &waitError{op: "unlock", name: l.Name(), ctx: causeOf(ctx), reason: c.trouble(),
		note: "the release goes on in the background"}
}

// giveBack begins the release. Needs mu.
func (l *Lock) giveBack() {
	s, c := l.session, l.session.c
	r := &release{done: make(chan struct{})}
	l.release = r
	l.end(ErrReleased)
	seq := s.sequences.next()
	c.enqueue(&call{
		op: "unlock", name: l.names[0], kind: repeatable, session: s,
		req: &api.Request{Op: &api.Request_Release{Release: &api.ReleaseRequest{
			Cell: c.cfg.Cell, Session: uint64(s.id), Sequence: seq, Acked: s.sequences.acked, Name: l.names[0], Token: uint64(l.token),
		}}},
		finish: func(_ *api.Response, err error) {
			s.sequences.resolve(seq)
			r.err = err
			close(r.done)
		},
	})
}

// end ends the lock for its user. Needs mu.
func (l *Lock) end(err error) {
	if l.err != nil {
		return
	}
	l.err = err
	delete(l.session.claims, l.seq)
	close(l.done)
	l.cancel(err)
}
