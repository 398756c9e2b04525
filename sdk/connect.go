package sdk

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/conch-lock/conch/api"
)

const (
	// stagger is how long an attempt to connect may take before the next
	// endpoint is tried beside it, or a part of the shortest time to live that the
	// client has to keep.
	stagger     = 250 * time.Millisecond
	staggerPart = 8
	// The client moves to the leader after a settling time, not more often
	// than once a dwell time, and not again for a while to an endpoint that
	// did not answer: an election in progress must not make it flap.
	moveSettle = 500 * time.Millisecond
	moveDwell  = 5 * time.Second
	moveBan    = 30 * time.Second
	// calmTimeout is how long a move waits for requests that cannot be
	// repeated to be answered on the old connection.
	calmTimeout = time.Second
	// A connection that lives for less than settled is followed by another one
	// after a pause only, which grows while that goes on.
	settled    = time.Second
	firstPause = 20 * time.Millisecond
	mostPause  = 500 * time.Millisecond
)

// manage keeps the client connected until it is closed. It owns the links.
func (c *Client) manage(l *link) {
	defer c.wg.Done()
	var old *link // that the client has just moved away from
	pause := newBackoff(firstPause, mostPause)
	for {
		if l == nil {
			if l = c.connect(c.ctx); l == nil {
				return
			}
		}
		c.adopt(l)
		if old != nil {
			old.shut()
			old = nil
		}
		next := c.attend(l, pause)
		if next != nil {
			old = l
		} else {
			c.drop(l)
			l.shut()
			c.avoid = l.endpoint
			if c.cfg.Now()-l.adopted >= settled {
				pause.Reset()
			} else {
				rest(c.ctx, pause.NextBackOff())
			}
		}
		if l = next; l == nil && c.ctx.Err() != nil {
			return
		}
	}
}

// rest waits for some time, and says whether ctx had not ended by then.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attend watches over a link until it fails (nil), or until the client is
// connected elsewhere instead (the new link, which the caller adopts): to the
// leader, or to any other node when this one acknowledges no keep-alives. pause is
// between links that live for a short time.
func (c *Client) attend(l *link, pause *backoff.ExponentialBackOff) *link {
	timer := time.NewTimer(c.settle())
	defer timer.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return nil
		case <-l.ctx.Done():
			return nil
		case <-c.hinted:
			timer.Reset(c.settle())
			continue
		case <-l.doubts:
			if next := c.elsewhere(l, pause); next != nil {
				return next
			}
			continue
		case <-timer.C:
		}
		target := c.moveTarget(l)
		if target == "" {
			continue // until the next hint
		}
		c.moving(l, true)
		next := c.openLeader(l, target)
		calm := next != nil && c.calm(l)
		c.moving(l, false)
		if calm {
			c.moved = c.cfg.Now()
			c.log.Debug().Str("from", l.endpoint).Str("to", target).Msg("moving to the leader")
			return next
		}
		if next != nil {
			next.shut()
		} else {
			c.banned[target] = c.cfg.Now() + moveBan
		}
		timer.Reset(moveDwell)
	}
}

// moving notes that the client connects to the leader beside a link, or no more.
func (c *Client) moving(l *link, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.moving = on
}

// elsewhere connects to another node beside a link on which keep-alives are not
// acknowledged, and returns that one. nil: the client stays, because they are
// acknowledged again, or the link has failed meanwhile.
func (c *Client) elsewhere(l *link, pause *backoff.ExponentialBackOff) *link {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	if c.cfg.Now()-max(l.adopted, l.tried) >= settled {
		pause.Reset()
	} else {
		rest(ctx, pause.NextBackOff())
	}
	var next *link
	if !c.stays(l) {
		others := slices.DeleteFunc(c.order(), func(e string) bool { return e == l.endpoint })
		next = c.round(ctx, others)
	}
	if next != nil && c.leave(l) {
		return next
	}
	if next != nil {
		next.shut()
	}
	l.tried = c.cfg.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	l.doubted = 0 // until the keeper doubts again
	return nil
}

// stays says whether keep-alives are acknowledged on a doubted link again. That no
// session is left says nothing about the link.
func (c *Client) stays(l *link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return l.ctx.Err() == nil && l.told > l.doubted && !c.forsaken(l)
}

// leave gives up a doubted link, unless it stays.
func (c *Client) leave(l *link) bool {
	if c.stays(l) {
		return false
	}
	l.fail(errForsaken)
	c.mu.Lock()
	defer c.mu.Unlock()
	err := context.Cause(l.ctx)
	c.failures[l.endpoint] = err
	c.log.Debug().Str("endpoint", l.endpoint).Err(err).Msg("connection given up")
	return true
}

// forsaken says whether any session has waited too long for an acknowledgement on
// the link. Needs mu.
func (c *Client) forsaken(l *link) bool {
	now := c.cfg.Now()
	for _, s := range c.sessions {
		s.judge(now)
		if from, ok := s.forsaken(l); ok && now >= from {
			return true
		}
	}
	return false
}

// settle is the pause before a move, with jitter so that not all clients of a
// cell arrive at a new leader in the same moment.
func (c *Client) settle() time.Duration {
	d := moveSettle + rand.N(moveSettle)
	if c.moved != 0 {
		d = max(d, c.moved+moveDwell-c.cfg.Now())
	}
	return d
}

// moveTarget is the leader's endpoint when the client should go there.
func (c *Client) moveTarget(l *link) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := l.leader
	if c.cfg.IgnoreLeader || h.GetEndpoint() == "" || h.GetEndpoint() == l.endpoint || h.GetNode() != "" && h.GetNode() == l.node {
		return ""
	}
	if c.banned[h.GetEndpoint()] > c.cfg.Now() {
		return ""
	}
	return h.GetEndpoint()
}

// openLeader connects to the leader while the old link goes on; nil: it did
// not work, or the old link failed meanwhile.
func (c *Client) openLeader(l *link, target string) *link {
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.DialTimeout)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	next, err := c.open(ctx, target)
	if err != nil {
		c.log.Debug().Str("endpoint", target).Err(err).Msg("the leader cannot be reached from here")
		return nil
	}
	return next
}

// calm holds back requests that cannot be repeated and waits until none is
// under way. When that takes too long it lets them go on and reports false.
func (c *Client) calm(l *link) bool {
	timer := time.NewTimer(calmTimeout)
	defer timer.Stop()
	c.mu.Lock()
	l.holdOnce = true
	if l.onceInFlight == 0 {
		c.mu.Unlock()
		return true
	}
	l.calm = make(chan struct{})
	calm := l.calm
	c.mu.Unlock()
	select {
	case <-calm:
		return true
	case <-timer.C:
	case <-l.ctx.Done():
	case <-c.ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l.holdOnce, l.calm = false, nil
	l.nudge()
	return false
}

// connect tries the endpoints, round after round, until one answers or ctx
// ends (nil).
func (c *Client) connect(ctx context.Context) *link {
	pause := newBackoff(50*time.Millisecond, 2*time.Second)
	for {
		if l := c.round(ctx, c.order()); l != nil {
			return l
		}
		if !rest(ctx, pause.NextBackOff()) {
			return nil
		}
	}
}

// round tries endpoints, each once and a little after the one before it, and
// returns the first that answers.
func (c *Client) round(parent context.Context, endpoints []string) *link {
	ctx, cancel := context.WithTimeout(parent, c.cfg.DialTimeout)
	defer cancel()
	var (
		mu     sync.Mutex
		winner *link
	)
	results := make(chan bool)
	quit := make(chan struct{})
	defer close(quit)
	try := func(endpoint string) {
		defer c.wg.Done()
		l, err := c.open(ctx, endpoint)
		if err != nil {
			c.failed(ctx, endpoint, err)
		}
		if l != nil {
			mu.Lock()
			won := winner == nil
			if won {
				winner = l
			}
			mu.Unlock()
			if !won {
				l.shut()
				l = nil
			}
		}
		select {
		case results <- l != nil:
		case <-quit:
		}
	}
	stagger := c.stagger()
	next, running := 0, 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for next < len(endpoints) || running > 0 {
		select {
		case ok := <-results:
			running--
			if ok {
				mu.Lock()
				defer mu.Unlock()
				return winner
			}
			timer.Reset(0)
		case <-timer.C:
			if next < len(endpoints) && ctx.Err() == nil {
				c.wg.Add(1)
				go try(endpoints[next])
				next++
				running++
				timer.Reset(stagger)
			}
		case <-ctx.Done():
			// The attempts end with it; wait for them, so that each one's
			// reason is known.
			next = len(endpoints)
			for ; running > 0; running-- {
				if <-results {
					mu.Lock()
					defer mu.Unlock()
					return winner
				}
			}
		}
	}
	return nil
}

// stagger is how long to wait for an endpoint before the next one is tried, too.
func (c *Client) stagger() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := stagger
	for _, s := range c.sessions {
		d = min(d, s.ttl/staggerPart)
	}
	return d
}

// order is the endpoints in the order in which to try them: the leader if it
// is known, the others in turn, and the one that failed last.
func (c *Client) order() []string {
	var out []string
	add := func(e string) {
		if e == "" || e == c.avoid {
			return
		}
		for _, o := range out {
			if o == e {
				return
			}
		}
		out = append(out, e)
	}
	c.mu.Lock()
	leader := c.leader
	c.mu.Unlock()
	if !c.cfg.IgnoreLeader {
		add(leader)
	}
	start := 0
	for i, e := range c.cfg.Endpoints {
		if e == c.avoid {
			start = i + 1
		}
	}
	for i := range c.cfg.Endpoints {
		add(c.cfg.Endpoints[(start+i)%len(c.cfg.Endpoints)])
	}
	if c.avoid != "" {
		out = append(out, c.avoid)
	}
	return out
}

// failed keeps the reason of a failed attempt for whoever asks.
func (c *Client) failed(ctx context.Context, endpoint string, err error) {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return // another one won, or the client is closed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		if c.failures[endpoint] != nil {
			return // cut short: an earlier attempt knows better
		}
		err = fmt.Errorf("no answer in time: %w", err)
	}
	c.failures[endpoint] = err
	c.log.Debug().Str("endpoint", endpoint).Err(err).Msg("cannot connect")
}

// unreachable is the error that says why no endpoint could be reached. Needs mu.
func (c *Client) unreachable(cause error) *UnreachableError {
	out := &UnreachableError{cause: cause}
	for _, e := range c.cfg.Endpoints {
		if err := c.failures[e]; err != nil {
			out.Attempts = append(out.Attempts, Attempt{Endpoint: e, Err: err})
		}
	}
	return out
}

// hasOthers reports whether there is another endpoint than the link's to try.
func (c *Client) hasOthers(l *link) bool {
	for _, e := range c.cfg.Endpoints {
		if e != l.endpoint {
			return true
		}
	}
	return false
}

// adopt makes a link the client's: sessions are attached and kept alive,
// unanswered requests sent again in their order, and watches resumed.
func (c *Client) adopt(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.link; old != nil {
		c.detach(old, cmp.Or(context.Cause(old.ctx), ErrClosed))
	}
	now := c.cfg.Now()
	c.link = l
	l.adopted, l.heard = now, now
	delete(c.failures, l.endpoint)
	c.hint(l, l.leader)
	c.log.Debug().Str("endpoint", l.endpoint).Str("node", l.node).Msg("connected")

	// 1. Attachments go first, so that what the cell still holds for a
	// session is known before its requests are repeated. In the order of ids.
	for _, s := range c.sessionsInOrder() {
		s.attach(l, now)
	}
	// 2. Everything unanswered.
	c.resend(l, now)
	for _, s := range c.sessionsInOrder() {
		s.resendClaims(l)
	}
	// 3. Watches.
	for w := range c.watches {
		c.place(w)
	}
	l.start()
	l.nudge()
	c.wakeBy(now)
}

// resend sends everything unanswered on a new link, unchanged, in its first
// order. A pause holds when the cell is overloaded, not when it was the other
// node that could not serve. Needs mu.
func (c *Client) resend(l *link, now time.Duration) {
	for _, ca := range c.callsInOrder() {
		if ca.delayed && ca.refusal.Code != CodeOverloaded {
			ca.due = now // the keeper sends it
		}
		if !ca.delayed && ca.kind != ofLink {
			l.push(outgoing{req: ca.req, call: ca})
		}
	}
	heap.Init(&c.delayed)
}

// drop forgets a failed link.
func (c *Client) drop(l *link) {
	l.fail(ErrClosed)
	c.mu.Lock()
	defer c.mu.Unlock()
	err := context.Cause(l.ctx)
	c.detach(l, err)
	c.failures[l.endpoint] = err
	if c.ctx.Err() == nil {
		c.log.Debug().Str("endpoint", l.endpoint).Err(err).Msg("connection lost")
	}
	now := c.cfg.Now()
	for _, s := range c.sessionsInOrder() {
		s.judge(now)
	}
}

// detach settles what was under way on a link that is over. Needs mu.
func (c *Client) detach(l *link, err error) {
	if c.link == l {
		c.link = nil
	}
	for _, ca := range c.callsInOrder() {
		if ca.link != l {
			if ca.kind == ofLink {
				c.remove(ca)
			}
			continue
		}
		switch ca.kind {
		case repeatable:
			c.unsend(ca)
			ca.doubtful = true
		case ofLink:
			c.remove(ca)
		case once:
			c.complete(ca, nil, &Error{Op: ca.op, Name: ca.name, Code: CodeUnknownOutcome,
				cause: fmt.Errorf("the connection to %s broke before the answer: %w", l.endpoint, err)})
		}
	}
	for w := range c.watches {
		w.id = 0
	}
	clear(c.placed)
	l.queue, l.beats = nil, nil
}

// hint takes in where the leader is. Needs mu.
func (c *Client) hint(l *link, h *api.LeaderHint) {
	if h == nil {
		return
	}
	l.leader = h
	if h.GetEndpoint() != "" {
		c.leader = h.GetEndpoint()
	}
	select {
	case c.hinted <- struct{}{}:
	default:
	}
}
