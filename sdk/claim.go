package sdk

import (
	"context"
	"slices"
	"time"

	"github.com/conch-lock/conch/api"
)

// claim is one acquire request until its lock has ended. All fields are
// guarded by Client.mu but for the first four, which do not change.
type claim struct {
	s    *Session
	seq  uint64
	name string
	req  *api.AcquireRequest

	call    *call // awaits the first answer; nil when it is queued in the cell
	decided bool
	done    chan struct{} // closed when it is decided
	lock    *Lock         // granted
	err     error         // not granted
}

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
		opt(&o)
	}
	req, err := o.request(op, name)
	if err != nil {
		return nil, err
	}
	c := s.c
	ca := &call{op: op, name: name, kind: repeatable, session: s, req: &api.Request{Op: &api.Request_Acquire{Acquire: req}}}
	if err := c.admit(ctx, ca); err != nil {
		return nil, err
	}
	cl := &claim{s: s, name: name, req: req, call: ca, done: make(chan struct{})}
	c.mu.Lock()
	if err := s.check(); err != nil {
		c.release(ca)
		c.mu.Unlock()
		return nil, err
	}
	cl.seq = s.sequences.next()
	req.Cell, req.Session, req.Sequence, req.Acked = c.cfg.Cell, uint64(s.id), cl.seq, s.sequences.acked
	s.claims[cl.seq] = cl
	ca.finish = cl.answered
	c.enqueue(ca)
	c.mu.Unlock()

	select {
	case <-cl.done:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !cl.decided {
		err := cl.waitError(ctx)
		cl.cancel(err)
		return nil, err
	}
	if cl.err != nil {
		return nil, cl.err
	}
	// The grant may have been long under way: it counts only if the session's
	// own deadline has not passed, and if nothing has ended it since.
	if err := s.check(); err != nil {
		return nil, err
	}
	if cl.lock.err != nil {
		return nil, cl.lock.err
	}
	return cl.lock, nil
}

// answered takes the answer to the acquire request. Needs mu.
func (cl *claim) answered(resp *api.Response, err error) {
	cl.call = nil
	if err != nil {
		cl.refuse(err)
		return
	}
	switch r := resp.GetAcquire(); r.GetState() {
	case api.ClaimState_CLAIM_GRANTED:
		cl.granted(r)
	default:
		// Queued. The answer has been taken in, so the cell may forget it: a
		// claim that waits for long must not keep it from forgetting the
		// replies of those after it. A repetition finds the claim itself.
		cl.s.sequences.resolve(cl.seq)
	}
}

// granted makes the lock. Needs mu.
func (cl *claim) granted(r *api.AcquireResponse) {
	if cl.decided {
		return
	}
	cl.decide()
	if cl.s.endedUnheard(cl.seq, r.GetRevision()) {
		cl.err = &Error{Op: "lock", Name: cl.name, Code: CodeClaimBroken, Definite: true,
			Message: "it was granted and broken while the client was not connected"}
		delete(cl.s.claims, cl.seq)
		close(cl.done)
		return
	}
	l := &Lock{
		session: cl.s, seq: cl.seq, token: Token(r.GetToken()), revision: r.GetRevision(), since: time.UnixMilli(r.GetSinceUnixMs()),
		done: make(chan struct{}),
	}
	for _, i := range cl.req.GetItems() {
		l.names = append(l.names, i.GetName())
	}
	if p := r.GetPredecessor(); p != nil {
		l.predecessor = Predecessor{Token: Token(p.GetToken()), Session: SessionID(p.GetSession()), Ended: endReasonOf(p.GetEnded())}
	}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	cl.lock = l
	close(cl.done)
}

// refuse ends the claim without a lock. Needs mu.
func (cl *claim) refuse(err error) {
	if cl.decided {
		return
	}
	cl.decide()
	cl.err = err
	delete(cl.s.claims, cl.seq)
	close(cl.done)
}

// decide notes that the outcome is known: nothing more is to be sent or
// remembered of the request. Needs mu.
func (cl *claim) decide() {
	cl.decided = true
	cl.s.sequences.resolve(cl.seq)
	if cl.call != nil {
		cl.s.c.remove(cl.call)
		cl.call = nil
	}
}

// cancel withdraws the claim by its number, whatever has become of it, until
// the cell has acknowledged that. Needs mu.
func (cl *claim) cancel(err error) {
	s, c := cl.s, cl.s.c
	cl.decided, cl.err = true, err
	close(cl.done)
	if cl.call != nil {
		sent := cl.call.sent
		c.remove(cl.call)
		cl.call = nil
		if !sent {
			delete(s.claims, cl.seq)
			s.sequences.resolve(cl.seq)
			return
		}
	}
	seq := s.sequences.next()
	c.enqueue(&call{
		op: "cancel claim", name: cl.name, kind: repeatable, session: s,
		req: &api.Request{Op: &api.Request_CancelClaim{CancelClaim: &api.CancelClaimRequest{
			Cell: c.cfg.Cell, Session: uint64(s.id), Sequence: seq, Acked: s.sequences.acked, ClaimSequence: cl.seq,
		}}},
		finish: func(_ *api.Response, err error) {
			if err != nil && s.err == nil {
				c.log.Warn().Uint64("session", uint64(s.id)).Str("lock", cl.name).Err(err).Msg("the cell refused to withdraw a claim")
			}
			delete(s.claims, cl.seq)
			s.sequences.resolve(cl.seq)
			s.sequences.resolve(seq)
		},
	})
}

// sessionOver ends the claim, and its lock, with its session. Needs mu.
func (cl *claim) sessionOver(err error) {
	if cl.lock != nil {
		cl.lock.end(err)
	}
	cl.refuse(err)
}

// waitError says why the claim was not decided in time. Needs mu.
func (cl *claim) waitError(ctx context.Context) *waitError {
	if cl.call != nil {
		return cl.s.c.waitError(ctx, cl.call)
	}
	err := &waitError{op: "lock", name: cl.name, ctx: causeOf(ctx), note: "it waited in the queue"}
	if cl.s.c.link == nil {
		err.reason = cl.s.c.unreachable(nil)
	}
	return err
}

// claimEvent takes in what the cell tells of a claim that was queued or
// granted. Needs mu.
func (s *Session) claimEvent(e *api.ClaimEvent) {
	cl := s.claims[e.GetSequence()]
	if cl == nil {
		return
	}
	switch {
	case e.GetGranted() != nil:
		cl.granted(e.GetGranted())
	case e.GetError() != nil:
		err := fromWire("lock", cl.name, e.GetError())
		switch {
		case err.Code == CodeSessionOver || err.Code == CodeSessionNotFound:
			s.lose(sessionLost(s, err))
		case cl.lock != nil:
			cl.lock.end(err)
		default:
			cl.refuse(err)
		}
	}
}

// resendClaims repeats the claims that are queued in the cell, so that this
// link learns their outcome, too. Needs mu.
func (s *Session) resendClaims(l *link) {
	for _, seq := range s.claimsInOrder() {
		cl := s.claims[seq]
		if cl.decided || cl.call != nil {
			continue
		}
		cl.call = &call{op: "lock", name: cl.name, kind: repeatable, session: s, sent: true,
			req: &api.Request{Op: &api.Request_Acquire{Acquire: cl.req}}, finish: cl.answered}
		s.c.enqueue(cl.call)
	}
}

// claimsInOrder returns the numbers of the claims, rising. Needs mu.
func (s *Session) claimsInOrder() []uint64 {
	out := make([]uint64, 0, len(s.claims))
	for seq := range s.claims {
		out = append(out, seq)
	}
	slices.Sort(out)
	return out
}

// Txn runs a transaction exactly once: when its answer is lost it is repeated
// by its number. When the context ends first the outcome is unknown to the
// caller, and the transaction is not withdrawn.
func (s *Session) Txn(ctx context.Context, t Txn) (TxnResult, error) {
	c, req := s.c, t.request()
	answers := make(chan answer, 1)
	ca := &call{op: "txn", kind: repeatable, session: s, req: &api.Request{Op: &api.Request_Txn{Txn: req}}}
	if err := c.admit(ctx, ca); err != nil {
		return TxnResult{}, err
	}
	c.mu.Lock()
	if err := s.check(); err != nil {
		c.release(ca)
		c.mu.Unlock()
		return TxnResult{}, err
	}
	seq := s.sequences.next()
	req.Cell, req.Session, req.Sequence, req.Acked = c.cfg.Cell, uint64(s.id), seq, s.sequences.acked
	ca.finish = func(resp *api.Response, err error) {
		s.sequences.resolve(seq)
		answers <- answer{resp, err}
	}
	c.enqueue(ca)
	c.mu.Unlock()
	select {
	case a := <-answers:
		return txnResultOf(a.resp.GetTxn()), a.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case a := <-answers: // at the same moment
		return txnResultOf(a.resp.GetTxn()), a.err
	default:
	}
	err := c.waitError(ctx, ca)
	err.unknown = ca.sent
	if !ca.sent {
		c.remove(ca)
		s.sequences.resolve(seq)
	}
	return TxnResult{}, err
}
