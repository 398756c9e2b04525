package sdk

import (
	"context"
	"time"

	"github.com/conch-lock/conch/api"
)

// pageSize is how many records one request of a listing asks for.
const pageSize = 1000

// Locks lists the locks whose names begin with prefix, in the order of their
// names, without their waiters. It asks page by page: each page is
// linearizable, the whole is not one snapshot.
func (c *Client) Locks(ctx context.Context, prefix string) ([]LockInfo, error) {
	out, after := []LockInfo{}, ""
	for {
		resp, err := c.call(ctx, "list locks", prefix, &api.Request{Op: &api.Request_ListLocks{ListLocks: &api.ListLocksRequest{
			Cell: c.cfg.Cell, Prefix: prefix, After: after, Limit: pageSize,
		}}}, repeatable)
		if err != nil {
			return nil, err
		}
		page, now := resp.GetListLocks(), time.Now()
		for _, l := range page.GetLocks() {
			out = append(out, lockInfoOf(l, now))
		}
		if !page.GetMore() || len(page.GetLocks()) == 0 {
			return out, nil
		}
		after = out[len(out)-1].Name
	}
}

// ShowLock tells of one lock, its holders and its queue. ErrLockNotFound:
// nobody holds or awaits it.
func (c *Client) ShowLock(ctx context.Context, name string) (LockInfo, error) {
	if err := checkName("show lock", name); err != nil {
		return LockInfo{}, err
	}
	resp, err := c.call(ctx, "show lock", name, &api.Request{Op: &api.Request_ShowLock{ShowLock: &api.ShowLockRequest{
		Cell: c.cfg.Cell, Name: name,
	}}}, repeatable)
	if err != nil {
		return LockInfo{}, err
	}
	return lockInfoOf(resp.GetShowLock().GetLock(), time.Now()), nil
}

// LockHistory tells the newest limit tenures of a lock, oldest first; a limit
// of 0 means 1000.
func (c *Client) LockHistory(ctx context.Context, name string, limit int) (History, error) {
	if err := checkName("lock history", name); err != nil {
		return History{}, err
	}
	if limit < 0 || limit > 1<<31-1 {
		return History{}, invalid("lock history", name, "limit %d: 0 or more are allowed", limit)
	}
	resp, err := c.call(ctx, "lock history", name, &api.Request{Op: &api.Request_LockHistory{LockHistory: &api.LockHistoryRequest{
		Cell: c.cfg.Cell, Name: name, Limit: uint32(limit),
	}}}, repeatable)
	if err != nil {
		return History{}, err
	}
	h := resp.GetLockHistory()
	out := History{Tenures: []Tenure{}, CompactedRevision: h.GetCompactedRevision(), Revision: h.GetRevision()}
	for _, t := range h.GetTenures() {
		out.Tenures = append(out.Tenures, tenureOf(t))
	}
	return out, nil
}

// BreakLock ends the grant of a lock that has that token, whoever holds it.
// ErrTokenMismatch: token is not a current one. ErrUnknownOutcome: the
// connection broke; ShowLock tells.
func (c *Client) BreakLock(ctx context.Context, name string, token Token, reason string) error {
	if err := checkName("break lock", name); err != nil {
		return err
	}
	if err := checkReason("break lock", reason); err != nil {
		return err
	}
	_, err := c.call(ctx, "break lock", name, &api.Request{Op: &api.Request_BreakLock{BreakLock: &api.BreakLockRequest{
		Cell: c.cfg.Cell, Name: name, Token: uint64(token), Reason: reason,
	}}}, once)
	return err
}

// CheckToken asks whether a token is a current grant of a lock. The answer is
// linearizable and may be out of date when it arrives: a resource that can
// compare tokens itself is safer.
func (c *Client) CheckToken(ctx context.Context, name string, token Token) (TokenCheck, error) {
	if err := checkName("check token", name); err != nil {
		return TokenCheck{}, err
	}
	resp, err := c.call(ctx, "check token", name, &api.Request{Op: &api.Request_CheckToken{CheckToken: &api.CheckTokenRequest{
		Cell: c.cfg.Cell, Name: name, Token: uint64(token),
	}}}, repeatable)
	if err != nil {
		return TokenCheck{}, err
	}
	r := resp.GetCheckToken()
	return TokenCheck{Current: r.GetCurrent(), CurrentToken: Token(r.GetCurrentToken()), Revision: r.GetRevision()}, nil
}

// Sessions lists all sessions in the order of their ids, page by page as Locks does.
func (c *Client) Sessions(ctx context.Context) ([]SessionInfo, error) {
	out, after := []SessionInfo{}, uint64(0)
	for {
		resp, err := c.call(ctx, "list sessions", "", &api.Request{Op: &api.Request_ListSessions{ListSessions: &api.ListSessionsRequest{
			Cell: c.cfg.Cell, After: after, Limit: pageSize,
		}}}, repeatable)
		if err != nil {
			return nil, err
		}
		page := resp.GetListSessions()
		for _, s := range page.GetSessions() {
			out = append(out, sessionInfoOf(s))
		}
		if !page.GetMore() || len(page.GetSessions()) == 0 {
			return out, nil
		}
		after = uint64(out[len(out)-1].ID)
	}
}

// ShowSession tells of one session. ErrSessionNotFound: it is over or never was.
func (c *Client) ShowSession(ctx context.Context, id SessionID) (SessionInfo, error) {
	resp, err := c.call(ctx, "show session", id.String(), &api.Request{Op: &api.Request_ShowSession{ShowSession: &api.ShowSessionRequest{
		Cell: c.cfg.Cell, Session: uint64(id),
	}}}, repeatable)
	if err != nil {
		return SessionInfo{}, err
	}
	return sessionInfoOf(resp.GetShowSession().GetSession()), nil
}

// EndSession ends somebody's session: its locks are released, its claims
// withdrawn and its keys deleted. ErrUnknownOutcome: the connection broke;
// ShowSession tells.
func (c *Client) EndSession(ctx context.Context, id SessionID, reason string) error {
	if err := checkReason("end session", reason); err != nil {
		return err
	}
	_, err := c.call(ctx, "end session", id.String(), &api.Request{Op: &api.Request_EndSession{EndSession: &api.EndSessionRequest{
		Cell: c.cfg.Cell, Session: uint64(id), Reason: reason,
	}}}, once)
	return err
}

// Status tells of the cell and its nodes, as the node that is asked sees them.
func (c *Client) Status(ctx context.Context) (Status, error) {
	resp, err := c.call(ctx, "status", "", &api.Request{Op: &api.Request_Status{Status: &api.StatusRequest{Cell: c.cfg.Cell}}}, repeatable)
	if err != nil {
		return Status{}, err
	}
	s := resp.GetStatus()
	out := Status{
		Cell: s.GetCell(), Revision: s.GetRevision(), Leader: s.GetLeader(), Nodes: []NodeStatus{},
		Sessions: s.GetSessions(), Locks: s.GetLocks(), Waiters: s.GetWaiters(),
		StateBytes: s.GetStateBytes(), QuotaBytes: s.GetQuotaBytes(), CompactedRevision: s.GetCompactedRevision(), Node: s.GetNode(),
		Elections: s.GetElections(), Candidates: s.GetCandidates(),
	}
	for _, n := range s.GetNodes() {
		out.Nodes = append(out.Nodes, NodeStatus{
			Name: n.GetName(), ID: n.GetId(), Endpoint: n.GetEndpoint(), Peer: n.GetPeer(), Role: n.GetRole(),
			Term: n.GetTerm(), Applied: n.GetApplied(), Version: n.GetVersion(), Healthy: n.GetHealthy(), HeardMillis: int64(n.GetHeardMs()),
		})
	}
	return out, nil
}

// Hash compares the hash of every node's state at one index of the log.
func (c *Client) Hash(ctx context.Context) (Hashes, error) {
	resp, err := c.call(ctx, "hash", "", &api.Request{Op: &api.Request_Hash{Hash: &api.HashRequest{Cell: c.cfg.Cell}}}, repeatable)
	if err != nil {
		return Hashes{}, err
	}
	out := Hashes{Nodes: []NodeHash{}, Equal: resp.GetHash().GetEqual()}
	for _, n := range resp.GetHash().GetNodes() {
		out.Nodes = append(out.Nodes, NodeHash{
			Name: n.GetName(), ID: n.GetId(), Index: n.GetIndex(), Revision: n.GetRevision(), Hash: n.GetHash(), Error: n.GetError(),
		})
	}
	return out, nil
}

// TransferLeader hands leadership to the node of that name and returns the
// name of the leader then. ErrNotFound: there is no such node.
func (c *Client) TransferLeader(ctx context.Context, node string) (string, error) {
	resp, err := c.call(ctx, "transfer leader", node, &api.Request{Op: &api.Request_TransferLeader{TransferLeader: &api.TransferLeaderRequest{
		Cell: c.cfg.Cell, Node: node,
	}}}, once)
	if err != nil {
		return "", err
	}
	return resp.GetTransferLeader().GetLeader(), nil
}
