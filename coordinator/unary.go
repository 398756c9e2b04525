package coordinator

import (
	"context"
	"time"

	"github.com/conch-lock/conch/api"
)

// service is the methods that clients call: the stream, and the unary ones,
// which go the same way as requests of a stream.
type service struct {
	loop *loop
}

var _ api.DRPCConchServer = service{}

// do sends a request through the loop and waits for its answer. When ctx ends
// first, it may or may not happen.
func (s service) do(ctx context.Context, req *api.Request) (*api.Response, *call, error) {
	m, op := methodOf(req)
	if op == nil {
		return nil, nil, &rpcError{invalid("the request is empty")}
	}
	answer := make(chan *api.Response, 1)
	c := &call{
		method: m, size: req.SizeVT() + weight(op), began: time.Now(), load: s.loop.load,
		answer: func(r *api.Response) { answer <- r }, // once: there is room
	}
	e := s.loop.admit(c)
	var it item
	if e == nil {
		it, e = s.loop.prepare(c, op)
	}
	if e != nil {
		c.finish(e.GetCode())
		return nil, nil, &rpcError{e}
	}
	s.loop.submit(it)
	select {
	case r := <-answer:
		if e := r.GetError(); e != nil {
			return nil, nil, &rpcError{e}
		}
		if size := r.SizeVT(); size > maxResponse {
			return nil, nil, &rpcError{tooLarge(r, size).GetError()}
		}
		return r, c, nil
	case <-ctx.Done():
		c.finish(api.Code_UNKNOWN_OUTCOME)
		return nil, nil, &rpcError{&api.Error{
			Code: api.Code_UNKNOWN_OUTCOME, Message: "the call ended before it was answered: it may or may not happen",
		}}
	}
}

// Stream serves a client's stream.
func (s service) Stream(stream api.DRPCConch_StreamStream) error { return s.loop.serveStream(stream) }

func (s service) OpenSession(ctx context.Context, q *api.OpenSessionRequest) (*api.OpenSessionResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_OpenSession{OpenSession: q}})
	return r.GetOpenSession(), err
}

// KeepAlive answers once all its sessions were heard, or are known to be over.
func (s service) KeepAlive(ctx context.Context, q *api.KeepAliveRequest) (*api.KeepAliveResponse, error) {
	_, c, err := s.do(ctx, &api.Request{Op: &api.Request_KeepAlive{KeepAlive: q}})
	if err != nil {
		return nil, err
	}
	return c.heard, nil
}

func (s service) CloseSession(ctx context.Context, q *api.CloseSessionRequest) (*api.CloseSessionResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_CloseSession{CloseSession: q}})
	return r.GetCloseSession(), err
}

func (s service) EndSession(ctx context.Context, q *api.EndSessionRequest) (*api.EndSessionResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_EndSession{EndSession: q}})
	return r.GetEndSession(), err
}

func (s service) ListSessions(ctx context.Context, q *api.ListSessionsRequest) (*api.ListSessionsResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_ListSessions{ListSessions: q}})
	return r.GetListSessions(), err
}

func (s service) ShowSession(ctx context.Context, q *api.ShowSessionRequest) (*api.ShowSessionResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_ShowSession{ShowSession: q}})
	return r.GetShowSession(), err
}

// Acquire answers when the claim is decided.
func (s service) Acquire(ctx context.Context, q *api.AcquireRequest) (*api.AcquireResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_Acquire{Acquire: q}})
	return r.GetAcquire(), err
}

func (s service) Release(ctx context.Context, q *api.ReleaseRequest) (*api.ReleaseResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_Release{Release: q}})
	return r.GetRelease(), err
}

func (s service) CancelClaim(ctx context.Context, q *api.CancelClaimRequest) (*api.CancelClaimResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_CancelClaim{CancelClaim: q}})
	return r.GetCancelClaim(), err
}

func (s service) ListLocks(ctx context.Context, q *api.ListLocksRequest) (*api.ListLocksResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_ListLocks{ListLocks: q}})
	return r.GetListLocks(), err
}

func (s service) ShowLock(ctx context.Context, q *api.ShowLockRequest) (*api.ShowLockResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_ShowLock{ShowLock: q}})
	return r.GetShowLock(), err
}

func (s service) LockHistory(ctx context.Context, q *api.LockHistoryRequest) (*api.LockHistoryResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_LockHistory{LockHistory: q}})
	return r.GetLockHistory(), err
}

func (s service) BreakLock(ctx context.Context, q *api.BreakLockRequest) (*api.BreakLockResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_BreakLock{BreakLock: q}})
	return r.GetBreakLock(), err
}

func (s service) CheckToken(ctx context.Context, q *api.CheckTokenRequest) (*api.CheckTokenResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_CheckToken{CheckToken: q}})
	return r.GetCheckToken(), err
}

// Campaign answers when the candidacy is decided.
func (s service) Campaign(ctx context.Context, q *api.CampaignRequest) (*api.CampaignResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_Campaign{Campaign: q}})
	return r.GetCampaign(), err
}

func (s service) Proclaim(ctx context.Context, q *api.ProclaimRequest) (*api.ProclaimResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_Proclaim{Proclaim: q}})
	return r.GetProclaim(), err
}

func (s service) Resign(ctx context.Context, q *api.ResignRequest) (*api.ResignResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_Resign{Resign: q}})
	return r.GetResign(), err
}

func (s service) Transfer(ctx context.Context, q *api.TransferRequest) (*api.TransferResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_Transfer{Transfer: q}})
	return r.GetTransfer(), err
}

func (s service) ListElections(ctx context.Context, q *api.ListElectionsRequest) (*api.ListElectionsResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_ListElections{ListElections: q}})
	return r.GetListElections(), err
}

func (s service) ShowElection(ctx context.Context, q *api.ShowElectionRequest) (*api.ShowElectionResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_ShowElection{ShowElection: q}})
	return r.GetShowElection(), err
}

func (s service) ElectionHistory(ctx context.Context, q *api.ElectionHistoryRequest) (*api.ElectionHistoryResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_ElectionHistory{ElectionHistory: q}})
	return r.GetElectionHistory(), err
}

func (s service) Range(ctx context.Context, q *api.RangeRequest) (*api.RangeResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_Range{Range: q}})
	return r.GetRange(), err
}

func (s service) Txn(ctx context.Context, q *api.TxnRequest) (*api.TxnResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_Txn{Txn: q}})
	return r.GetTxn(), err
}

func (s service) Compact(ctx context.Context, q *api.CompactRequest) (*api.CompactResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_Compact{Compact: q}})
	return r.GetCompact(), err
}

func (s service) Status(ctx context.Context, q *api.StatusRequest) (*api.StatusResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_Status{Status: q}})
	return r.GetStatus(), err
}

func (s service) Hash(ctx context.Context, q *api.HashRequest) (*api.HashResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_Hash{Hash: q}})
	return r.GetHash(), err
}

func (s service) TransferLeader(ctx context.Context, q *api.TransferLeaderRequest) (*api.TransferLeaderResponse, error) {
	r, _, err := s.do(ctx, &api.Request{Op: &api.Request_TransferLeader{TransferLeader: q}})
	return r.GetTransferLeader(), err
}
