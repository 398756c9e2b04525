package coordinator

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/api"
)

func campaign(session, sequence uint64, name, value string) *api.CampaignRequest {
	return &api.CampaignRequest{Session: session, Sequence: sequence, Name: name, Value: []byte(value)}
}

func (c *client) campaign(q *api.CampaignRequest) *api.Response {
	c.t.Helper()
	return c.call(&api.Request{Op: &api.Request_Campaign{Campaign: q}})
}

// leads campaigns and insists on leading at once.
func (c *client) leads(session, sequence uint64, name, value string) *api.CampaignResponse {
	c.t.Helper()
	r := c.campaign(campaign(session, sequence, name, value)).GetCampaign()
	if r.GetState() != api.ClaimState_CLAIM_GRANTED {
		c.t.Fatalf("campaign for %s: %v, want to lead", name, r)
	}
	return r
}

// stands campaigns and insists on waiting.
func (c *client) stands(session, sequence uint64, name, value string) *api.CampaignResponse {
	c.t.Helper()
	r := c.campaign(campaign(session, sequence, name, value)).GetCampaign()
	if r.GetState() != api.ClaimState_CLAIM_QUEUED {
		c.t.Fatalf("campaign for %s: %v, want to wait", name, r)
	}
	return r
}

func (c *client) election(name string) *api.ElectionInfo {
	c.t.Helper()
	return c.must(showElection(name)).GetShowElection().GetElection()
}

func showElection(name string) *api.Request {
	return &api.Request{Op: &api.Request_ShowElection{ShowElection: &api.ShowElectionRequest{Name: name}}}
}

func electionHistory(name string) *api.Request {
	return &api.Request{Op: &api.Request_ElectionHistory{ElectionHistory: &api.ElectionHistoryRequest{Name: name}}}
}

func proclaim(session, sequence uint64, name string, token uint64, value string) *api.Request {
	return &api.Request{Op: &api.Request_Proclaim{Proclaim: &api.ProclaimRequest{
		Session: session, Sequence: sequence, Name: name, Token: token, Value: []byte(value),
	}}}
}

func resign(session, sequence uint64, name string, token uint64) *api.Request {
	return &api.Request{Op: &api.Request_Resign{Resign: &api.ResignRequest{
		Session: session, Sequence: sequence, Name: name, Token: token, Reason: "test",
	}}}
}

func transferTo(session, sequence uint64, name string, token, to uint64) *api.Request {
	return &api.Request{Op: &api.Request_Transfer{Transfer: &api.TransferRequest{
		Session: session, Sequence: sequence, Name: name, Token: token, To: to, Reason: "test",
	}}}
}

func watchElections(key, end string, from uint64) *api.WatchRequest {
	q := watchKeys(key, end, from)
	q.Space = api.Space_ELECTIONS
	return q
}

func infoOf(t *testing.T, kv *api.KeyValue) *api.ElectionInfo {
	t.Helper()
	info := &api.ElectionInfo{}
	if err := info.UnmarshalVT(kv.GetValue()); err != nil {
		t.Fatalf("the value of %q: %v", kv.GetKey(), err)
	}
	return info
}

func TestElection(t *testing.T) {
	c := newCluster(t, 1, nil)
	a, b := connect(t, c.address(0)), connect(t, c.address(0))
	first, second := a.open(time.Minute), b.open(time.Minute)
	watched := b.watch(watchElections("e", "f", 0))
	// 1. One leads, one waits.
	one := a.leads(first, 1, "e", "one")
	if one.GetToken() == 0 || one.GetTerm() != 1 || one.GetSinceUnixMs() == 0 || one.GetName() != "e" || one.GetPredecessor() != nil {
		t.Errorf("first leader: %v", one)
	}
	if q := b.stands(second, 1, "e", "two"); q.GetPosition() != 1 {
		t.Errorf("candidate: %v", q)
	}
	try := campaign(second, 2, "e", "")
	try.Try = true
	if e := b.campaign(try).GetError(); e.GetCode() != api.Code_HELD || e.GetHolder() != first || e.GetToken() != one.GetToken() || !e.GetDefinite() {
		t.Errorf("try: %v", e)
	}
	// 2. It proclaims, once however often it is asked to.
	for range 2 {
		a.must(proclaim(first, 2, "e", one.GetToken(), "one again"))
	}
	// 3. Inspecting.
	info := a.election("e")
	if l := info.GetLeader(); l.GetSession() != first || string(l.GetValue()) != "one again" || l.GetSinceRevision() != one.GetRevision() ||
		info.GetTerm() != 1 || info.GetCandidateCount() != 1 || info.GetAgingMs() != 60_000 || info.GetPreemptMs() != 0 {
		t.Errorf("election: %v", info)
	}
	if l := info.GetCandidates(); len(l) != 1 || l[0].GetSession() != second || string(l[0].GetValue()) != "two" || l[0].GetPosition() != 1 {
		t.Errorf("candidates: %v", l)
	}
	session := a.must(&api.Request{Op: &api.Request_ShowSession{ShowSession: &api.ShowSessionRequest{Session: first}}}).GetShowSession().GetSession()
	if l := session.GetElections(); len(l) != 1 || l[0] != "e" || len(session.GetLocks()) != 0 {
		t.Errorf("session of the leader: %v", session)
	}
	check := func(token uint64) *api.CheckTokenResponse {
		return a.must(&api.Request{Op: &api.Request_CheckToken{CheckToken: &api.CheckTokenRequest{Name: "e", Token: token}}}).GetCheckToken()
	}
	if r := check(one.GetToken()); !r.GetCurrent() || r.GetCurrentToken() != one.GetToken() {
		t.Errorf("check of the leader's token: %v", r)
	}
	// 4. After a reconnect a session knows what it has.
	d := connect(t, c.address(0))
	attach := func(id uint64) *api.AttachSessionResponse {
		return d.must(&api.Request{Op: &api.Request_AttachSession{AttachSession: &api.AttachSessionRequest{Session: id}}}).GetAttachSession()
	}
	if l := attach(first).GetCandidacies(); len(l) != 1 || l[0].GetState() != api.ClaimState_CLAIM_GRANTED || l[0].GetToken() != one.GetToken() || l[0].GetTerm() != 1 {
		t.Errorf("leader attached: %v", l)
	}
	if l := attach(second).GetCandidacies(); len(l) != 1 || l[0].GetState() != api.ClaimState_CLAIM_QUEUED || l[0].GetPosition() != 1 {
		t.Errorf("candidate attached: %v", l)
	}
	// 5. It hands over: one revision, and the heir is told of its predecessor.
	handed := a.must(transferTo(first, 3, "e", one.GetToken(), second)).GetTransfer()
	two := d.claimEvent(second, 1).GetLeads()
	if p := two.GetPredecessor(); two.GetToken() != handed.GetToken() || two.GetRevision() != handed.GetRevision() || two.GetTerm() != 2 ||
		p.GetEnded() != api.EndReason_END_TRANSFERRED || string(p.GetValue()) != "one again" || p.GetToken() != one.GetToken() || p.GetSession() != first {
		t.Errorf("heir: %v, handed over: %v", two, handed)
	}
	if r := check(one.GetToken()); r.GetCurrent() || r.GetCurrentToken() != two.GetToken() {
		t.Errorf("check of the old token: %v", r)
	}
	// 6. It resigns, and nobody leads.
	d.must(resign(second, 3, "e", two.GetToken()))
	if info := a.election("e"); info.GetLeader() != nil || info.GetTerm() != 2 || info.GetLast().GetEnded() != api.EndReason_END_RELEASED {
		t.Errorf("vacant: %v", info)
	}
	list := a.must(&api.Request{Op: &api.Request_ListElections{ListElections: &api.ListElectionsRequest{Prefix: "e"}}}).GetListElections()
	if len(list.GetElections()) != 1 || list.GetElections()[0].GetTerm() != 2 || list.GetMore() {
		t.Errorf("list: %v", list)
	}
	// 7. A watcher was told the same.
	var told []string
	for _, e := range b.events(watched, 4) {
		info := infoOf(t, e.GetKv())
		told = append(told, fmt.Sprintf("%d %s %v", info.GetTerm(), info.GetLeader().GetValue(), len(info.GetEnded()) > 0))
		if info.GetRevision() != e.GetKv().GetModRevision() || info.GetCreateRevision() != one.GetRevision() {
			t.Errorf("event: %v of %v", info, e)
		}
	}
	if got := strings.Join(told, ", "); got != "1 one false, 1 one again false, 2 two true, 2  true" {
		t.Errorf("told: %s", got)
	}
	// 8. So does the history, and a range.
	l := a.must(electionHistory("e")).GetElectionHistory().GetTenures()
	if len(l) != 2 || l[0].GetSession() != first || l[0].GetToRevision() != two.GetRevision() || l[0].GetEnded() != api.EndReason_END_TRANSFERRED ||
		string(l[0].GetValue()) != "one again" || l[1].GetTerm() != 2 || l[1].GetEnded() != api.EndReason_END_RELEASED || l[1].GetToUnixMs() == 0 {
		t.Errorf("history: %v", l)
	}
	at := func(revision uint64) *api.ElectionInfo {
		return infoOf(t, a.must(&api.Request{Op: &api.Request_Range{Range: &api.RangeRequest{
			Space: api.Space_ELECTIONS, Key: []byte("e"), Revision: revision,
		}}}).GetRange().GetKvs()[0])
	}
	if info := at(one.GetRevision()); string(info.GetLeader().GetValue()) != "one" {
		t.Errorf("at the first revision: %v", info)
	}
	// 9. The next one is told of who led last, though nobody did in between.
	three := a.leads(first, 4, "e", "three")
	if p := three.GetPredecessor(); three.GetTerm() != 3 || p.GetToken() != two.GetToken() || string(p.GetValue()) != "two" {
		t.Errorf("third leader: %v", three)
	}
}

// TestElectionRefusals: what cannot be is refused for certain, with what it is
// about, and nothing happens.
func TestElectionRefusals(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	leader, waiter, other := a.open(time.Minute), a.open(time.Minute), a.open(time.Minute)
	leads := a.leads(leader, 1, "e", "v")
	a.stands(waiter, 1, "e", "w")
	before := a.election("e")
	token := leads.GetToken()
	aging := campaign(other, 9, "e", "")
	aging.AgingMs = 5000
	for i, x := range []struct {
		name string
		req  *api.Request
		code api.Code
		want string
	}{
		{"show of an unknown election", showElection("nowhere"), api.Code_NOT_FOUND, `election "nowhere"`},
		{"history of an unknown election", electionHistory("nowhere"), api.Code_NOT_FOUND, `election "nowhere"`},
		{"proclaim in an unknown election", proclaim(0, 0, "nowhere", 7, "x"), api.Code_TOKEN_MISMATCH, `election "nowhere", token 7`},
		{"proclaim by a candidate", proclaim(waiter, 2, "e", token, "x"), api.Code_NOT_HOLDER, fmt.Sprintf("session %d", waiter)},
		{"proclaim with an old token", proclaim(leader, 2, "e", token+1, "x"), api.Code_NOT_HOLDER, `election "e"`},
		{"proclaim for another token", proclaim(0, 0, "e", token+1, "x"), api.Code_TOKEN_MISMATCH, fmt.Sprintf("which is %d", token)},
		{"resign by another", resign(other, 1, "e", token), api.Code_NOT_HOLDER, `election "e"`},
		{"resign in an unknown election", resign(leader, 3, "nowhere", token), api.Code_NOT_HOLDER, `election "nowhere"`},
		{"transfer to nobody", transferTo(leader, 4, "e", token, 99), api.Code_NOT_FOUND, `election "e", session 99`},
		{"transfer to no candidate", transferTo(leader, 5, "e", token, other), api.Code_NOT_FOUND, fmt.Sprintf("session %d", other)},
		{"transfer to the leader", transferTo(leader, 6, "e", token, leader), api.Code_NOT_FOUND, fmt.Sprintf("session %d", leader)},
		{"transfer by an operator to nobody", transferTo(0, 0, "e", token, 99), api.Code_NOT_FOUND, "session 99"},
		{"another aging interval", &api.Request{Op: &api.Request_Campaign{Campaign: aging}}, api.Code_AGING_MISMATCH, "60000 ms, not 5000"},
		{"campaign without a session", &api.Request{Op: &api.Request_Campaign{Campaign: campaign(999, 1, "e", "")}}, api.Code_SESSION_NOT_FOUND, "session 999"},
	} {
		e := a.call(x.req).GetError()
		if e.GetCode() != x.code || !e.GetDefinite() || !strings.Contains(e.GetMessage(), x.want) {
			t.Errorf("%d. %s: %v, want %v with %q", i, x.name, e, x.code, x.want)
		}
	}
	// A sequence is of a lock or of a candidacy.
	if e := a.acquire(acquire(leader, 1, "x")).GetError(); e.GetCode() != api.Code_INVALID_ARGUMENT || !strings.Contains(e.GetMessage(), "candidacy") {
		t.Errorf("a lock with the sequence of a candidacy: %v", e)
	}
	after := a.election("e")
	if before.GetRevision() != after.GetRevision() || !bytes.Equal(after.GetLeader().GetValue(), []byte("v")) || after.GetCandidateCount() != 1 {
		t.Errorf("after all the refusals: %v", after)
	}
	// A candidate that is dead is one no more.
	a.must(&api.Request{Op: &api.Request_CloseSession{CloseSession: &api.CloseSessionRequest{Session: waiter}}})
	if e := a.call(transferTo(leader, 7, "e", token, waiter)).GetError(); e.GetCode() != api.Code_NOT_FOUND || !e.GetDefinite() {
		t.Errorf("transfer to a dead candidate: %v", e)
	}
	if info := a.election("e"); info.GetLeader().GetSession() != leader {
		t.Errorf("after a transfer to a dead candidate: %v", info)
	}
}

func TestElectionBounds(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	s := a.open(time.Minute)
	stand := func(change func(*api.CampaignRequest)) *api.Request {
		q := campaign(s, 1, "e", "v")
		change(q)
		return &api.Request{Op: &api.Request_Campaign{Campaign: q}}
	}
	large := strings.Repeat("v", 64<<10+1)
	for _, x := range []struct {
		name string
		req  *api.Request
		want string
	}{
		{"no session", stand(func(q *api.CampaignRequest) { q.Session = 0 }), "session: it is missing"},
		{"no sequence", stand(func(q *api.CampaignRequest) { q.Sequence = 0 }), "sequence: it is missing"},
		{"no name", stand(func(q *api.CampaignRequest) { q.Name = "" }), "name: the name is empty"},
		{"large value", stand(func(q *api.CampaignRequest) { q.Value = []byte(large) }), "value: a value of 65537 bytes: at most 65536"},
		{"high priority", stand(func(q *api.CampaignRequest) { q.Priority = 1001 }), "priority: 1001: -1000 to 1000"},
		{"low priority", stand(func(q *api.CampaignRequest) { q.Priority = -1001 }), "priority: -1001: -1000 to 1000"},
		{"long tenure", stand(func(q *api.CampaignRequest) { q.TenureMs = 1 << 60 }), "tenure_ms: 1152921504606846976: at most 2592000000"},
		{"short aging", stand(func(q *api.CampaignRequest) { q.AgingMs = 999 }), "aging_ms: 999: 1000 to 31536000000"},
		{"long aging", stand(func(q *api.CampaignRequest) { q.AgingMs = 31_536_000_001 }), "aging_ms: 31536000001"},
		{"long wait", stand(func(q *api.CampaignRequest) { q.WaitMs = 1 << 40 }), "wait_ms: 1099511627776"},
		{"long label", stand(func(q *api.CampaignRequest) { q.Labels = map[string]string{"k": strings.Repeat("v", 257)} }), "labels: "},
		{"large proclamation", proclaim(s, 1, "e", 1, large), "value: a value of 65537 bytes"},
		{"no token", proclaim(s, 1, "e", 0, ""), "token: it is missing"},
		{"half a sequence", proclaim(s, 0, "e", 1, ""), "sequence: it is missing"},
		{"the other half", resign(0, 1, "e", 1), "session: it is missing"},
		{"control character", resign(s, 1, "a\nb", 1), "control character U+000A"},
		{"no heir", transferTo(s, 1, "e", 1, 0), "to: it is missing"},
		{"long reason", &api.Request{Op: &api.Request_Resign{Resign: &api.ResignRequest{Name: "e", Token: 1, Reason: strings.Repeat("r", 257)}}}, "reason: it has 257 bytes"},
		{"no election", showElection(""), "name: the name is empty"},
		{"history of none", electionHistory(""), "name: the name is empty"},
		{"long page", &api.Request{Op: &api.Request_ListElections{ListElections: &api.ListElectionsRequest{Limit: 10_001}}}, "limit: 10001: at most 10000"},
	} {
		e := a.call(x.req).GetError()
		if e.GetCode() != api.Code_INVALID_ARGUMENT || !e.GetDefinite() || !strings.Contains(e.GetMessage(), x.want) {
			t.Errorf("%s: %v, want INVALID_ARGUMENT with %q", x.name, e, x.want)
		}
	}
	// What is just within bounds is accepted.
	q := campaign(s, 1, "e", large[1:])
	q.Priority, q.TenureMs, q.AgingMs = -1000, 2_592_000_000, 31_536_000_000
	if r := a.campaign(q); r.GetCampaign().GetState() != api.ClaimState_CLAIM_GRANTED {
		t.Errorf("at the bounds: %v", r.GetError())
	}
}

// TestElectionOperators: an operator acts for whoever leads, and whoever led is
// told; a candidate of higher priority ends a tenure, too.
func TestElectionOperators(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	var s [4]uint64
	for i := range s {
		s[i] = a.open(time.Minute)
	}
	one := a.leads(s[0], 1, "e", "one")
	a.stands(s[1], 1, "e", "two")
	a.stands(s[2], 1, "e", "three")
	a.must(proclaim(0, 0, "e", one.GetToken(), "by hand"))
	if info := a.election("e"); string(info.GetLeader().GetValue()) != "by hand" || info.GetToken() != one.GetToken() {
		t.Errorf("proclaimed by an operator: %v", info)
	}
	// To the last in the queue.
	handed := a.must(transferTo(0, 0, "e", one.GetToken(), s[2])).GetTransfer()
	if e := a.claimEvent(s[0], 1).GetError(); e.GetCode() != api.Code_CLAIM_TRANSFERRED || !strings.Contains(e.GetMessage(), "test") {
		t.Errorf("the one that led is told %v", e)
	}
	three := a.claimEvent(s[2], 1).GetLeads()
	if three.GetToken() != handed.GetToken() {
		t.Errorf("heir %v of %v", three, handed)
	}
	a.must(resign(0, 0, "e", three.GetToken()))
	if e := a.claimEvent(s[2], 1).GetError(); e.GetCode() != api.Code_CLAIM_BROKEN || !strings.Contains(e.GetMessage(), "test") {
		t.Errorf("the one that was ended is told %v", e)
	}
	two := a.claimEvent(s[1], 1).GetLeads()
	if two.GetTerm() != 3 || two.GetPredecessor().GetEnded() != api.EndReason_END_BROKEN {
		t.Errorf("next: %v", two)
	}
	q := campaign(s[3], 1, "e", "four")
	q.Priority, q.Preempt = 1, true
	four := a.campaign(q).GetCampaign()
	if four.GetTerm() != 4 || four.GetPredecessor().GetToken() != two.GetToken() {
		t.Errorf("pre-empting: %v", four)
	}
	if e := a.claimEvent(s[1], 1).GetError(); e.GetCode() != api.Code_CLAIM_TRANSFERRED {
		t.Errorf("the pre-empted one is told %v", e)
	}
}

// What acts for a leader resigns in its name, over a connection of its own: it
// is released, and the leader is told where it is.
func TestElectionResignedForItsLeader(t *testing.T) {
	c := newCluster(t, 1, nil)
	a, b := connect(t, c.address(0)), connect(t, c.address(0))
	s, other := a.open(time.Minute), a.open(time.Minute)
	one := a.leads(s, 1, "e", "one")
	if e := b.call(resign(other, 0, "e", one.GetToken())).GetError(); e.GetCode() != api.Code_NOT_HOLDER {
		t.Errorf("for a session that does not lead: %v", e)
	}
	if e := b.call(resign(s, 0, "e", one.GetToken()+1)).GetError(); e.GetCode() != api.Code_NOT_HOLDER {
		t.Errorf("with another token: %v", e)
	}
	if info := a.election("e"); info.GetToken() != one.GetToken() || info.GetLeader() == nil {
		t.Errorf("after refusals: %v", info)
	}
	b.must(resign(s, 0, "e", one.GetToken()))
	if e := a.claimEvent(s, 1).GetError(); e.GetCode() != api.Code_CLAIM_CANCELLED || !strings.Contains(e.GetMessage(), "test") {
		t.Errorf("the leader is told %v", e)
	}
	if info := a.election("e"); info.GetLeader() != nil || info.GetLast().GetEnded() != api.EndReason_END_RELEASED {
		t.Errorf("afterwards: %v", info)
	}
}

// A session that was not connected when its lead, its lock and its candidacy
// ended is told how, whichever node it comes back to.
func TestEndedWhileAway(t *testing.T) {
	c := newCluster(t, 3, nil)
	a, operator := connect(t, c.address(0)), connect(t, c.address(1))
	away, heir := a.open(time.Minute), operator.open(time.Minute)
	one := a.leads(away, 1, "e", "one")
	lock := a.granted(away, 2, "l")
	if r := a.campaign(&api.CampaignRequest{Session: heir, Sequence: 1, Name: "e"}); r.GetCampaign().GetState() != api.ClaimState_CLAIM_QUEUED {
		t.Fatalf("heir: %v", r)
	}
	a.must(&api.Request{Op: &api.Request_Acquire{Acquire: &api.AcquireRequest{Session: heir, Sequence: 2, Items: []*api.ClaimItem{{Name: "other"}}}}})
	q := campaign(away, 3, "e", "again")
	q.WaitMs = 1
	a.campaign(q)
	_ = a.conn.Close()
	operator.must(transferTo(0, 0, "e", one.GetToken(), heir))
	operator.must(&api.Request{Op: &api.Request_BreakLock{BreakLock: &api.BreakLockRequest{Name: "l", Token: lock.GetToken(), Reason: "it hung"}}})
	b := connect(t, c.address(2))
	want := map[uint64]api.Code{1: api.Code_CLAIM_TRANSFERRED, 2: api.Code_CLAIM_BROKEN, 3: api.Code_WAIT_TIMED_OUT}
	eventually(t, "the three ends", func() bool {
		r := b.must(&api.Request{Op: &api.Request_AttachSession{AttachSession: &api.AttachSessionRequest{Session: away}}}).GetAttachSession()
		for _, e := range r.GetEnded() {
			if want[e.GetSequence()] != e.GetError().GetCode() || e.GetRevision() == 0 || e.GetSession() != away {
				t.Fatalf("told %v", e)
			}
		}
		return len(r.GetEnded()) == 3 && len(r.GetClaims())+len(r.GetCandidacies()) == 0
	})
}

// TestElectionUnary: the unary methods, of which Campaign waits.
func TestElectionUnary(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	leader, waiter := a.open(time.Minute), a.open(time.Minute)
	rpc := api.NewDRPCConchClient(dialDRPC(t, c.address(0)))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	leads, err := rpc.Campaign(ctx, campaign(leader, 1, "e", "one"))
	if err != nil || leads.GetTerm() != 1 {
		t.Fatalf("campaign: %v, %v", leads, err)
	}
	type outcome struct {
		r   *api.CampaignResponse
		err error
	}
	waited := make(chan outcome, 1)
	waiting := api.NewDRPCConchClient(dialDRPC(t, c.address(0)))
	go func() {
		r, err := waiting.Campaign(ctx, campaign(waiter, 1, "e", "two"))
		waited <- outcome{r, err}
	}()
	eventually(t, "the candidate", func() bool { return a.election("e").GetCandidateCount() == 1 })
	if _, err := rpc.Proclaim(ctx, proclaim(leader, 2, "e", leads.GetToken(), "still one").GetProclaim()); err != nil {
		t.Error(err)
	}
	if r, err := rpc.ShowElection(ctx, &api.ShowElectionRequest{Name: "e"}); err != nil || string(r.GetElection().GetLeader().GetValue()) != "still one" {
		t.Errorf("show: %v, %v", r, err)
	}
	if _, err := rpc.Resign(ctx, resign(leader, 3, "e", leads.GetToken()).GetResign()); err != nil {
		t.Error(err)
	}
	got := <-waited
	if got.err != nil || got.r.GetTerm() != 2 || string(got.r.GetPredecessor().GetValue()) != "still one" {
		t.Fatalf("the one that waited: %v, %v", got.r, got.err)
	}
	if r, err := rpc.ListElections(ctx, &api.ListElectionsRequest{}); err != nil || len(r.GetElections()) != 1 {
		t.Errorf("list: %v, %v", r, err)
	}
	if r, err := rpc.ElectionHistory(ctx, &api.ElectionHistoryRequest{Name: "e"}); err != nil || len(r.GetTenures()) != 2 {
		t.Errorf("history: %v, %v", r, err)
	}
	short := campaign(leader, 4, "e", "")
	short.WaitMs = 20
	if r, err := rpc.Campaign(ctx, short); err == nil || !strings.Contains(err.Error(), "did not lead before its wait ended") {
		t.Errorf("a short wait: %v, %v", r, err)
	}
	a.stands(leader, 5, "e", "heir")
	if r, err := rpc.Transfer(ctx, transferTo(waiter, 2, "e", got.r.GetToken(), leader).GetTransfer()); err != nil || r.GetToken() <= got.r.GetToken() {
		t.Errorf("transfer: %v, %v", r, err)
	}
}

// TestElectionHistory tells the tenures that are kept, and what was open at the
// edge of a compaction.
func TestElectionHistory(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	first, second := a.open(time.Minute), a.open(time.Minute)
	one := a.leads(first, 1, "e", "one")
	a.stands(second, 1, "e", "two")
	a.must(resign(first, 2, "e", one.GetToken()))
	two := a.claimEvent(second, 1).GetLeads()
	last := a.must(proclaim(second, 2, "e", two.GetToken(), "two again")).GetProclaim().GetRevision()
	a.must(&api.Request{Op: &api.Request_Compact{Compact: &api.CompactRequest{Revision: last}}})
	h := a.must(electionHistory("e")).GetElectionHistory()
	if l := h.GetTenures(); len(l) != 1 || l[0].GetToken() != two.GetToken() || l[0].GetFromRevision() != two.GetRevision() ||
		string(l[0].GetValue()) != "two again" || l[0].GetToRevision() != 0 || h.GetCompactedRevision() != last {
		t.Errorf("after compaction: %v", h)
	}
}

// TestElectionPages: large values do not make an answer too large.
func TestElectionPages(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	const n = 60 // times 64 KiB is more than an answer may have
	large := strings.Repeat("v", 64<<10)
	var s [n]uint64
	for i := range s {
		s[i] = a.open(time.Minute)
	}
	for i := range s {
		a.leads(s[i], 1, fmt.Sprintf("e%02d", i), large)
	}
	seen, after, pages := 0, "", 0
	for {
		pages++
		r := a.must(&api.Request{Op: &api.Request_ListElections{ListElections: &api.ListElectionsRequest{Prefix: "e", After: after}}}).GetListElections()
		for _, x := range r.GetElections() {
			if x.GetName() <= after || len(x.GetLeader().GetValue()) != len(large) {
				t.Fatalf("election %q after %q", x.GetName(), after)
			}
			after = x.GetName()
			seen++
		}
		if !r.GetMore() {
			break
		}
	}
	if seen != n || pages < 2 {
		t.Errorf("%d elections on %d pages, want %d on some", seen, pages, n)
	}
	// Candidates: as many as fit, the first ones.
	leads := a.leads(s[0], 2, "x", large)
	for i := 1; i < n; i++ {
		a.stands(s[i], 2, "x", large)
	}
	info := a.election("x")
	if l := info.GetCandidates(); info.GetCandidateCount() != n-1 || len(l) == 0 || len(l) >= n-1 || l[0].GetSession() != s[1] {
		t.Errorf("%d candidates shown of %d counted", len(l), info.GetCandidateCount())
	}
	// The history: the newest tenures that fit.
	token := leads.GetToken()
	for i := range n - 1 {
		a.must(resign(s[i], 3, "x", token))
		token = a.claimEvent(s[i+1], 2).GetLeads().GetToken()
	}
	l := a.must(electionHistory("x")).GetElectionHistory().GetTenures()
	if len(l) == 0 || len(l) >= n || l[len(l)-1].GetTerm() != n || l[0].GetTerm() != uint64(n-len(l)+1) {
		t.Errorf("%d tenures of %d, from term %d to %d", len(l), n, l[0].GetTerm(), l[len(l)-1].GetTerm())
	}
}

// TestElectionOverLeaderKill: a candidate at a follower is told that it leads,
// though the cell's leader is killed.
func TestElectionOverLeaderKill(t *testing.T) {
	c := newCluster(t, 3, nil)
	leader, follower := c.leader(), c.follower()
	a := connect(t, c.address(follower))
	first, second := a.open(30*time.Second), a.open(30*time.Second)
	watched := a.watch(watchElections("e", "", 0))
	one := a.leads(first, 1, "e", "one")
	a.stands(second, 1, "e", "two")
	c.kill(leader)
	if e := a.call(resign(first, 2, "e", one.GetToken())).GetError(); e != nil {
		t.Fatalf("resign over a change of the leader: %v", e)
	}
	if two := a.claimEvent(second, 1).GetLeads(); two.GetTerm() != 2 {
		t.Errorf("next: %v", two)
	}
	list := a.events(watched, 2)
	if one, two := infoOf(t, list[0].GetKv()), infoOf(t, list[1].GetKv()); one.GetTerm() != 1 || two.GetTerm() != 2 || len(two.GetEnded()) != 1 {
		t.Errorf("watched: %v, %v", one, two)
	}
}
