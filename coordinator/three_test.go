package coordinator

import (
	"context"
	"testing"
	"time"

	"github.com/conch-lock/conch/api"
)

func TestForwardingAndReattaching(t *testing.T) {
	c := newCluster(t, 3, nil)
	leader, follower := c.leader(), c.follower()
	a, b := connect(t, c.address(follower)), connect(t, c.address(leader))
	// A session opened at a follower: its requests are forwarded.
	nonce := newNonce()
	first, second := a.openNonce(nonce, 30*time.Second), b.open(30*time.Second)
	if again := b.openNonce(nonce, 30*time.Second); again != first {
		t.Errorf("the same nonce opened session %d and then %d", first, again)
	}
	grant := a.granted(first, 1, "x", "y")
	if again := b.granted(first, 1, "y", "x"); again.GetToken() != grant.GetToken() {
		t.Errorf("the same sequence was granted with token %d and then %d", grant.GetToken(), again.GetToken())
	}
	// A keep-alive taken by a follower reaches the leader.
	a.beat(first, 1)
	a.event("alive", func(r *api.Response) bool { return len(r.GetAlive().GetSessions()) > 0 })
	// A grant is pushed to a follower's stream.
	if q := b.acquire(acquire(second, 1, "x")).GetAcquire(); q.GetState() != api.ClaimState_CLAIM_QUEUED {
		t.Fatalf("claim: %v", q)
	}
	other := 3 - leader - follower
	d := connect(t, c.address(other))
	attach := &api.Request{Op: &api.Request_AttachSession{AttachSession: &api.AttachSessionRequest{Session: second}}}
	at := d.must(attach).GetAttachSession()
	if l := at.GetClaims(); at.GetTtlMs() != 30_000 || len(l) != 1 || l[0].GetSequence() != 1 || l[0].GetState() != api.ClaimState_CLAIM_QUEUED {
		t.Errorf("attached: %v", at)
	}
	if e := a.release(first, 2, "x", grant.GetToken()).GetError(); e != nil {
		t.Fatal(e)
	}
	e := d.claimEvent(second, 1)
	if e.GetGranted().GetToken() <= grant.GetToken() {
		t.Errorf("event: %v", e)
	}
	// Reads at any node see everything.
	list := d.must(&api.Request{Op: &api.Request_ListLocks{ListLocks: &api.ListLocksRequest{}}}).GetListLocks()
	if len(list.GetLocks()) != 1 || list.GetLocks()[0].GetName() != "x" {
		t.Errorf("locks: %v", list)
	}
	// An unknown session is refused by all of them.
	r := d.call(&api.Request{Op: &api.Request_AttachSession{AttachSession: &api.AttachSessionRequest{Session: 99}}})
	if r.GetError().GetCode() != api.Code_SESSION_NOT_FOUND {
		t.Errorf("attach of nothing: %v", r)
	}
}

func TestLeaderKilled(t *testing.T) {
	c := newCluster(t, 3, nil)
	leader, follower := c.leader(), c.follower()
	a := connect(t, c.address(follower))
	session := a.open(30 * time.Second)
	grant := a.granted(session, 1, "x")
	waiter := a.open(30 * time.Second)
	a.acquire(acquire(waiter, 1, "x"))
	c.kill(leader)
	// What is asked while there is no leader is answered by the next one.
	if e := a.release(session, 2, "x", grant.GetToken()).GetError(); e != nil {
		t.Fatalf("release over a change of the leader: %v", e)
	}
	if e := a.claimEvent(waiter, 1); e.GetGranted().GetToken() <= grant.GetToken() {
		t.Errorf("event: %v", e)
	}
	next := c.leader()
	hint := a.event("the new leader", func(r *api.Response) bool {
		return r.GetLeader().GetEndpoint() == c.address(next)
	}).GetLeader()
	if hint.GetNode() != c.nodes[next].Name() {
		t.Errorf("hint %v, want node %s", hint, c.nodes[next].Name())
	}
	// The node that comes back catches up and serves.
	back := c.start(leader, nil)
	waitReady(t, back)
	d := connect(t, back.ClientAddress())
	show := d.must(&api.Request{Op: &api.Request_ShowLock{ShowLock: &api.ShowLockRequest{Name: "x"}}}).GetShowLock()
	if l := show.GetLock().GetHolders(); len(l) != 1 || l[0].GetSession() != waiter {
		t.Errorf("the node that came back shows %v", show)
	}
}

func TestStatusHashAndTransfer(t *testing.T) {
	c := newCluster(t, 3, nil)
	a := connect(t, c.address(c.follower()))
	session := a.open(30 * time.Second)
	a.granted(session, 1, "x")
	status := &api.Request{Op: &api.Request_Status{Status: &api.StatusRequest{}}}
	var s *api.StatusResponse
	eventually(t, "a status with three healthy nodes", func() bool {
		s = a.must(status).GetStatus()
		healthy := 0
		for _, n := range s.GetNodes() {
			if n.GetHealthy() && n.GetEndpoint() != "" && n.GetVersion() == "test" && n.GetPeer() != "" && len(n.GetId()) == 16 {
				healthy++
			}
		}
		return healthy == 3 && s.GetLocks() == 1
	})
	if s.GetSessions() != 1 || s.GetLeader() != c.nodes[c.leader()].Name() || s.GetStateBytes() == 0 || s.GetNode() != a.hello.GetNode() {
		t.Errorf("status: %v", s)
	}
	a.leads(session, 2, "e", "")
	a.stands(a.open(30*time.Second), 1, "e", "")
	if s := a.must(status).GetStatus(); s.GetElections() != 1 || s.GetCandidates() != 1 {
		t.Errorf("status: %v", s)
	}
	h := a.must(&api.Request{Op: &api.Request_Hash{Hash: &api.HashRequest{}}}).GetHash()
	if !h.GetEqual() || len(h.GetNodes()) != 3 || h.GetNodes()[0].GetHash() == "" || h.GetNodes()[0].GetIndex() != h.GetNodes()[2].GetIndex() {
		t.Errorf("hash: %v", h)
	}
	// Leadership goes where it is asked to, whoever is asked.
	for range 2 {
		to := c.nodes[c.follower()].Name()
		r := a.must(&api.Request{Op: &api.Request_TransferLeader{TransferLeader: &api.TransferLeaderRequest{Node: to}}}).GetTransferLeader()
		if r.GetLeader() != to || c.nodes[c.leader()].Name() != to {
			t.Errorf("asked for %s, answered %v, %s leads", to, r, c.nodes[c.leader()].Name())
		}
	}
	r := a.call(&api.Request{Op: &api.Request_TransferLeader{TransferLeader: &api.TransferLeaderRequest{Node: "nobody"}}})
	if r.GetError().GetCode() != api.Code_NOT_FOUND {
		t.Errorf("transfer to nobody: %v", r)
	}
}

// A node that is gone is called healthy for a second, and then it is said how
// long ago it was heard.
func TestStatusOfADeadNode(t *testing.T) {
	c := newCluster(t, 3, nil)
	gone := c.follower()
	name := c.nodes[gone].Name()
	a := connect(t, c.address(c.leader()))
	c.kill(gone)
	eventually(t, "the dead node is not healthy", func() bool {
		for _, n := range a.must(&api.Request{Op: &api.Request_Status{Status: &api.StatusRequest{}}}).GetStatus().GetNodes() {
			if heard := time.Duration(n.GetHeardMs()) * time.Millisecond; n.GetName() == name && !n.GetHealthy() {
				if heard < newsOld-time.Second || heard > newsOld+2*time.Second || n.GetRole() != "unknown" {
					t.Errorf("the dead node: %v", n)
				}
				return true
			}
		}
		return false
	})
}

func TestHashSaysWhoIsMissing(t *testing.T) {
	c := newCluster(t, 3, nil)
	leader, follower := c.leader(), c.follower()
	a := connect(t, c.address(leader))
	gone := c.nodes[follower].Name()
	c.kill(follower)
	h := a.must(&api.Request{Op: &api.Request_Hash{Hash: &api.HashRequest{}}}).GetHash()
	for _, n := range h.GetNodes() {
		if (n.GetError() != "") != (n.GetName() == gone) {
			t.Errorf("node %v, %s is gone", n, gone)
		}
	}
	if h.GetEqual() {
		t.Error("equal, although one node did not answer")
	}
}

func TestNoLeader(t *testing.T) {
	c := newCluster(t, 3, func(cfg *Config) {
		cfg.Patience = time.Second
		cfg.Tuning.ReadTimeout = time.Second
	})
	follower := c.follower()
	a := connect(t, c.address(follower))
	session := a.open(time.Minute)
	for i := range c.nodes {
		if i != follower {
			c.kill(i)
		}
	}
	eventually(t, "the loss of the leader", func() bool { return c.nodes[follower].Leader() == "" })
	r := a.acquire(acquire(session, 1, "x"))
	if e := r.GetError(); e.GetCode() != api.Code_NO_LEADER || !e.GetDefinite() || e.GetRetryAfterMs() == 0 {
		t.Errorf("acquire: %v", r)
	}
	r = a.call(&api.Request{Op: &api.Request_ShowLock{ShowLock: &api.ShowLockRequest{Name: "x"}}})
	if e := r.GetError(); e.GetCode() != api.Code_NO_LEADER {
		t.Errorf("show: %v", r)
	}
	// What needs no leader works.
	a.must(&api.Request{Op: &api.Request_Status{Status: &api.StatusRequest{}}})
	a.must(&api.Request{Op: &api.Request_Range{Range: &api.RangeRequest{Key: []byte("k"), Serializable: true}}})
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if c.nodes[follower].CheckReady(ctx) == nil {
		t.Error("ready without a leader")
	}
}

func TestStopHandsOver(t *testing.T) {
	c := newCluster(t, 3, nil)
	leader, follower := c.leader(), c.follower()
	a, b := connect(t, c.address(leader)), connect(t, c.address(follower))
	session := b.open(time.Minute)
	b.granted(session, 1, "x")
	waiter := a.open(time.Minute)
	a.acquire(acquire(waiter, 1, "x"))
	term := c.nodes[follower].group.Status().Term
	stop(t, c.nodes[leader])
	c.nodes[leader] = nil
	if err := a.over(); err == nil {
		t.Error("the stream ended without a word")
	}
	last := a.event("the reason", func(r *api.Response) bool { return r.GetError() != nil }).GetError()
	if last.GetCode() != api.Code_UNAVAILABLE {
		t.Errorf("the stream ended with %v", last)
	}
	// The others have a leader already: one election, and no waiting for it.
	next := c.leader()
	if now := c.nodes[next].group.Status().Term; now != term+1 {
		t.Errorf("term %d after the hand-over, want %d", now, term+1)
	}
	b.granted(session, 2, "y")
}
