package coordinator

import (
	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// methodOf tells what a request asks for, and the message that says the rest;
// nil for a request that is not known.
func methodOf(req *api.Request) (method, any) {
	switch op := req.GetOp().(type) {
	case *api.Request_Hello:
		return methodHello, some(op.Hello)
	case *api.Request_OpenSession:
		return methodOpenSession, some(op.OpenSession)
	case *api.Request_KeepAlive:
		return methodKeepAlive, some(op.KeepAlive)
	case *api.Request_CloseSession:
		return methodCloseSession, some(op.CloseSession)
	case *api.Request_EndSession:
		return methodEndSession, some(op.EndSession)
	case *api.Request_AttachSession:
		return methodAttachSession, some(op.AttachSession)
	case *api.Request_ListSessions:
		return methodListSessions, some(op.ListSessions)
	case *api.Request_ShowSession:
		return methodShowSession, some(op.ShowSession)
	case *api.Request_Acquire:
		return methodAcquire, some(op.Acquire)
	case *api.Request_Release:
		return methodRelease, some(op.Release)
	case *api.Request_CancelClaim:
		return methodCancelClaim, some(op.CancelClaim)
	case *api.Request_ListLocks:
		return methodListLocks, some(op.ListLocks)
	case *api.Request_ShowLock:
		return methodShowLock, some(op.ShowLock)
	case *api.Request_LockHistory:
		return methodLockHistory, some(op.LockHistory)
	case *api.Request_BreakLock:
		return methodBreakLock, some(op.BreakLock)
	case *api.Request_CheckToken:
		return methodCheckToken, some(op.CheckToken)
	case *api.Request_Campaign:
		return methodCampaign, some(op.Campaign)
	case *api.Request_Proclaim:
		return methodProclaim, some(op.Proclaim)
	case *api.Request_Resign:
		return methodResign, some(op.Resign)
	case *api.Request_Transfer:
		return methodTransfer, some(op.Transfer)
	case *api.Request_ListElections:
		return methodListElections, some(op.ListElections)
	case *api.Request_ShowElection:
		return methodShowElection, some(op.ShowElection)
	case *api.Request_ElectionHistory:
		return methodElectionHistory, some(op.ElectionHistory)
	case *api.Request_Range:
		return methodRange, some(op.Range)
	case *api.Request_Txn:
		return methodTxn, some(op.Txn)
	case *api.Request_Compact:
		return methodCompact, some(op.Compact)
	case *api.Request_Watch:
		return methodWatch, some(op.Watch)
	case *api.Request_CancelWatch:
		return methodCancelWatch, some(op.CancelWatch)
	case *api.Request_Status:
		return methodStatus, some(op.Status)
	case *api.Request_Hash:
		return methodHash, some(op.Hash)
	case *api.Request_TransferLeader:
		return methodTransferLeader, some(op.TransferLeader)
	}
	return 0, nil
}

// some keeps a nil message from hiding in an interface.
func some[T any](m *T) any {
	if m == nil {
		return nil
	}
	return m
}

// prepare checks a request and makes an item of it. It runs away from the loop
// and touches nothing of it.
func (l *loop) prepare(c *call, op any) (item, *api.Error) {
	if q, ok := op.(interface{ GetCell() string }); ok {
		if e := checkCell(q.GetCell()); e != nil {
			return item{}, e
		}
	}
	switch q := op.(type) {
	case *api.Hello:
		if len(q.GetClient()) > maxClientName {
			q.Client = q.Client[:maxClientName]
		}
		return item{call: c, run: func() { l.hello(c, q) }}, nil
	case *api.OpenSessionRequest:
		return prepareOpen(c, q)
	case *api.KeepAliveRequest:
		return l.prepareKeepAlive(c, q)
	case *api.CloseSessionRequest:
		return item{call: c, op: &machine.EndSession{Session: sessions.ID(q.GetSession()), Why: locks.Closed}}, checkSession(q.GetSession())
	case *api.EndSessionRequest:
		return prepareEnd(c, q)
	case *api.AttachSessionRequest:
		return item{call: c, run: func() { l.attachSession(c, sessions.ID(q.GetSession())) }}, checkSession(q.GetSession())
	case *api.ListSessionsRequest:
		limit, e := pageOf(q.GetLimit())
		return item{call: c, run: func() { l.listSessions(c, sessions.ID(q.GetAfter()), limit) }}, e
	case *api.ShowSessionRequest:
		return item{call: c, run: func() { l.showSession(c, sessions.ID(q.GetSession())) }}, checkSession(q.GetSession())
	case *api.AcquireRequest:
		return prepareAcquire(c, q)
	case *api.ReleaseRequest:
		return prepareRelease(c, q)
	case *api.CancelClaimRequest:
		return prepareCancel(c, q)
	case *api.ListLocksRequest:
		return l.prepareListLocks(c, q)
	case *api.ShowLockRequest:
		return item{call: c, run: func() { l.showLock(c, locks.Name(q.GetName())) }}, checkName("name", q.GetName())
	case *api.LockHistoryRequest:
		return l.prepareHistory(c, store.Locks, q, func(limit int) tenures { return newLockTenures(q.GetName(), limit) })
	case *api.BreakLockRequest:
		return prepareBreak(c, q)
	case *api.CheckTokenRequest:
		if e := checkToken(q.GetToken()); e != nil {
			return item{}, e
		}
		return item{call: c, run: func() { l.checkToken(c, q) }}, checkName("name", q.GetName())
	case *api.CampaignRequest:
		return prepareCampaign(c, q)
	case *api.ProclaimRequest:
		return prepareProclaim(c, q)
	case *api.ResignRequest:
		return prepareResign(c, q)
	case *api.TransferRequest:
		return prepareTransfer(c, q)
	case *api.ListElectionsRequest:
		return l.prepareListElections(c, q)
	case *api.ShowElectionRequest:
		return item{call: c, run: func() { l.showElection(c, locks.Name(q.GetName())) }}, checkName("name", q.GetName())
	case *api.ElectionHistoryRequest:
		return l.prepareHistory(c, store.Elections, q, func(limit int) tenures { return newLeaderTenures(q.GetName(), limit) })
	case *api.RangeRequest:
		return l.prepareRange(c, q)
	case *api.TxnRequest:
		return prepareTxn(c, q)
	case *api.CompactRequest:
		return item{call: c, op: &machine.Compact{Revision: q.GetRevision()}}, nil
	case *api.WatchRequest:
		return l.prepareWatch(c, q)
	case *api.CancelWatchRequest:
		return item{call: c, run: func() { l.cancelWatch(c, q.GetWatch()) }}, nil
	case *api.StatusRequest:
		return item{call: c, run: func() { l.status(c) }}, nil
	case *api.HashRequest:
		return item{call: c, op: &machine.Hash{}}, nil
	case *api.TransferLeaderRequest:
		return l.prepareTransferLeader(c, q)
	}
	return item{}, invalid("op: %v is not known", c.method)
}

func prepareOpen(c *call, q *api.OpenSessionRequest) (item, *api.Error) {
	var nonce sessions.Nonce
	if len(q.GetNonce()) != len(nonce) {
		return item{}, invalid("nonce: it has %d bytes: %d random ones are wanted", len(q.GetNonce()), len(nonce))
	}
	copy(nonce[:], q.GetNonce())
	if nonce == (sessions.Nonce{}) {
		return item{}, invalid("nonce: it is all zeros: %d random bytes are wanted", len(nonce))
	}
	if err := sessions.CheckTTL(q.GetTtlMs()); err != nil {
		return item{}, invalid("ttl_ms: %v", err)
	}
	labels, e := labelsOf(q.GetLabels())
	return item{call: c, op: &machine.OpenSession{Nonce: nonce, TTL: q.GetTtlMs(), Labels: labels}}, e
}

func prepareEnd(c *call, q *api.EndSessionRequest) (item, *api.Error) {
	if e := checkReason(q.GetReason()); e != nil {
		return item{}, e
	}
	return item{call: c, op: &machine.EndSession{
		Session: sessions.ID(q.GetSession()), Why: locks.Ended, Reason: q.GetReason(),
	}}, checkSession(q.GetSession())
}

func prepareAcquire(c *call, q *api.AcquireRequest) (item, *api.Error) {
	if e := checkSequence(q.GetSession(), q.GetSequence()); e != nil {
		return item{}, e
	}
	items, e := itemsOf(q.GetItems())
	if e != nil {
		return item{}, e
	}
	if e := checkWait(q.GetWaitMs()); e != nil {
		return item{}, e
	}
	if most := uint64(locks.MaxDelay / sessions.Millisecond); q.GetLockDelayMs() > most {
		return item{}, invalid("lock_delay_ms: %d: at most %d are allowed", q.GetLockDelayMs(), most)
	}
	labels, e := labelsOf(q.GetLabels())
	if e != nil {
		return item{}, e
	}
	return item{call: c, op: &machine.Acquire{
		Request: requestOf(q), Items: items, Try: q.GetTry(), Wait: q.GetWaitMs(), Delay: q.GetLockDelayMs(), Labels: labels,
	}}, nil
}

// requestOf is the exactly-once part of a request.
func requestOf(q interface {
	GetSession() uint64
	GetSequence() uint64
	GetAcked() uint64
}) machine.Request {
	return machine.Request{
		Session:  sessions.ID(q.GetSession()),
		Sequence: sessions.Sequence(q.GetSequence()),
		Acked:    sessions.Sequence(q.GetAcked()),
	}
}

func prepareRelease(c *call, q *api.ReleaseRequest) (item, *api.Error) {
	if e := checkSequence(q.GetSession(), q.GetSequence()); e != nil {
		return item{}, e
	}
	if e := checkToken(q.GetToken()); e != nil {
		return item{}, e
	}
	return item{call: c, op: &machine.Release{
		Request: requestOf(q), Name: locks.Name(q.GetName()), Token: locks.Token(q.GetToken()),
	}}, checkName("name", q.GetName())
}

func prepareCancel(c *call, q *api.CancelClaimRequest) (item, *api.Error) {
	if e := checkSequence(q.GetSession(), q.GetSequence()); e != nil {
		return item{}, e
	}
	if n := q.GetClaimSequence(); n == 0 || n == q.GetSequence() {
		return item{}, invalid("claim_sequence: %d: it is the sequence of an earlier acquire, and not that of this request (%d)", n, q.GetSequence())
	}
	return item{call: c, op: &machine.Cancel{Request: requestOf(q), Claim: sessions.Sequence(q.GetClaimSequence())}}, nil
}

func prepareBreak(c *call, q *api.BreakLockRequest) (item, *api.Error) {
	if e := checkToken(q.GetToken()); e != nil {
		return item{}, e
	}
	if e := checkReason(q.GetReason()); e != nil {
		return item{}, e
	}
	return item{call: c, op: &machine.Break{
		Name: locks.Name(q.GetName()), Token: locks.Token(q.GetToken()), Reason: q.GetReason(),
	}}, checkName("name", q.GetName())
}
