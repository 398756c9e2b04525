package sdk

import (
	"context"
	"time"

	"github.com/conch-lock/conch/api"
)

// Elections lists the elections whose names begin with prefix, in the order of
// their names, without their candidates: those that somebody leads, and those
// of which the cell still knows the last leader. It asks page by page: each page
// is linearizable, the whole is not one snapshot.
func (c *Client) Elections(ctx context.Context, prefix string) ([]ElectionInfo, error) {
	out, after := []ElectionInfo{}, ""
	for {
		resp, err := c.call(ctx, "list elections", prefix, &api.Request{Op: &api.Request_ListElections{ListElections: &api.ListElectionsRequest{
			Cell: c.cfg.Cell, Prefix: prefix, After: after, Limit: pageSize,
		}}}, repeatable)
		if err != nil {
			return nil, err
		}
		page, now := resp.GetListElections(), time.Now()
		for _, e := range page.GetElections() {
			out = append(out, electionInfoOf(e, now))
		}
		if !page.GetMore() || len(page.GetElections()) == 0 {
			return out, nil
		}
		after = out[len(out)-1].Name
	}
}

// ShowElection tells of one election, its leader and its candidates.
// ErrNotFound: nobody ever led it, or that is forgotten.
func (c *Client) ShowElection(ctx context.Context, name string) (ElectionInfo, error) {
	if err := checkElection("show election", name); err != nil {
		return ElectionInfo{}, err
	}
	resp, err := c.call(ctx, "show election", name, &api.Request{Op: &api.Request_ShowElection{ShowElection: &api.ShowElectionRequest{
		Cell: c.cfg.Cell, Name: name,
	}}}, repeatable)
	if err != nil {
		return ElectionInfo{}, err
	}
	return electionInfoOf(resp.GetShowElection().GetElection(), time.Now()), nil
}

// ElectionHistory tells the newest limit tenures of an election, oldest first; a
// limit of 0 means 1000.
func (c *Client) ElectionHistory(ctx context.Context, name string, limit int) (LeaderHistory, error) {
	if err := checkElection("election history", name); err != nil {
		return LeaderHistory{}, err
	}
	if limit < 0 || limit > 1<<31-1 {
		return LeaderHistory{}, invalid("election history", name, "limit %d: 0 or more are allowed", limit)
	}
	resp, err := c.call(ctx, "election history", name, &api.Request{Op: &api.Request_ElectionHistory{ElectionHistory: &api.ElectionHistoryRequest{
		Cell: c.cfg.Cell, Name: name, Limit: uint32(limit),
	}}}, repeatable)
	if err != nil {
		return LeaderHistory{}, err
	}
	h := resp.GetElectionHistory()
	out := LeaderHistory{Tenures: []LeaderTenure{}, CompactedRevision: h.GetCompactedRevision(), Revision: h.GetRevision()}
	for _, t := range h.GetTenures() {
		out.Tenures = append(out.Tenures, leaderTenureOf(t))
	}
	return out, nil
}

// What follows is for operators, who act for whatever session leads with the
// token that they name. ErrTokenMismatch: token is not the leader's, and nothing
// happened. ErrUnknownOutcome: the connection broke; ShowElection tells.

// ProclaimAs replaces the value of the leader that has that token.
func (c *Client) ProclaimAs(ctx context.Context, name string, token Token, value []byte) error {
	if err := checkElection("proclaim", name); err != nil {
		return err
	}
	if err := checkValue("proclaim", name, value); err != nil {
		return err
	}
	_, err := c.call(ctx, "proclaim", name, &api.Request{Op: &api.Request_Proclaim{Proclaim: &api.ProclaimRequest{
		Cell: c.cfg.Cell, Name: name, Token: uint64(token), Value: value,
	}}}, once)
	return err
}

// ResignElection ends the leadership that has that token, as broken; the leader
// is told, with the reason. ErrTokenMismatch and ErrUnknownOutcome as for
// ProclaimAs.
func (c *Client) ResignElection(ctx context.Context, name string, token Token, reason string) error {
	return c.resign(ctx, name, 0, token, reason)
}

// ResignAs ends the leadership of a session as released, in its name: it is for
// what acts for the leader and does not have its [Session], such as a command
// that it runs. The leader is told: its Err is ErrResigned. ErrNotHolder: the
// session does not lead with that token, and nothing happened;
// ErrUnknownOutcome as for ProclaimAs.
func (c *Client) ResignAs(ctx context.Context, name string, session SessionID, token Token, reason string) error {
	if session == 0 {
		return invalid("resign", name, "the session is missing: 0 is no session")
	}
	return c.resign(ctx, name, session, token, reason)
}

func (c *Client) resign(ctx context.Context, name string, session SessionID, token Token, reason string) error {
	if err := checkElection("resign", name); err != nil {
		return err
	}
	if err := checkReason("resign", reason); err != nil {
		return err
	}
	_, err := c.call(ctx, "resign", name, &api.Request{Op: &api.Request_Resign{Resign: &api.ResignRequest{
		Cell: c.cfg.Cell, Session: uint64(session), Name: name, Token: uint64(token), Reason: reason,
	}}}, once)
	return err
}

// TransferElection hands the leadership that has that token to a candidate that
// waits, named by its session, and returns the token of the new leader; the old
// one is told, with the reason. ErrNotFound: there is no such candidate, and
// nothing happened; ErrTokenMismatch and ErrUnknownOutcome as for ProclaimAs.
func (c *Client) TransferElection(ctx context.Context, name string, token Token, to SessionID, reason string) (Token, error) {
	if err := checkElection("transfer", name); err != nil {
		return 0, err
	}
	if err := checkReason("transfer", reason); err != nil {
		return 0, err
	}
	if to == 0 {
		return 0, invalid("transfer", name, "the candidate is missing: 0 is no session")
	}
	resp, err := c.call(ctx, "transfer", name, &api.Request{Op: &api.Request_Transfer{Transfer: &api.TransferRequest{
		Cell: c.cfg.Cell, Name: name, Token: uint64(token), To: uint64(to), Reason: reason,
	}}}, once)
	if err != nil {
		return 0, err
	}
	return Token(resp.GetTransfer().GetToken()), nil
}
