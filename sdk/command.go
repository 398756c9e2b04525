package sdk

import (
	"context"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/internal/planted"
)

// enqueue sends a command of the session under its next number; finish takes
// the answer with mu held. Needs mu.
func (s *Session) enqueue(op, name string, ask func(seq, acked uint64) *api.Request, finish func(*api.Response, error)) {
	s.c.enqueue(s.next(op, name, ask, finish))
}

// next is that command. Needs mu.
func (s *Session) next(op, name string, ask func(seq, acked uint64) *api.Request, finish func(*api.Response, error)) *call {
	seq, kind := s.sequences.next(), repeatable
	if planted.On(planted.UnlockedOnce) {
		kind = once
	}
	return &call{
		op: op, name: shorten(name), kind: kind, session: s, req: ask(seq, s.sequences.acked),
		finish: func(resp *api.Response, err error) {
			s.sequences.resolve(seq)
			finish(resp, err)
		},
	}
}

// command runs a command of the session exactly once and waits for its answer:
// when that is lost, the command is repeated by its number. When the context
// ends first the outcome is unknown to the caller, and the command is not
// withdrawn once it was sent. stands, with mu held, says what speaks against
// sending it; taken, if given, is told of the answer first, with mu held.
func (s *Session) command(ctx context.Context, op, name string, stands func() error, ask func(seq, acked uint64) *api.Request, taken func(*api.Response, error)) (*api.Response, error) {
	c := s.c
	answers := make(chan answer, 1)
	finish := func(resp *api.Response, err error) {
		if taken != nil {
			taken(resp, err)
		}
		answers <- answer{resp, err}
	}
	ca := &call{op: op, name: shorten(name), kind: repeatable, session: s, req: ask(1, 0)}
	if err := c.admit(ctx, ca); err != nil {
		return nil, err
	}
	c.mu.Lock()
	if err := stands(); err != nil {
		c.release(ca)
		c.mu.Unlock()
		return nil, err
	}
	seq := s.sequences.next()
	ca.req = ask(seq, s.sequences.acked)
	ca.finish = func(resp *api.Response, err error) {
		s.sequences.resolve(seq)
		finish(resp, err)
	}
	c.sendOff(ca)
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
	err.unknown = ca.sent
	if !ca.sent {
		c.remove(ca)
		s.sequences.resolve(seq)
		if taken != nil {
			taken(nil, err)
		}
	}
	return nil, err
}
