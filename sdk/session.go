package sdk

import (
	"container/heap"
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/internal/planted"
)

// State is how sure a session can be of itself.
type State int

// The states. A session goes to and fro between the first two and ends in the third.
const (
	// Healthy: connected, and a keep-alive sent within half of the safe time
	// was acknowledged.
	Healthy State = iota
	// Jeopardy: not connected, or no acknowledgement for over half of the
	// safe time. Its locks are still held.
	Jeopardy
	// Lost: over for good. Its locks are not held any more.
	Lost
)

// String names the state.
func (s State) String() string {
	switch s {
	case Healthy:
		return "healthy"
	case Jeopardy:
		return "jeopardy"
	case Lost:
		return "lost"
	default:
		return fmt.Sprintf("State(%d)", int(s))
	}
}

const (
	// The safe time is what the client believes in of a time to live: the
	// rest is for clocks that do not run at the same rate.
	safeNum, safeDen = 9, 10
	// beatsPerTTL keep-alives are sent in a time to live; an unacknowledged
	// one is followed by another after half of that time.
	beatsPerTTL = 3
	// maxSlots is how many slots there are at the most between two keep-alives of
	// a session, and slotSessions how many sessions share one at the least. The
	// sessions of a client are dealt to them in turn.
	maxSlots     = 1024
	slotSessions = 512
	// maxBeats is how many unacknowledged keep-alives are remembered. The
	// oldest is forgotten first; its acknowledgement would be worth the least.
	maxBeats = 32
	// switchPart is for which part of the time to live a session in jeopardy
	// waits for the acknowledgement of a keep-alive before another node is tried.
	switchPart = 4
)

// Session is what locks are held in: when it is over, they are released. It
// is kept alive until it is closed or lost. It is safe for concurrent use.
type Session struct {
	c    *Client
	id   SessionID
	ttl  time.Duration
	safe time.Duration
	done chan struct{}

	// Guarded by Client.mu. Times are those of the client's clock.
	err     error // why it is over; nil while it is not
	state   State
	changed chan struct{} // closed and replaced when state changes
	proof   chan struct{} // closed when the cell has acknowledged the session in good time
	proven  bool
	acked   time.Duration // when the newest acknowledged keep-alive was sent
	number  uint64        // of the newest keep-alive
	beats   []beat        // unacknowledged ones, oldest first
	turn    uint64        // among the sessions of the client, for its slot
	nextAt  time.Duration // when the next keep-alive is due
	beating bool          // it is in the queue of the link
	queued  time.Duration // since when
	told    time.Duration // when a keep-alive was last acknowledged
	dueAt   time.Duration // when the keeper looks again
	place   int           // in the agenda

	sequences sequences
	calls     map[uint64]*call      // unanswered ones by id
	claims    map[uint64]*claim     // by sequence, until they are over
	heldAt    uint64                // revision at which the cell last listed its claims
	listed    map[uint64]bool       // those claims
	ended     map[uint64]*api.Error // how others ended, as it told then
	closed    chan struct{}         // closed when the cell has acknowledged Close; nil: not begun
	closeErr  error
}

type beat struct {
	number uint64
	sent   time.Duration
}

// NewSession opens a session. It is exactly-once: a lost reply opens no
// second one. The context bounds the opening alone; the session lives until
// Close, until the client is closed, or until it is lost.
func (c *Client) NewSession(ctx context.Context, opts ...SessionOption) (*Session, error) {
	o := sessionOptions{ttl: DefaultTTL}
	for _, opt := range opts {
		opt(&o)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("open session: choose a nonce: %w", err)
	}
	type opened struct {
		s   *Session
		err error
	}
	answers, abandoned := make(chan opened, 1), false
	ca := &call{op: "open session", kind: repeatable, req: &api.Request{Op: &api.Request_OpenSession{OpenSession: &api.OpenSessionRequest{
		Cell: c.cfg.Cell, Nonce: nonce, TtlMs: uint64(o.ttl / time.Millisecond), Labels: o.labels,
	}}}}
	ca.finish = func(resp *api.Response, err error) {
		if err != nil {
			answers <- opened{nil, err}
			return
		}
		if err := c.checkOpened(resp.GetOpenSession()); err != nil {
			answers <- opened{nil, err}
			return
		}
		s := c.opened(ca, resp.GetOpenSession())
		if abandoned {
			s.shut()
		}
		answers <- opened{s, nil}
	}
	if err := c.submit(ctx, ca); err != nil {
		return nil, err
	}
	var s *Session
	select {
	case a := <-answers:
		if a.err != nil {
			return nil, a.err
		}
		s = a.s
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		err := c.waitError(ctx, ca)
		select {
		case a := <-answers: // at the same moment
			if a.s != nil {
				a.s.shut()
			}
		default:
			// If it was sent it may be open: close it when the answer comes,
			// which is pointless once it has expired by itself.
			abandoned = true
			if !ca.sent {
				c.remove(ca)
				break
			}
			ca.until = c.cfg.Now() + o.ttl
			c.bounded = append(c.bounded, ca)
			c.wakeBy(ca.until)
		}
		return nil, err
	}
	select {
	case <-s.proof:
		return s, nil
	case <-s.done:
		return nil, s.Err()
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		s.shut()
		return nil, &waitError{op: "open session", ctx: causeOf(ctx), note: "the cell was too slow to open it; it is closed again"}
	}
}

// checkOpened refuses a session that no cell gives: with a time to live of
// nothing it would have to be kept alive all the time. Needs mu.
func (c *Client) checkOpened(r *api.OpenSessionResponse) error {
	id, ttl := SessionID(r.GetSession()), millis(r.GetTtlMs())
	if id != 0 && ttl >= MinTTL && ttl <= MaxTTL && c.sessions[id] == nil {
		return nil
	}
	return &Error{Op: "open session", Code: CodeInternal,
		Message: fmt.Sprintf("the server answered with session %v and a time to live of %d ms, which no cell does", id, r.GetTtlMs())}
}

// opened makes the session of a reply. Its time counts from when the request
// was sent first, since that is all that is known of when the cell heard it.
// When that leaves too little, the session proves itself by a keep-alive
// before it is handed out. Needs mu.
func (c *Client) opened(ca *call, r *api.OpenSessionResponse) *Session {
	ttl := millis(r.GetTtlMs())
	s := &Session{
		c: c, id: SessionID(r.GetSession()), ttl: ttl, safe: ttl / safeDen * safeNum,
		done: make(chan struct{}), changed: make(chan struct{}), proof: make(chan struct{}),
		acked: ca.firstSent, calls: make(map[uint64]*call), claims: make(map[uint64]*claim),
	}
	if planted.On(planted.BelievesTooLong) {
		s.safe = 2 * ttl
	}
	s.turn = c.opens
	c.opens++
	now := c.cfg.Now()
	c.sessions[s.id] = s
	if now-s.acked < s.safe/2 {
		s.proven = true
		close(s.proof)
		s.nextAt = s.beatAfter(s.acked)
	} else {
		s.nextAt = now
	}
	s.dueAt = now
	heap.Push(&c.agenda, s)
	c.wakeBy(now)
	return s
}

// ID is the session's name in the cell.
func (s *Session) ID() SessionID { return s.id }

// TTL is after how long without a keep-alive the cell ends the session.
func (s *Session) TTL() time.Duration { return s.ttl }

// Done is closed when the session is over; Err then says why.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err says why the session is over: errors.Is finds ErrSessionExpired,
// ErrSessionEnded or ErrSessionClosed in it. It is nil while the session can
// be relied upon, and looks at the clock itself.
func (s *Session) Err() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.check()
}

// Deadline is until when the session can be relied upon if no further
// keep-alive is acknowledged, on the wall clock as it is now. It moves on with
// every acknowledgement.
func (s *Session) Deadline() time.Time {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return time.Now().Add(s.acked + s.safe - s.c.cfg.Now())
}

// State tells the present state.
func (s *Session) State() State {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	_ = s.check()
	return s.state
}

// States yields the present state and then the newest one whenever it has
// changed, until the context ends or Lost was yielded. A slow consumer misses
// intermediate states and never the last.
func (s *Session) States(ctx context.Context) iter.Seq[State] {
	return func(yield func(State) bool) {
		for first, last := true, Healthy; ; first = false {
			s.c.mu.Lock()
			state, changed := s.state, s.changed
			s.c.mu.Unlock()
			if first || state != last {
				last = state
				if !yield(state) || state == Lost {
					return
				}
				continue // it may have changed meanwhile
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Close ends the session and releases its locks. It is over for its user at
// once; Close returns when the cell has acknowledged it, and may be called
// again to wait on. When ctx ends first the request goes on in the background
// until the session would have expired anyway. Closing a session that is
// already over is no error.
func (s *Session) Close(ctx context.Context) error {
	c := s.c
	c.mu.Lock()
	s.shut()
	lost, closed := s.err != ErrSessionClosed, s.closed
	c.mu.Unlock()
	if lost {
		return nil
	}
	select {
	case <-closed:
		return s.closeErr
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err := &waitError{op: "close session", name: s.id.String(), ctx: causeOf(ctx), note: "it goes on in the background"}
	if c.link == nil {
		err.reason = c.unreachable(nil)
	}
	return err
}

// shut loses the session on purpose and tells the cell. Needs mu.
func (s *Session) shut() {
	if s.err == nil {
		s.lose(ErrSessionClosed)
		s.tellClosed()
	}
}

// tellClosed asks the cell to end the session, in the background, until it
// would have ended by itself. Needs mu.
func (s *Session) tellClosed() {
	s.closed = make(chan struct{})
	s.c.enqueue(&call{
		op: "close session", name: s.id.String(), kind: repeatable, until: s.c.cfg.Now() + 2*s.ttl,
		req: &api.Request{Op: &api.Request_CloseSession{CloseSession: &api.CloseSessionRequest{Cell: s.c.cfg.Cell, Session: uint64(s.id)}}},
		finish: func(_ *api.Response, err error) {
			if e, ok := err.(*Error); ok && e.Code == CodeSessionNotFound {
				err = nil // over: by an earlier copy of this request, or by itself
			}
			s.closeErr = err
			close(s.closed)
		},
	})
}

// lose ends the session for its user: claims and locks end with the same
// reason. Needs mu.
func (s *Session) lose(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	s.become(Lost)
	close(s.done)
	delete(s.c.sessions, s.id)
	heap.Remove(&s.c.agenda, s.place)
	if err != ErrSessionClosed {
		s.c.log.Warn().Uint64("session", uint64(s.id)).Err(err).Msg("session lost")
	}
	for _, seq := range s.claimsInOrder() {
		s.claims[seq].sessionOver(err)
	}
	for _, id := range slices.Sorted(maps.Keys(s.calls)) {
		if ca := s.calls[id]; ca != nil { // what ended before may have ended this one, too
			s.c.complete(ca, nil, err)
		}
	}
}

// endedBy is the typed reason for what the cell tells of a session's end.
func endedBy(s *Session, e *api.SessionEnded) error {
	out := &Error{Op: "session", Name: s.id.String(), Code: CodeSessionOver, Definite: true, Revision: e.GetRevision()}
	switch e.GetReason() {
	case api.EndReason_END_ENDED:
		out.Message, out.cause = "ended", ErrSessionEnded
	case api.EndReason_END_CLOSED:
		out.Message, out.cause = "closed", ErrSessionClosed
	default:
		out.Message, out.cause = "the cell ended it", ErrSessionExpired
	}
	if e.GetMessage() != "" {
		out.Message = e.GetMessage()
	}
	return out
}

func (s *Session) become(state State) {
	if s.state == state {
		return
	}
	s.state = state
	close(s.changed)
	s.changed = make(chan struct{})
}
