package recorder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/sdk"
)

// Client makes the calls of one client.
type Client struct {
	Name string
	Sink Sink
	Now  func() check.Time
}

// call writes down an operation around do, which fills in what it was told.
func (c *Client) call(o check.Operation, do func(o *check.Operation) error) (int, check.Operation, error) {
	o.Client, o.Invoke = c.Name, c.Now()
	id := c.Sink.Begin(o)
	err := do(&o)
	o.Return = c.Now()
	o.Left = o.Return
	o.Outcome, o.Code = Outcome(err)
	if err != nil {
		o.Revision, o.Token = 0, tokenOf(o, err)
		if o.Outcome == check.Unknown {
			o.Return = check.Forever
		}
	}
	if o.Until == 0 {
		o.Until = o.Return
	}
	c.Sink.End(id, o)
	return id, o, err
}

// Outcome is what an error says of what happened. Only a refusal that the cell
// calls definite is one, and not the end of a wait, whatever was heard meanwhile;
// a session that is over tells nothing of what was done before.
func Outcome(err error) (check.Outcome, string) {
	if err == nil {
		return check.Done, ""
	}
	var refused *sdk.Error
	if !errors.As(err, &refused) || !refused.Definite || errors.Unwrap(refused) != nil ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return check.Unknown, ""
	}
	switch refused.Code {
	case sdk.CodeSessionNotFound, sdk.CodeSessionOver, sdk.CodeSequenceTooOld, sdk.CodeClaimCancelled, sdk.CodeClaimBroken, sdk.CodeClaimTransferred:
		return check.Unknown, ""
	}
	return check.Refused, string(refused.Code)
}

// tokenOf is the token of an operation that failed: a claim's is that of who is
// in the way.
func tokenOf(o check.Operation, err error) uint64 {
	if o.Kind != check.Acquire && o.Kind != check.Campaign {
		return o.Token
	}
	var refused *sdk.Error
	if errors.As(err, &refused) {
		return uint64(refused.Token)
	}
	return 0
}

// Grant is a lock that was granted.
type Grant struct {
	*sdk.Lock
	id    int
	items []check.Item
}

// ID names the operation that granted it.
func (g *Grant) ID() int { return g.id }

// delayed is an option that the history tells of, too.
type delayed struct {
	sdk.LockOption
	delay time.Duration
}

// WithDelay is the SDK's lock delay, written down.
func WithDelay(d time.Duration) sdk.LockOption { return delayed{sdk.WithLockDelay(d), d} }

// Lock claims locks, all in the mode of the first.
func (c *Client) Lock(ctx context.Context, s *sdk.Session, try bool, items []check.Item, opts ...sdk.LockOption) (*Grant, error) {
	switch x := items[0]; x.Mode {
	case check.Shared:
		opts = append(opts, sdk.Shared())
	case check.Permits:
		opts = append(opts, sdk.Permits(x.Permits, x.Capacity))
	}
	if len(items) > 1 {
		var more []string
		for _, x := range items[1:] {
			more = append(more, x.Name)
		}
		opts = append(opts, sdk.And(more...))
	}
	claim := s.Lock
	if try {
		claim = s.TryLock
	}
	g, asked := &Grant{items: items}, check.Operation{Kind: check.Acquire, Session: uint64(s.ID()), Claim: items}
	for _, x := range opts {
		if d, ok := x.(delayed); ok {
			asked.Delay = d.delay
		}
	}
	id, _, err := c.call(asked, func(o *check.Operation) (err error) {
		if g.Lock, err = claim(ctx, items[0].Name, opts...); err == nil {
			o.Token, o.Revision = uint64(g.Token()), g.Revision()
		}
		return err
	})
	g.id = id
	if err != nil {
		c.TakenAway(s, items[0].Name, 0, err)
		return nil, err
	}
	return g, nil
}

// Unlock gives it back.
func (c *Client) Unlock(ctx context.Context, g *Grant) error {
	o := check.Operation{Kind: check.Release, Session: uint64(g.Session().ID()), Claim: g.items, Token: uint64(g.Token())}
	_, _, err := c.call(o, func(*check.Operation) error { return g.Lock.Unlock(ctx) })
	return err
}

// Lead is the lead of an election that was granted.
type Lead struct {
	*sdk.Leadership
	id   int
	item []check.Item
}

// ID names the operation that granted it.
func (l *Lead) ID() int { return l.id }

// Campaign stands in an election.
func (c *Client) Campaign(ctx context.Context, s *sdk.Session, name, value string, opts ...sdk.CampaignOption) (*Lead, error) {
	l := &Lead{item: []check.Item{{Name: name}}}
	o := check.Operation{Kind: check.Campaign, Session: uint64(s.ID()), Claim: l.item, Value: value}
	id, _, err := c.call(o, func(o *check.Operation) (err error) {
		if l.Leadership, err = s.Campaign(ctx, name, []byte(value), opts...); err == nil {
			o.Token, o.Term, o.Revision = uint64(l.Token()), l.Term(), l.Revision()
		}
		return err
	})
	l.id = id
	if err != nil {
		c.TakenAway(s, name, 0, err)
		return nil, err
	}
	return l, nil
}

func (c *Client) asLeader(l *Lead, kind check.Kind, o check.Operation, do func() error) error {
	o.Kind, o.Session, o.Claim, o.Token = kind, uint64(l.Session().ID()), l.item, uint64(l.Token())
	_, _, err := c.call(o, func(*check.Operation) error { return do() })
	return err
}

// Proclaim replaces the leader's value.
func (c *Client) Proclaim(ctx context.Context, l *Lead, value string) error {
	return c.asLeader(l, check.Proclaim, check.Operation{Value: value}, func() error { return l.Leadership.Proclaim(ctx, []byte(value)) })
}

// Resign ends the leadership.
func (c *Client) Resign(ctx context.Context, l *Lead) error {
	return c.asLeader(l, check.Resign, check.Operation{}, func() error { return l.Leadership.Resign(ctx) })
}

// Transfer hands it over.
func (c *Client) Transfer(ctx context.Context, l *Lead, to sdk.SessionID) error {
	return c.asLeader(l, check.Transfer, check.Operation{To: uint64(to)}, func() error { return l.Leadership.Transfer(ctx, to) })
}

// Believed says until when its client believed in a grant; until is of the SDK's
// deadline, when that passed before the client looked.
func (c *Client) Believed(id int, until check.Time) { c.Sink.Until(id, until) }

// Over tells of a session that is over for its client.
func (c *Client) Over(s *sdk.Session) {
	c.TakenAway(s, "", 0, s.Err())
	c.Sink.Session(check.Session{ID: uint64(s.ID()), Client: c.Name, TTL: s.TTL(), Safe: c.Now() + time.Until(s.Deadline())})
}

// Close closes a session, which its client relies on no more from here on.
func (c *Client) Close(ctx context.Context, s *sdk.Session) error {
	c.Sink.Session(check.Session{ID: uint64(s.ID()), Client: c.Name, TTL: s.TTL(), Safe: c.Now() + time.Until(s.Deadline()), Closed: c.Now()})
	return s.Close(ctx)
}

// Queue looks at the queue of a lock.
func (c *Client) Queue(ctx context.Context, client *sdk.Client, name string) error {
	q := check.Queue{Name: name, Invoke: c.Now()}
	info, err := client.ShowLock(ctx, name)
	if errors.Is(err, sdk.ErrLockNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the queue of lock %q: %w", name, err)
	}
	q.Return = c.Now()
	for _, w := range info.Waiters {
		q.Waiting = append(q.Waiting, uint64(w.Session))
	}
	if len(q.Waiting) > 1 {
		c.Sink.Queue(q)
	}
	return nil
}
