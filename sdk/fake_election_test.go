package sdk

import (
	"fmt"
	"slices"

	"github.com/conch-lock/conch/api"
)

// fakeElection is an election of the fake cell.
type fakeElection struct {
	name    string
	create  uint64
	version uint64
	term    uint64
	leader  *fakeClaim
	value   []byte
	last    *api.Predecessor
	skips   uint64 // of the next leader: terms that nobody is told of, a defect
}

// election answers the requests about elections.
func (f *fakeCell) election(st *fakeStream, r *api.Request) *api.Response {
	switch op := r.GetOp().(type) {
	case *api.Request_Campaign:
		q := op.Campaign
		if s := f.sessions[q.GetSession()]; s != nil {
			s.stream = st
		}
		if c := f.find(q.GetSession(), q.GetSequence()); c != nil {
			return &api.Response{Result: &api.Response_Campaign{Campaign: f.candidacy(c)}}
		}
		return f.once(q.GetSession(), q.GetSequence(), q.GetAcked(), func() *api.Response {
			f.applied["campaign"]++
			c := &fakeClaim{session: q.GetSession(), seq: q.GetSequence(), stands: q, items: []*api.ClaimItem{{Name: "election " + q.GetName()}}}
			if e := f.claim(c, q.GetTry(), q.GetWaitMs()); e != nil {
				return &api.Response{Error: e}
			}
			return &api.Response{Result: &api.Response_Campaign{Campaign: f.candidacy(c)}}
		})
	case *api.Request_Proclaim:
		q := op.Proclaim
		return f.asLeader(q, func(e *fakeElection) *api.Response {
			f.applied["proclaim"]++
			f.revision++
			e.value = q.GetValue()
			f.record(e, nil)
			return &api.Response{Result: &api.Response_Proclaim{Proclaim: &api.ProclaimResponse{Revision: f.revision}}}
		})
	case *api.Request_Resign:
		q := op.Resign
		return f.asLeader(q, func(e *fakeElection) *api.Response {
			f.applied["resign"]++
			switch c := e.leader; {
			case q.GetSession() == 0:
				f.oust(c, api.EndReason_END_BROKEN, api.Code_CLAIM_BROKEN, q.GetReason())
			case q.GetSequence() == 0:
				f.oust(c, api.EndReason_END_RELEASED, api.Code_CLAIM_CANCELLED, q.GetReason())
			default:
				f.drop(c)
			}
			return &api.Response{Result: &api.Response_Resign{Resign: &api.ResignResponse{Revision: f.revision}}}
		})
	case *api.Request_Transfer:
		q := op.Transfer
		return f.asLeader(q, func(e *fakeElection) *api.Response {
			f.applied["transfer"]++
			heir := slices.IndexFunc(f.claims, func(c *fakeClaim) bool {
				return c.session == q.GetTo() && !c.granted && c.stands.GetName() == q.GetName()
			})
			if heir < 0 {
				return refusal(api.Code_NOT_FOUND, fmt.Sprintf("session %d: not a candidate that waits", q.GetTo()))
			}
			c := f.claims[heir]
			f.claims = slices.Insert(slices.Delete(f.claims, heir, heir+1), 0, c)
			if q.GetSession() == 0 {
				f.oust(e.leader, api.EndReason_END_TRANSFERRED, api.Code_CLAIM_TRANSFERRED, q.GetReason())
			} else {
				f.dropFor(e.leader, api.EndReason_END_TRANSFERRED)
			}
			return &api.Response{Result: &api.Response_Transfer{Transfer: &api.TransferResponse{Revision: f.revision, Token: e.leader.token}}}
		})
	case *api.Request_ListElections:
		out := &api.ListElectionsResponse{Revision: f.revision}
		for _, kv := range f.electionsAt(f.revision, []byte(op.ListElections.GetAfter()+"\x00"), []byte{0}) {
			info := &api.ElectionInfo{}
			_ = info.UnmarshalVT(kv.GetValue()) // of record
			out.Elections = append(out.Elections, info)
		}
		if len(out.Elections) > 2 {
			out.Elections, out.More = out.Elections[:2], true
		}
		return &api.Response{Result: &api.Response_ListElections{ListElections: out}}
	case *api.Request_ShowElection:
		e := f.elections[op.ShowElection.GetName()]
		if e == nil {
			return refusal(api.Code_NOT_FOUND, "nobody ever led it")
		}
		info := f.info(e)
		for _, c := range f.claims {
			if c.stands.GetName() == e.name && !c.granted {
				info.Candidates = append(info.Candidates, &api.Candidate{Session: c.session, Value: c.stands.GetValue(), Position: uint32(len(info.Candidates) + 1), Priority: c.stands.GetPriority()})
			}
		}
		return &api.Response{Result: &api.Response_ShowElection{ShowElection: &api.ShowElectionResponse{Election: info, Revision: f.revision}}}
	}
	return refusal(api.Code_INVALID_ARGUMENT, "the fake server does not know that request")
}

// asLeader runs a command of a leader, or of an operator.
func (f *fakeCell) asLeader(q interface {
	GetSession() uint64
	GetSequence() uint64
	GetAcked() uint64
	GetName() string
	GetToken() uint64
}, do func(e *fakeElection) *api.Response) *api.Response {
	e := f.elections[q.GetName()]
	leads := e != nil && e.leader != nil && e.leader.token == q.GetToken()
	switch {
	case q.GetSession() == 0 && !leads:
		return refusal(api.Code_TOKEN_MISMATCH, "not the token of the leader")
	case q.GetSequence() == 0 && q.GetSession() != 0 && (!leads || e.leader.session != q.GetSession()):
		return refusal(api.Code_NOT_HOLDER, "not a leadership of the session")
	case q.GetSequence() == 0:
		return do(e)
	}
	return f.once(q.GetSession(), q.GetSequence(), q.GetAcked(), func() *api.Response {
		if !leads || e.leader.session != q.GetSession() {
			return refusal(api.Code_NOT_HOLDER, "not a leadership of the session")
		}
		return do(e)
	})
}

// oust ends a tenure against the leader's will.
func (f *fakeCell) oust(c *fakeClaim, why api.EndReason, code api.Code, reason string) {
	f.dropFor(c, why)
	f.tell(c.session, &api.ClaimEvent{Session: c.session, Sequence: c.seq, Error: &api.Error{Code: code, Message: "ousted: " + reason, Definite: true}})
}

// lead makes a granted candidate the leader.
func (f *fakeCell) lead(c *fakeClaim) {
	name := c.stands.GetName()
	e := f.elections[name]
	if e == nil {
		e = &fakeElection{name: name, create: f.revision}
		f.elections[name] = e
	}
	e.term += 1 + e.skips
	e.skips = 0
	e.leader, e.value = c, c.stands.GetValue()
	c.leads = &api.CampaignResponse{Term: e.term, Predecessor: e.last}
	f.record(e, e.last)
}

// unlead ends a tenure. What it returns says that nobody leads, if that is so.
func (f *fakeCell) unlead(c *fakeClaim, why api.EndReason) func() {
	e := f.elections[c.stands.GetName()]
	e.leader = nil
	e.last = &api.Predecessor{Token: c.token, Session: c.session, Ended: why, Value: e.value}
	return func() {
		if e.leader == nil {
			f.record(e, e.last)
		}
	}
}

// record writes a change of an election.
func (f *fakeCell) record(e *fakeElection, ended *api.Predecessor) {
	info := f.info(e)
	info.Revision = f.revision
	if ended != nil {
		info.Ended = append(info.Ended, ended)
	}
	b, err := info.MarshalVT()
	if err != nil {
		f.t.Error(err)
	}
	e.version++
	f.log = append(f.log, fakeEvent{api.Space_ELECTIONS, &api.WatchEvent{
		Kv: &api.KeyValue{Key: []byte(e.name), Value: b, CreateRevision: e.create, ModRevision: f.revision, Version: e.version}, UnixMs: 1,
	}})
	f.spread()
}

func (f *fakeCell) info(e *fakeElection) *api.ElectionInfo {
	info := &api.ElectionInfo{Name: e.name, Term: e.term, CreateRevision: e.create, Last: e.last}
	if c := e.leader; c != nil {
		info.Token = c.token
		info.Leader = &api.Leader{Session: c.session, Token: c.token, Value: e.value, SinceUnixMs: 1, SinceRevision: c.revision}
	} else if e.last != nil {
		info.Token = e.last.Token
	}
	return info
}

func (f *fakeCell) candidacy(c *fakeClaim) *api.CampaignResponse {
	s := f.state(c)
	return &api.CampaignResponse{
		Session: s.Session, Sequence: s.Sequence, State: s.State, Name: c.stands.GetName(), Token: s.Token, Term: c.leads.GetTerm(),
		Revision: s.Revision, SinceUnixMs: s.SinceUnixMs, Position: s.Position, Predecessor: c.leads.GetPredecessor(),
	}
}

// electionsAt finds the records as of a revision.
func (f *fakeCell) electionsAt(revision uint64, key, end []byte) []*api.KeyValue {
	newest := map[string]*api.KeyValue{}
	for _, e := range f.log {
		if kv := e.GetKv(); e.space == api.Space_ELECTIONS && kv.GetModRevision() <= revision && inRange(string(kv.GetKey()), key, end) {
			newest[string(kv.GetKey())] = kv
		}
	}
	var out []*api.KeyValue
	for _, kv := range newest {
		out = append(out, kv)
	}
	slices.SortFunc(out, func(a, b *api.KeyValue) int { return slices.Compare(a.Key, b.Key) })
	return out
}

func (f *fakeCell) rangeElections(q *api.RangeRequest) *api.Response {
	out := &api.RangeResponse{Revision: f.revision}
	at := f.revision
	if q.GetRevision() != 0 {
		at = q.GetRevision()
	}
	out.Kvs = f.electionsAt(at, q.GetKey(), q.GetRangeEnd())
	if len(out.Kvs) > 2 { // whatever limit is asked for
		out.Kvs, out.More = out.Kvs[:2], true
	}
	return &api.Response{Result: &api.Response_Range{Range: out}}
}

// forget deletes the record of an election that nobody leads. Needs mu.
func (f *fakeCell) forget(name string) {
	f.revision++
	delete(f.elections, name)
	f.log = append(f.log, fakeEvent{api.Space_ELECTIONS, &api.WatchEvent{
		Deleted: true, Kv: &api.KeyValue{Key: []byte(name), ModRevision: f.revision}, UnixMs: 1,
	}})
	f.spread()
}

// change has the leader proclaim another value. Needs mu.
func (f *fakeCell) change(name, value string) {
	e := f.elections[name]
	f.revision++
	e.value = []byte(value)
	f.record(e, nil)
}
