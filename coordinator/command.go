package coordinator

import (
	"time"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// command submits a command of a client and answers when it is applied.
func (l *loop) command(now time.Duration, c *call, op machine.Op) {
	id := sessionOf(op)
	if c.stream != nil && id != 0 {
		l.attach(c.stream, id)
	}
	l.cell.Submit(now, op, func(p machine.Reply, err error) {
		if err != nil {
			l.fail(c, err)
			return
		}
		if e := refusalOf(l.machine().Store(), &p); e != nil {
			if e.Code == api.Code_SESSION_NOT_FOUND && c.stream != nil && l.machine().Sessions().Get(id) == nil {
				l.detach(c.stream, id)
			}
			l.refuse(c, e)
			return
		}
		l.answer(c, op, &p)
	})
}

// sessionOf is whose command it is; 0 for nobody's.
func sessionOf(op machine.Op) sessions.ID {
	switch o := op.(type) {
	case *machine.Acquire:
		return o.Session
	case *machine.Release:
		return o.Session
	case *machine.Cancel:
		return o.Session
	case *machine.Campaign:
		return o.Session
	case *machine.Proclaim:
		return o.Session
	case *machine.Resign:
		if o.Sequence == 0 {
			return 0 // from who acts for it
		}
		return o.Session
	case *machine.Transfer:
		return o.Session
	case *machine.Txn:
		return o.Session
	case *machine.EndSession:
		if o.Why == locks.Closed {
			return o.Session
		}
	}
	return 0
}

// fail answers a call that got no reply.
func (l *loop) fail(c *call, err error) {
	e := errorOf(err)
	if e.Code == api.Code_NO_LEADER || e.Code == api.Code_UNKNOWN_OUTCOME {
		e.LeaderEndpoint = l.leaderHint().GetEndpoint()
	}
	l.refuse(c, e)
}

// refuse and reply answer a call on the loop, which wakes the stream's writer
// once it has done what is at hand.
func (l *loop) refuse(c *call, e *api.Error) { l.reply(c, &api.Response{Error: e}) }

func (l *loop) reply(c *call, r *api.Response) {
	c.deliver(r)
	if c.stream != nil {
		c.stream.touch()
	}
}

// answer tells a reply that is no refusal.
func (l *loop) answer(c *call, op machine.Op, p *machine.Reply) {
	r := &api.Response{}
	switch o := op.(type) {
	case *machine.OpenSession:
		if c.stream != nil {
			l.attach(c.stream, p.Session)
		}
		r.Result = &api.Response_OpenSession{OpenSession: &api.OpenSessionResponse{
			Session: uint64(p.Session), TtlMs: p.TTL, Revision: p.Revision,
		}}
	case *machine.EndSession:
		if o.Why == locks.Ended {
			r.Result = &api.Response_EndSession{EndSession: &api.EndSessionResponse{Revision: p.Revision}}
			break
		}
		r.Result = &api.Response_CloseSession{CloseSession: &api.CloseSessionResponse{Revision: p.Revision}}
	case *machine.Acquire, *machine.Campaign:
		if p.Claim == nil {
			// The outcome that is remembered of a claim is always a refusal.
			l.refuse(c, internal("a claim that is missing"))
			return
		}
		if c.stream == nil && !p.Claim.Granted {
			l.waits.claim(l.now(), c, p.Claim)
			return
		}
		r = claimedOf(p.Claim, p.Revision)
	case *machine.Release:
		r.Result = &api.Response_Release{Release: &api.ReleaseResponse{Revision: p.Revision}}
	case *machine.Cancel:
		r.Result = &api.Response_CancelClaim{CancelClaim: &api.CancelClaimResponse{WasGranted: p.WasGranted, Revision: p.Revision}}
	case *machine.Break:
		r.Result = &api.Response_BreakLock{BreakLock: &api.BreakLockResponse{Revision: p.Revision}}
	case *machine.Proclaim:
		r.Result = &api.Response_Proclaim{Proclaim: &api.ProclaimResponse{Revision: p.Revision}}
	case *machine.Resign:
		r.Result = &api.Response_Resign{Resign: &api.ResignResponse{Revision: p.Revision}}
	case *machine.Transfer:
		r.Result = &api.Response_Transfer{Transfer: &api.TransferResponse{Revision: p.Revision, Token: uint64(p.Token)}}
	case *machine.Compact:
		r.Result = &api.Response_Compact{Compact: &api.CompactResponse{Revision: p.Revision}}
	case *machine.Txn:
		r.Result = &api.Response_Txn{Txn: l.txnOf(&o.Txn, p.Txn)}
	case *machine.Hash:
		l.gatherHash(c, p)
		return
	}
	l.reply(c, r)
}

// claimedOf answers a claim or candidacy with its state.
func claimedOf(d *machine.Claimed, revision uint64) *api.Response {
	if d.Election {
		return &api.Response{Result: &api.Response_Campaign{Campaign: candidacyOf(d, revision)}}
	}
	return &api.Response{Result: &api.Response_Acquire{Acquire: claimOf(d, revision)}}
}

// claimOf is the state of a claim as a client is told.
func claimOf(d *machine.Claimed, revision uint64) *api.AcquireResponse {
	a := &api.AcquireResponse{
		Session: uint64(d.ID.Session), Sequence: uint64(d.ID.Sequence), State: api.ClaimState_CLAIM_QUEUED,
		Revision: revision, Position: uint32(d.Position), Names: make([]string, len(d.Names)),
	}
	for i, n := range d.Names {
		a.Names[i] = string(n)
	}
	if d.Granted {
		a.State, a.Token, a.Revision, a.SinceUnixMs = api.ClaimState_CLAIM_GRANTED, uint64(d.Token), d.Revision, d.Since
		a.Predecessor = predecessorOf(d.Predecessor)
	}
	return a
}

// predecessorOf is a tenure that is over; nil for none.
func predecessorOf(t locks.Tenure) *api.Predecessor {
	if t.Token == 0 {
		return nil
	}
	return &api.Predecessor{Token: uint64(t.Token), Session: uint64(t.Session), Ended: api.EndReason(t.Ended), Value: t.Value}
}
