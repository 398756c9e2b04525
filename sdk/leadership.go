package sdk

import (
	"context"
	"slices"

	"github.com/conch-lock/conch/api"
)

// Leadership is the lead of an election, from its grant to its end. It is safe
// for concurrent use.
//
// A leader that is pre-empted, or ended by an operator, learns of it when it is
// told, like the holder of a lock that is broken; until then it believes that
// it leads. The token is for that.
type Leadership struct{ *grant }

// Campaign stands as a candidate in an election with a value, of at most 64
// KiB, and waits until it leads. A nil error means that it leads. When the
// context ends first, the candidacy is withdrawn in the background until the
// cell has acknowledged that, so no candidate stays behind.
//
// Candidates lead in the order in which they stood, unless they state a
// priority; see [WithPriority]. [WithWait] bounds the wait; with a wait of 0,
// ErrHeld says that somebody leads, with an [*Error] that says who.
// ErrAgingMismatch: the election is in use with another aging interval.
func (s *Session) Campaign(ctx context.Context, name string, value []byte, opts ...CampaignOption) (*Leadership, error) {
	o := campaignOptions{value: value}
	for _, opt := range opts {
		opt.campaign(&o)
	}
	req, err := o.request(name)
	if err != nil {
		return nil, err
	}
	cl := &claim{s: s, op: "campaign", names: []string{name}, req: &api.Request{Op: &api.Request_Campaign{Campaign: req}}}
	g, err := cl.await(ctx, func(seq, acked uint64) {
		req.Cell, req.Session, req.Sequence, req.Acked = s.c.cfg.Cell, uint64(s.id), seq, acked
	})
	if err != nil {
		return nil, err
	}
	return &Leadership{g}, nil
}

// Term is the number of leaders that the election has had, this one included.
func (l *Leadership) Term() uint64 { return l.term }

// Proclaim replaces the value of the leader, exactly once: when its answer is
// lost it is repeated by its number. It returns when observers can see it. When
// ctx ends first it is not withdrawn, and its outcome is unknown to the caller.
// A leader that leads no more gets the reason of Err, or ErrNotHolder, and
// nothing happened.
func (l *Leadership) Proclaim(ctx context.Context, value []byte) error {
	if err := checkValue("proclaim", l.Name(), value); err != nil {
		return err
	}
	s, value := l.session, slices.Clone(value)
	_, err := s.command(ctx, "proclaim", l.Name(), l.check, func(seq, acked uint64) *api.Request {
		return &api.Request{Op: &api.Request_Proclaim{Proclaim: &api.ProclaimRequest{
			Cell: s.c.cfg.Cell, Session: uint64(s.id), Sequence: seq, Acked: acked, Name: l.Name(), Token: uint64(l.token), Value: value,
		}}}
	}, nil)
	return err
}

// Resign ends the leadership; the next candidate leads. It counts as ended for
// its user at once, and Resign returns when the cell has acknowledged that. When
// ctx ends first, the request goes on in the background until it is
// acknowledged or the session is over; calling Resign again waits on for the
// same request. A leadership that was lost before is reported with the reason
// for which it was lost.
func (l *Leadership) Resign(ctx context.Context) error {
	s := l.session
	return l.giveBack(ctx, "resign", ErrResigned, func(seq, acked uint64) *api.Request {
		return &api.Request{Op: &api.Request_Resign{Resign: &api.ResignRequest{
			Cell: s.c.cfg.Cell, Session: uint64(s.id), Sequence: seq, Acked: acked, Name: l.Name(), Token: uint64(l.token),
		}}}
	})
}

// Transfer hands the leadership over to a candidate that waits, named by its
// session, wherever it stands in the queue; observers see one change.
// ErrNotFound: that session is no candidate that waits, and this one leads on.
//
// The new leader begins before the old one has the answer: a leader stops its
// work, or lets the resource check the token, before it calls Transfer. When
// ctx ends first the request goes on in the background, and Done is closed when
// it turns out to have been successful.
func (l *Leadership) Transfer(ctx context.Context, to SessionID) error {
	if to == 0 {
		return invalid("transfer", l.Name(), "the candidate is missing: 0 is no session")
	}
	s := l.session
	stands := func() error {
		if err := l.check(); err != nil {
			return err
		}
		l.leaving++
		return nil
	}
	_, err := s.command(ctx, "transfer", l.Name(), stands, func(seq, acked uint64) *api.Request {
		return &api.Request{Op: &api.Request_Transfer{Transfer: &api.TransferRequest{
			Cell: s.c.cfg.Cell, Session: uint64(s.id), Sequence: seq, Acked: acked, Name: l.Name(), Token: uint64(l.token), To: uint64(to),
		}}}
	}, func(_ *api.Response, err error) {
		l.leaving--
		if err == nil {
			l.end(ErrTransferred)
		}
	})
	return err
}
