package sdk

import (
	"context"
	"slices"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/internal/planted"
)

// claim is one request for a grant, a lock's or a leader's, until that has
// ended. All fields are guarded by Client.mu but for the first five, which do
// not change.
type claim struct {
	s     *Session
	op    string
	names []string
	req   *api.Request
	seq   uint64

	call    *call // awaits the first answer; nil when it is queued in the cell
	decided bool
	done    chan struct{} // closed when it is decided
	grant   *grant        // granted
	err     error         // not granted
}

// name is what the claim is for; of several locks, the first one.
func (cl *claim) name() string { return cl.names[0] }

// await sends the claim and waits until it is decided. number puts its sequence
// into the request.
func (cl *claim) await(ctx context.Context, number func(seq, acked uint64)) (*grant, error) {
	s, c := cl.s, cl.s.c
	ca := &call{op: cl.op, name: cl.name(), kind: repeatable, session: s, req: cl.req}
	if err := c.admit(ctx, ca); err != nil {
		return nil, err
	}
	cl.call, cl.done = ca, make(chan struct{})
	c.mu.Lock()
	if err := s.check(); err != nil {
		c.release(ca)
		c.mu.Unlock()
		return nil, err
	}
	cl.seq = s.sequences.next()
	number(cl.seq, s.sequences.acked)
	s.claims[cl.seq] = cl
	ca.finish = cl.answered
	c.sendOff(ca)

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
	if err := cl.grant.check(); err != nil && !planted.On(planted.LateGrantTaken) {
		return nil, err
	}
	return cl.grant, nil
}

// answered takes the answer to the request. Needs mu.
func (cl *claim) answered(resp *api.Response, err error) {
	cl.call = nil
	if err != nil {
		cl.refuse(err)
		return
	}
	var r outcome = resp.GetAcquire()
	if cl.req.GetCampaign() != nil {
		r = resp.GetCampaign()
	}
	switch r.GetState() {
	case api.ClaimState_CLAIM_GRANTED:
		cl.granted(r)
	default:
		// Queued. The answer has been taken in, so the cell may forget it: a
		// claim that waits for long must not keep it from forgetting the
		// replies of those after it. A repetition finds the claim itself.
		cl.s.sequences.resolve(cl.seq)
	}
}

// granted makes the grant. Needs mu.
func (cl *claim) granted(r outcome) {
	if cl.decided {
		return
	}
	cl.decide()
	cl.grant = newGrant(cl, r)
	// It may be news from a node that lags, of a grant that had ended when
	// another node listed what the session has.
	if cl.s.endedUnheard(cl.seq, r.GetRevision()) && !planted.On(planted.OldNewsBelieved) {
		cl.grant.endedUnheard(cl.op, cl.s.ended[cl.seq])
	}
	close(cl.done)
}

// refuse ends the claim without a grant. Needs mu.
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
	cl.withdraw()
}

// withdraw has the cell forget the claim. Needs mu.
func (cl *claim) withdraw() {
	s, c := cl.s, cl.s.c
	s.enqueue("cancel claim", cl.name(), func(seq, acked uint64) *api.Request {
		return &api.Request{Op: &api.Request_CancelClaim{CancelClaim: &api.CancelClaimRequest{
			Cell: c.cfg.Cell, Session: uint64(s.id), Sequence: seq, Acked: acked, ClaimSequence: cl.seq,
		}}}
	}, func(_ *api.Response, err error) {
		if err != nil && s.err == nil {
			c.log.Warn().Uint64("session", uint64(s.id)).Str("name", cl.name()).Err(err).Msg("the cell refused to withdraw a claim")
		}
		delete(s.claims, cl.seq)
		s.sequences.resolve(cl.seq)
	})
}

// sessionOver ends the claim, and its grant, with its session. Needs mu.
func (cl *claim) sessionOver(err error) {
	if cl.grant != nil {
		cl.grant.end(err)
	}
	cl.refuse(err)
}

// waitError says why the claim was not decided in time. Needs mu.
func (cl *claim) waitError(ctx context.Context) *waitError {
	if cl.call != nil {
		return cl.s.c.waitError(ctx, cl.call)
	}
	err := &waitError{op: cl.op, name: cl.name(), ctx: causeOf(ctx), note: "it waited in the queue"}
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
	case e.GetLeads() != nil:
		cl.granted(e.GetLeads())
	case e.GetError() != nil:
		err := fromWire(cl.op, cl.name(), e.GetError())
		switch {
		case err.Code == CodeSessionOver || err.Code == CodeSessionNotFound:
			s.lose(sessionLost(s, err))
		case cl.grant != nil:
			cl.grant.ended(err)
		default:
			cl.refuse(err)
		}
	}
}

// resendClaims repeats the claims that are queued in the cell, so that this
// link learns their outcome, too: the attachment lists what waits and what is
// held, and of what has ended the last few alone. Needs mu.
func (s *Session) resendClaims(l *link) {
	for _, seq := range s.claimsInOrder() {
		cl := s.claims[seq]
		if cl.decided || cl.call != nil || planted.On(planted.ClaimNotResent) {
			continue
		}
		cl.call = &call{op: cl.op, name: cl.name(), kind: repeatable, session: s, sent: true,
			req: &api.Request{Op: cl.req.Op}, finish: cl.answered}
		s.c.enqueue(cl.call)
	}
}

// askForGrants repeats the claims that were granted, when the cell could not
// list what the session has: the answer may be too large. Those that wait are
// repeated anyway. Needs mu.
func (s *Session) askForGrants() {
	for _, seq := range s.claimsInOrder() {
		if cl := s.claims[seq]; cl.grant != nil {
			s.c.enqueue(&call{op: cl.op, name: cl.name(), kind: ofLink, session: s,
				req: &api.Request{Op: cl.req.Op}, finish: func(_ *api.Response, err error) { cl.confirmed(err) }})
		}
	}
}

// confirmed takes the answer to the repetition of a claim that was granted: the
// grant, or why there is none any more. Needs mu.
func (cl *claim) confirmed(err error) {
	if err == nil || cl.grant.err != nil {
		return
	}
	refused, _ := err.(*Error)
	switch {
	case refused != nil && refused.Code == CodeSequenceTooOld:
		cl.grant.endedUnheard(cl.op, nil) // nothing is remembered of it
	case refused != nil && (refused.Code == CodeClaimBroken || refused.Code == CodeClaimTransferred || refused.Code == CodeClaimCancelled):
		cl.grant.ended(refused)
	default:
		// What cannot be had confirmed is not believed in. The cell may have it
		// still, and then nobody else would get it.
		cl.grant.end(err)
		cl.withdraw()
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
