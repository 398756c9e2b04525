package sdk

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/conch-lock/conch/api"
)

const (
	// pendingBytes bounds the bytes of requests that await a first answer.
	pendingBytes = 64 << 20
	// closeGrace is how long Close waits for the cell to acknowledge the end
	// of the client's sessions.
	closeGrace = time.Second
)

// Client talks to one cell over one connection at a time, whatever the number
// of sessions, locks and watches. It is safe for concurrent use.
type Client struct {
	cfg  Config
	log  zerolog.Logger
	gate *gate

	shapes *api.Shapes

	ctx    context.Context // ends with the client
	cancel context.CancelFunc
	wg     sync.WaitGroup
	poke   chan struct{} // wakes the keeper
	hinted chan struct{} // tells the manager of a hint

	// Owned by the manager's goroutine.
	avoid  string                   // endpoint that failed last
	banned map[string]time.Duration // endpoints not to move to, until when
	moved  time.Duration            // when the client moved to the leader last

	mu       sync.Mutex
	closing  bool // no new requests of users
	closed   bool // no requests at all
	link     *link
	leader   string // endpoint told last
	lastID   uint64
	calls    map[uint64]*call // unanswered ones by id
	delayed  delayedCalls
	bounded  []*call // those with an until
	sessions map[SessionID]*Session
	agenda   agenda        // the same ones
	opens    uint64        // sessions so far
	since    time.Duration // when it began, which slots are counted from: clients of one machine share its clock
	watches  map[*watch]struct{}
	placed   map[uint64]*watch // by the id of the request on this link
	failures map[string]error  // latest failure of each endpoint
	wakeAt   time.Duration     // when the keeper wakes by itself
	shared   sharedSession
}

// Dial connects to the cell and returns when one endpoint has answered. It
// tries all of them until ctx or Config.DialTimeout ends, whichever is first;
// errors.As then finds the UnreachableError that says why each failed.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, log: cfg.Logger, gate: newGate(cfg.MaxPending, pendingBytes),
		poke: make(chan struct{}, 1), hinted: make(chan struct{}, 1),
		banned: make(map[string]time.Duration), calls: make(map[uint64]*call),
		sessions: make(map[SessionID]*Session), watches: make(map[*watch]struct{}),
		placed: make(map[uint64]*watch), failures: make(map[string]error), wakeAt: never,
		shapes: api.NewShapes(), since: cfg.Now(),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	dialCtx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	l := c.connect(dialCtx)
	if l == nil {
		c.cancel()
		c.wg.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		return nil, c.unreachable(causeOf(dialCtx))
	}
	c.wg.Add(2)
	go c.manage(l)
	go c.keep()
	return c, nil
}

// Close closes the client's sessions, which releases their locks, waits for
// the cell to acknowledge that for at most a second, and ends everything else:
// calls under way fail with ErrClosed. All goroutines have ended when it returns.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		c.wg.Wait()
		return nil
	}
	c.closing = true
	var over []<-chan struct{}
	sessions := c.sessionsInOrder()
	for _, s := range sessions { // all of them before the first is told: losing one looks through the calls
		s.lose(ErrSessionClosed)
	}
	for _, s := range sessions {
		s.tellClosed()
	}
	for _, ca := range c.callsInOrder() {
		if ca.req.GetCloseSession() != nil {
			done, finish := make(chan struct{}), ca.finish
			ca.finish = func(r *api.Response, err error) { finish(r, err); close(done) }
			over = append(over, done)
		}
	}
	connected := c.link != nil
	c.mu.Unlock()

	if connected {
		grace := time.NewTimer(closeGrace)
		defer grace.Stop()
		for _, done := range over {
			select {
			case <-done:
				continue
			case <-grace.C:
			}
			break
		}
	}

	c.mu.Lock()
	c.closed = true
	for _, s := range c.sessionsInOrder() { // opened in the meantime
		s.lose(ErrSessionClosed)
	}
	for _, ca := range c.callsInOrder() {
		code := CodeUnavailable
		if ca.kind == once && ca.link != nil {
			code = CodeUnknownOutcome
		}
		c.complete(ca, nil, &Error{Op: ca.op, Name: ca.name, Code: code, Definite: code == CodeUnavailable && !ca.sent, cause: ErrClosed})
	}
	for w := range c.watches {
		w.fail(ErrClosed)
	}
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	return nil
}

// receive takes in what the server sent on a link.
func (c *Client) receive(l *link, frames *api.ServerFrames) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != l {
		return // replaced: what it says will be said again on the new one
	}
	now := c.cfg.Now()
	l.heard = now
	for _, r := range frames.GetResponses() {
		if r.GetId() == 0 {
			c.pushed(l, r, now)
			continue
		}
		if w := c.placed[r.GetId()]; w != nil {
			w.receive(r, now)
			continue
		}
		ca := c.calls[r.GetId()]
		if ca == nil || ca.link != l {
			continue // given up, or an answer to a request that it never got
		}
		if r.GetError() != nil {
			c.hintFromError(l, r.GetError())
			c.refused(l, ca, r.GetError())
			continue
		}
		if ca.kind != ofLink {
			l.refusedSince = 0
		}
		c.complete(ca, r, nil)
	}
}

// pushed takes in what the server tells by itself. Needs mu.
func (c *Client) pushed(l *link, r *api.Response, now time.Duration) {
	switch {
	case r.GetAlive() != nil:
		l.refusedSince = 0
		for _, a := range r.GetAlive().GetSessions() {
			if s := c.sessions[SessionID(a.GetSession())]; s != nil {
				s.alive(a.GetNumber(), now)
				if s.told == now {
					l.told = now
				}
			}
		}
	case r.GetClaim() != nil:
		if s := c.sessions[SessionID(r.GetClaim().GetSession())]; s != nil {
			s.claimEvent(r.GetClaim())
		}
	case r.GetSessionEnded() != nil:
		if s := c.sessions[SessionID(r.GetSessionEnded().GetSession())]; s != nil {
			s.lose(endedBy(s, r.GetSessionEnded()))
		}
	case r.GetLeader() != nil:
		c.hint(l, r.GetLeader())
		// A keep-alive may have been lost with the old leader.
		for _, s := range c.sessionsInOrder() {
			s.hurry(now)
		}
	case r.GetError() != nil:
		c.log.Warn().Str("endpoint", l.endpoint).Err(fromWire("stream", "", r.GetError())).Msg("the server complains")
	}
}

// hintFromError follows the leader's address in a refusal. Needs mu.
func (c *Client) hintFromError(l *link, e *api.Error) {
	if e.GetLeaderEndpoint() != "" && e.GetLeaderEndpoint() != l.leader.GetEndpoint() {
		c.hint(l, &api.LeaderHint{Endpoint: e.GetLeaderEndpoint()})
	}
}

// callsInOrder returns the unanswered calls in the order in which they were
// made. Needs mu.
func (c *Client) callsInOrder() []*call {
	out := make([]*call, 0, len(c.calls))
	for _, ca := range c.calls {
		out = append(out, ca)
	}
	slices.SortFunc(out, func(a, b *call) int { return cmp.Compare(a.req.Id, b.req.Id) })
	return out
}

// sessionsInOrder returns the live sessions in the order of their ids. Needs mu.
func (c *Client) sessionsInOrder() []*Session {
	out := make([]*Session, 0, len(c.sessions))
	for _, s := range c.sessions {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *Session) int { return cmp.Compare(a.id, b.id) })
	return out
}
