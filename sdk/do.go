package sdk

import (
	"context"
	"errors"
	"time"
)

// unlockTimeout bounds how long Do and Lead wait for what they give back to be
// acknowledged.
const unlockTimeout = 5 * time.Second

// sharedSession is the session that all calls of Do and Lead have in common.
type sharedSession struct {
	session *Session // nil: none, or being opened
	opening *opening // nil: nobody opens
}

// opening is the attempt of one caller to open the shared session, for which the
// others wait.
type opening struct {
	over chan struct{} // closed when it is over
	err  error         // why it failed for all who wait; valid once it is over
}

// Do takes the lock, runs fn and releases the lock again. The context that fn
// gets ends with ctx, and when the lock is lost, with the reason as its cause;
// fn should then stop at once and must not write any more.
//
// Do returns the error of not getting the lock, or that of fn. When the lock
// was lost while fn ran, the reason is in the error as well, also when fn
// returned nil: fn may then have run beside somebody else, unless the resource
// checked the token.
//
// All calls of Do and Lead share one session with Config.SessionTTL, which is opened
// by the first and again after it was lost.
func (c *Client) Do(ctx context.Context, name string, fn func(ctx context.Context, token Token) error, opts ...LockOption) error {
	s, err := c.sharedSession(ctx)
	if err != nil {
		return err
	}
	lock, err := s.Lock(ctx, name, opts...)
	if err != nil {
		return err
	}
	// Deferred, so that a panic of fn releases the lock on its way.
	defer func() { c.giveUp(ctx, lock.grant, lock.Unlock) }()
	err = while(ctx, lock.grant, fn)
	if lost := lock.Err(); lost != nil && !errors.Is(err, lost) {
		return errors.Join(lost, err)
	}
	return err
}

// while runs fn with a context that ends with ctx, and with the grant.
func while(ctx context.Context, g *grant, fn func(context.Context, Token) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(g.ctx, func() { cancel(context.Cause(g.ctx)) })()
	return fn(ctx, g.token)
}

// giveUp unlocks or resigns, unless it was lost meanwhile. The end of ctx does
// not keep it from doing so.
func (c *Client) giveUp(ctx context.Context, g *grant, back func(context.Context) error) {
	if g.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
	defer cancel()
	if err := back(ctx); err != nil {
		c.log.Warn().Str("name", g.Name()).Err(err).Msg("the end of what was held was not acknowledged")
	}
}

// sharedSession returns the session of Do and Lead, and opens it when there is none.
func (c *Client) sharedSession(ctx context.Context) (*Session, error) {
	for {
		c.mu.Lock()
		if s := c.shared.session; s != nil && s.check() == nil {
			c.mu.Unlock()
			return s, nil
		}
		o := c.shared.opening
		if o == nil {
			o = &opening{over: make(chan struct{})}
			c.shared = sharedSession{opening: o}
			c.mu.Unlock()
			s, err := c.NewSession(ctx, WithTTL(c.cfg.SessionTTL))
			c.mu.Lock()
			c.shared = sharedSession{session: s}
			c.mu.Unlock()
			if ctx.Err() == nil { // else another one may have more time
				o.err = err
			}
			close(o.over)
			return s, err
		}
		c.mu.Unlock()
		select {
		case <-o.over:
			if o.err != nil {
				return nil, o.err
			}
		case <-ctx.Done():
			return nil, &waitError{op: "open session", ctx: causeOf(ctx), reason: c.trouble()}
		}
	}
}
