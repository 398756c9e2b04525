package sdk

import (
	"context"
	"errors"
	"time"
)

const (
	// The pauses of Lead between two candidacies.
	leadPause, leadPauseMost = 100 * time.Millisecond, 15 * time.Second
	// leadSettled is after how long a leadership the pauses begin anew.
	leadSettled = 30 * time.Second
)

// ErrStop ends [Client.Lead] when the function returns it, or an error that
// wraps it.
var ErrStop = errors.New("stop leading")

// Lead is the loop of a worker that must run once: it stands in the election
// until it leads, runs fn while it leads, and stands again, until the context
// ends or fn is done.
//
// The context that fn gets ends with ctx and when the leadership is lost, with
// the reason as its cause; fn should then stop at once and must not write any
// more. [LeadershipOf] finds the leadership in it, to proclaim, to hand over, or
// to look at how the predecessor ended. Lead waits for fn to return, whatever
// happens, and never runs it twice at a time. What fn returns decides:
//
//   - nil, while it leads: the work is done. Lead resigns and returns nil.
//   - ErrStop, or an error that wraps it: Lead resigns and returns that error.
//   - any other error, while it leads: Lead resigns, so that another candidate
//     has a go, and stands again after a pause.
//   - anything else, after the leadership was lost or given up by fn: Lead
//     stands again after a pause.
//
// The pauses have jitter and grow from 100 ms to 15 s while leaderships last
// less than 30 s. When ctx ends, Lead resigns and returns an error in which
// errors.Is finds that of the context. It also returns when standing is
// pointless: for options that are out of bounds or do not fit the election, when
// the wait given with [WithWait] ran out, and when the client is closed.
//
// The value to stand with is given by [WithValue]. All calls of Lead and Do
// share one session with Config.SessionTTL.
func (c *Client) Lead(ctx context.Context, name string, fn func(ctx context.Context, token Token) error, opts ...CampaignOption) error {
	pause := newBackoff(leadPause, leadPauseMost)
	for {
		l, err := c.stand(ctx, name, opts)
		var tenure time.Duration
		if err == nil {
			var done bool
			began := c.cfg.Now()
			if done, err = c.reign(ctx, l, fn); done {
				return err
			}
			tenure = c.cfg.Now() - began
		}
		switch {
		case ctx.Err() != nil:
			return &waitError{op: "lead", name: shorten(name), ctx: causeOf(ctx), reason: unlessContext(ctx, err)}
		case l == nil && pointless(err):
			return err
		}
		if tenure >= leadSettled {
			pause.Reset()
		}
		wait := pause.NextBackOff()
		c.log.Info().Str("election", name).Dur("pause", wait).Err(err).Msg("standing again")
		rest(ctx, wait)
	}
}

// stand campaigns in the shared session.
func (c *Client) stand(ctx context.Context, name string, opts []CampaignOption) (*Leadership, error) {
	s, err := c.sharedSession(ctx)
	if err != nil {
		return nil, err
	}
	o := campaignOptions{}
	for _, opt := range opts {
		opt.campaign(&o)
	}
	return s.Campaign(ctx, name, o.value, opts...)
}

// reign runs fn while l leads. It says whether that was the end of it, with the
// error of Lead, and otherwise why to stand again.
func (c *Client) reign(ctx context.Context, l *Leadership, fn func(context.Context, Token) error) (done bool, err error) {
	// Deferred, so that a panic of fn resigns on its way.
	defer func() { c.giveUp(ctx, l.grant, l.Resign) }()
	if ctx.Err() != nil { // at the same moment
		return false, nil
	}
	err = while(context.WithValue(ctx, leadershipKey{}, l), l.grant, fn)
	lost := l.Err()
	switch {
	case errors.Is(err, ErrStop):
		return true, err
	case lost != nil && (err == nil || errors.Is(err, lost)):
		return false, lost
	case lost != nil:
		return false, errors.Join(lost, err)
	case err == nil && ctx.Err() == nil:
		return true, nil
	}
	return false, err
}

// pointless says that there is no use in standing again after a refusal.
func pointless(err error) bool {
	for _, hopeless := range []error{ErrInvalid, ErrAgingMismatch, ErrCellNotFound, ErrClosed, ErrHeld, ErrWaitTimedOut} {
		if errors.Is(err, hopeless) {
			return true
		}
	}
	return false
}

// unlessContext is err, but for one that only says that the context is over.
func unlessContext(ctx context.Context, err error) error {
	if errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

type leadershipKey struct{}

// LeadershipOf finds the leadership in the context that [Client.Lead] hands to
// its function, or in one that descends from it.
func LeadershipOf(ctx context.Context) (l *Leadership, ok bool) {
	l, ok = ctx.Value(leadershipKey{}).(*Leadership)
	return l, ok
}
