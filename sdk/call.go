package sdk

import (
	"container/heap"
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/conch-lock/conch/api"
)

// kind says what may be done with a request whose answer was lost.
type kind int

const (
	// repeatable requests are sent again unchanged: reads, and commands that
	// take effect once by their sequence number or nonce.
	repeatable kind = iota
	// once: a lost answer means an unknown outcome, and it is told as such.
	once
	// ofLink requests make sense on their connection alone.
	ofLink
)

// maxRequest bounds one request; the peer refuses messages of 4 MiB.
const maxRequest = 4<<20 - 64<<10

// call is one request until it is answered for good. Its fields below kind
// are guarded by Client.mu.
type call struct {
	op, name string
	req      *api.Request
	size     int
	kind     kind

	session *Session      // whose loss ends it; may be nil
	gated   bool          // has a place at the gate
	link    *link         // it was sent on and awaits an answer there; nil: to be sent
	sentAt  time.Duration // when it was sent there
	sent    bool          // it was sent on some connection
	// firstSent is when it was sent for the first time.
	firstSent time.Duration
	// until is when it is given up though nobody waits for it; 0: never.
	until   time.Duration
	pause   *backoff.ExponentialBackOff
	due     time.Duration // when to send it again, while in the heap of delayed calls
	delayed bool
	refusal *Error // the last passing refusal
	// doubtful: an earlier attempt may have taken effect, so that a refusal of a
	// later one does not say that nothing happened.
	doubtful bool
	over     bool
	// finish takes the answer, once, with Client.mu held: it must not block.
	finish func(*api.Response, error)
}

type answer struct {
	resp *api.Response
	err  error
}

// call sends one request and waits for its answer until the context ends.
func (c *Client) call(ctx context.Context, op, name string, req *api.Request, k kind) (*api.Response, error) {
	answers := make(chan answer, 1)
	ca := &call{op: op, name: shorten(name), req: req, kind: k}
	ca.finish = func(resp *api.Response, err error) { answers <- answer{resp, err} }
	if err := c.submit(ctx, ca); err != nil {
		return nil, err
	}
	select {
	case a := <-answers:
		return a.resp, a.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case a := <-answers: // at the same moment
		return a.resp, a.err
	default:
	}
	err := c.waitError(ctx, ca)
	c.remove(ca)
	return nil, err
}

// submit admits a request of a user and hands it to the connection.
func (c *Client) submit(ctx context.Context, ca *call) error {
	if err := c.admit(ctx, ca); err != nil {
		return err
	}
	c.mu.Lock()
	if c.closing {
		defer c.mu.Unlock()
		c.release(ca)
		return &Error{Op: ca.op, Name: ca.name, Code: CodeUnavailable, Message: ErrClosed.Error(), Definite: true, cause: ErrClosed}
	}
	c.sendOff(ca)
	return nil
}

// admit checks the size of a request and waits for a place at the gate.
func (c *Client) admit(ctx context.Context, ca *call) error {
	if ctx.Err() != nil {
		return &waitError{op: ca.op, name: ca.name, ctx: causeOf(ctx)}
	}
	ca.size = ca.req.SizeVT()
	if ca.size > maxRequest {
		return invalid(ca.op, ca.name, "a request of %d bytes: at most %d are allowed", ca.size, maxRequest)
	}
	if err := c.gate.enter(ctx, ca.size); err != nil {
		return &waitError{op: ca.op, name: ca.name, ctx: err, reason: c.trouble(),
			note: "too many requests await an answer; this one was not sent"}
	}
	ca.gated = true
	return nil
}

// release gives back the place at the gate. Needs mu.
func (c *Client) release(ca *call) {
	if ca.gated {
		ca.gated = false
		c.gate.leave(ca.size)
	}
}

// sendOff is enqueue for who can write: while nothing else is under way the
// request goes out at once, and the writer, who would gather more, is not woken.
// Needs mu and gives it back.
func (c *Client) sendOff(ca *call) {
	l := c.link
	if l == nil || !l.idle() || ca.size > promptBytes {
		c.enqueue(ca)
		c.mu.Unlock()
		return
	}
	c.number(ca)
	l.add(outgoing{req: ca.req, call: ca})
	c.mu.Unlock()
	l.writeNow()
}

// enqueue numbers a call and sends it as soon as there is a connection. Needs mu.
func (c *Client) enqueue(ca *call) {
	c.number(ca)
	c.send(ca)
}

// number numbers a call. Needs mu.
func (c *Client) number(ca *call) {
	c.lastID++
	ca.req.Id = c.lastID
	c.calls[ca.req.Id] = ca
	if ca.session != nil {
		ca.session.calls[ca.req.Id] = ca
	}
	if ca.until != 0 {
		c.bounded = append(c.bounded, ca)
		c.wakeBy(ca.until)
	}
}

// send puts a call on the connection, if there is one; otherwise it goes out
// with the others when there is. Needs mu.
func (c *Client) send(ca *call) {
	if c.link != nil {
		c.link.push(outgoing{req: ca.req, call: ca})
	}
}

// complete ends a call with its answer. Needs mu.
func (c *Client) complete(ca *call, resp *api.Response, err error) {
	if ca.over {
		return
	}
	c.remove(ca)
	ca.finish(resp, err)
}

// remove forgets a call without telling anybody. Needs mu.
func (c *Client) remove(ca *call) {
	if ca.over {
		return
	}
	ca.over = true
	c.unsend(ca)
	c.release(ca)
	delete(c.calls, ca.req.Id)
	if ca.session != nil {
		delete(ca.session.calls, ca.req.Id)
	}
}

// unsend takes a call off the books of its connection. Needs mu.
func (c *Client) unsend(ca *call) {
	l := ca.link
	if l == nil {
		return
	}
	ca.link = nil
	l.inFlight--
	if ca.kind == once {
		if l.onceInFlight--; l.onceInFlight == 0 && l.calm != nil {
			close(l.calm)
			l.calm = nil
		}
	}
}

// refused handles an error answer: it is repeated when that is safe and may
// help, and told otherwise. Needs mu.
func (c *Client) refused(l *link, ca *call, e *api.Error) {
	err := fromWire(ca.op, ca.name, e)
	switch err.Code {
	case CodeSessionNotFound, CodeSessionOver:
		if ca.session != nil {
			ca.session.lose(sessionLost(ca.session, err))
		}
		c.complete(ca, nil, err) // unless losing the session did
		return
	case CodeNoLeader, CodeUnavailable:
		l.inTrouble(err)
	case CodeOverloaded, CodeUnknownOutcome:
	default:
		c.complete(ca, nil, err)
		return
	}
	if !err.Definite && ca.kind == once {
		if err.Code != CodeUnknownOutcome {
			err = &Error{Op: ca.op, Name: ca.name, Code: CodeUnknownOutcome, cause: err}
		}
		c.complete(ca, nil, err)
		return
	}
	// Who asks whether nothing happened means the request, not its last attempt.
	ca.doubtful = ca.doubtful || !err.Definite
	err.Definite = !ca.doubtful
	ca.refusal = err
	c.unsend(ca)
	c.delay(ca, err.RetryAfter)
}

// delay sends a call again after a pause with jitter, and not before least.
// Needs mu.
func (c *Client) delay(ca *call, least time.Duration) {
	if ca.pause == nil {
		ca.pause = newBackoff(20*time.Millisecond, time.Second)
	}
	pause := ca.pause.NextBackOff()
	if least > 0 {
		pause = max(pause, min(least, time.Minute)+pause/2)
	}
	ca.due, ca.delayed = c.cfg.Now()+pause, true
	heap.Push(&c.delayed, ca)
	c.wakeBy(ca.due)
}

// newBackoff doubles from first to most, each pause half as long to one and a
// half times as long by chance, without an end.
func newBackoff(first, most time.Duration) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(first), backoff.WithMaxInterval(most),
		backoff.WithMultiplier(2), backoff.WithRandomizationFactor(0.5),
		backoff.WithMaxElapsedTime(0),
	)
}

// delayedCalls is a heap of calls by when they are due.
type delayedCalls []*call

func (d delayedCalls) Len() int           { return len(d) }
func (d delayedCalls) Less(i, j int) bool { return d[i].due < d[j].due }
func (d delayedCalls) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *delayedCalls) Push(x any)        { *d = append(*d, x.(*call)) }
func (d *delayedCalls) Pop() any {
	old := *d
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	return last
}

// waitError says why a call that its context gave up had no answer. Needs mu.
func (c *Client) waitError(ctx context.Context, ca *call) *waitError {
	err := &waitError{op: ca.op, name: ca.name, ctx: causeOf(ctx), unknown: ca.kind == once && ca.link != nil}
	if c.link == nil {
		err.reason = c.unreachable(nil)
		return err
	}
	if ca.refusal != nil {
		err.reason = ca.refusal
	}
	if ca.link != nil {
		err.note = "no answer from " + c.link.endpoint
		if h := c.link.leader; h != nil && h.GetNode() == "" {
			err.note += ", which knows of no leader: a majority of the nodes may be down or cut off"
		}
	}
	return err
}

// trouble says what is wrong with the connection; nil: nothing known.
func (c *Client) trouble() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil {
		return nil
	}
	return c.unreachable(nil)
}

// sessionLost is the reason for which a session is lost when the cell says
// that it does not know it.
func sessionLost(s *Session, err *Error) error {
	return &Error{Op: "session", Name: s.id.String(), Code: err.Code, Definite: true,
		Message: "the cell does not know it any more: it expired or was ended", cause: ErrSessionExpired}
}

// errGivenUp ends a call in the background that has become pointless.
var errGivenUp = errors.New("given up: it has become pointless")
