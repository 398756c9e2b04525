package sdk

import (
	"context"
	"slices"

	"github.com/conch-lock/conch/api"
)

// Lock is a grant: of one lock, or of several as a whole. It is safe for
// concurrent use.
type Lock struct{ *grant }

// Lock claims a lock and waits until it is granted. A nil error means that it
// is held. When the context ends first, the claim is withdrawn in the
// background until the cell has acknowledged that, so no waiter stays behind.
//
// Claims of one session are independent: a second claim of a lock that the
// session holds waits behind the first.
func (s *Session) Lock(ctx context.Context, name string, opts ...LockOption) (*Lock, error) {
	return s.acquire(ctx, "lock", name, lockOptions{}, opts)
}

// TryLock claims a lock without waiting for it: ErrHeld when somebody has it,
// with an [*Error] that says who.
func (s *Session) TryLock(ctx context.Context, name string, opts ...LockOption) (*Lock, error) {
	return s.acquire(ctx, "try lock", name, lockOptions{try: true}, opts)
}

func (s *Session) acquire(ctx context.Context, op, name string, o lockOptions, opts []LockOption) (*Lock, error) {
	for _, opt := range opts {
		opt.lock(&o)
	}
	req, err := o.request(op, name)
	if err != nil {
		return nil, err
	}
	cl := &claim{s: s, op: op, names: o.all(name), req: &api.Request{Op: &api.Request_Acquire{Acquire: req}}}
	g, err := cl.await(ctx, func(seq, acked uint64) {
		req.Cell, req.Session, req.Sequence, req.Acked = s.c.cfg.Cell, uint64(s.id), seq, acked
	})
	if err != nil {
		return nil, err
	}
	return &Lock{g}, nil
}

// Names are the names of all locks of the claim.
func (l *Lock) Names() []string { return slices.Clone(l.names) }

// Unlock releases the lock. It counts as released for its user at once, and
// Unlock returns when the cell has acknowledged that. When ctx ends first, the
// request goes on in the background until it is acknowledged or the session is
// over; calling Unlock again waits on for the same request. A lock that was
// lost before is reported with the reason for which it was lost.
func (l *Lock) Unlock(ctx context.Context) error {
	s := l.session
	return l.giveBack(ctx, "unlock", ErrReleased, func(seq, acked uint64) *api.Request {
		return &api.Request{Op: &api.Request_Release{Release: &api.ReleaseRequest{
			Cell: s.c.cfg.Cell, Session: uint64(s.id), Sequence: seq, Acked: acked, Name: l.Name(), Token: uint64(l.token),
		}}}
	})
}
