package coordinator

import (
	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/elections"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

func prepareCampaign(c *call, q *api.CampaignRequest) (item, *api.Error) {
	if e := checkSequence(q.GetSession(), q.GetSequence()); e != nil {
		return item{}, e
	}
	if e := checkName("name", q.GetName()); e != nil {
		return item{}, e
	}
	if err := elections.CheckValue(q.GetValue()); err != nil {
		return item{}, invalid("value: %v", err)
	}
	if p := q.GetPriority(); p < elections.MinPriority || p > elections.MaxPriority {
		return item{}, invalid("priority: %d: %d to %d are allowed", p, elections.MinPriority, elections.MaxPriority)
	}
	if most := millis(elections.MaxTenure); q.GetTenureMs() > most {
		return item{}, invalid("tenure_ms: %d: at most %d are allowed", q.GetTenureMs(), most)
	}
	least, most := millis(elections.MinAging), millis(elections.MaxAging)
	if a := q.GetAgingMs(); a != 0 && (a < least || a > most) {
		return item{}, invalid("aging_ms: %d: %d to %d are allowed, 0 is what is in use, or %d", a, least, most, millis(elections.DefaultAging))
	}
	if e := checkWait(q.GetWaitMs()); e != nil {
		return item{}, e
	}
	labels, e := labelsOf(q.GetLabels())
	return item{call: c, op: &machine.Campaign{
		Request: requestOf(q), Name: locks.Name(q.GetName()), Value: q.GetValue(), Priority: int64(q.GetPriority()),
		Preempt: q.GetPreempt(), Tenure: q.GetTenureMs(), Aging: q.GetAgingMs(), Try: q.GetTry(), Wait: q.GetWaitMs(), Labels: labels,
	}}, e
}

// leadershipOf checks what the requests of a leader begin with; without session
// and sequence they are an operator's.
func leadershipOf(q interface {
	GetSession() uint64
	GetSequence() uint64
	GetAcked() uint64
	GetName() string
	GetToken() uint64
}) (machine.Leadership, *api.Error) {
	if q.GetSession() != 0 || q.GetSequence() != 0 {
		if e := checkSequence(q.GetSession(), q.GetSequence()); e != nil {
			return machine.Leadership{}, e
		}
	}
	if e := checkToken(q.GetToken()); e != nil {
		return machine.Leadership{}, e
	}
	return machine.Leadership{
		Request: requestOf(q), Name: locks.Name(q.GetName()), Token: locks.Token(q.GetToken()),
	}, checkName("name", q.GetName())
}

func prepareProclaim(c *call, q *api.ProclaimRequest) (item, *api.Error) {
	if err := elections.CheckValue(q.GetValue()); err != nil {
		return item{}, invalid("value: %v", err)
	}
	leads, e := leadershipOf(q)
	return item{call: c, op: &machine.Proclaim{Leadership: leads, Value: q.GetValue()}}, e
}

func prepareResign(c *call, q *api.ResignRequest) (item, *api.Error) {
	if e := checkReason(q.GetReason()); e != nil {
		return item{}, e
	}
	if q.GetSession() != 0 && q.GetSequence() == 0 { // for the leader
		if e := checkToken(q.GetToken()); e != nil {
			return item{}, e
		}
		leads := machine.Leadership{Request: machine.Request{Session: sessions.ID(q.GetSession())}, Name: locks.Name(q.GetName()), Token: locks.Token(q.GetToken())}
		return item{call: c, op: &machine.Resign{Leadership: leads, Reason: q.GetReason()}}, checkName("name", q.GetName())
	}
	leads, e := leadershipOf(q)
	return item{call: c, op: &machine.Resign{Leadership: leads, Reason: q.GetReason()}}, e
}

func prepareTransfer(c *call, q *api.TransferRequest) (item, *api.Error) {
	if q.GetTo() == 0 {
		return item{}, invalid("to: it is missing: 0 is no session of a candidate")
	}
	if e := checkReason(q.GetReason()); e != nil {
		return item{}, e
	}
	leads, e := leadershipOf(q)
	return item{call: c, op: &machine.Transfer{Leadership: leads, To: sessions.ID(q.GetTo()), Reason: q.GetReason()}}, e
}

// candidacyOf is the state of a candidacy as a client is told.
func candidacyOf(d *machine.Claimed, revision uint64) *api.CampaignResponse {
	a := &api.CampaignResponse{
		Session: uint64(d.ID.Session), Sequence: uint64(d.ID.Sequence), State: api.ClaimState_CLAIM_QUEUED,
		Revision: revision, Position: uint32(d.Position), Name: string(d.Names[0]),
	}
	if d.Granted {
		a.State, a.Token, a.Term = api.ClaimState_CLAIM_GRANTED, uint64(d.Token), d.Term
		a.Revision, a.SinceUnixMs, a.Predecessor = d.Revision, d.Since, predecessorOf(d.Predecessor)
	}
	return a
}
