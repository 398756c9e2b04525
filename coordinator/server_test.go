package coordinator

import (
	"testing"
	"time"

	"github.com/conch-lock/conch/api"
)

func TestOneNode(t *testing.T) {
	c := newCluster(t, 1, nil)
	a, b := connect(t, c.address(0)), connect(t, c.address(0))
	if h := a.hello; h.GetNode() != "n1" || h.GetCell() != "default" || h.GetVersion() != "test" || h.GetLeader().GetEndpoint() != c.address(0) {
		t.Errorf("hello: %v", h)
	}
	// 1. One holds, one waits.
	first, second := a.open(10*time.Second), b.open(10*time.Second)
	grant := a.granted(first, 1, "x")
	if grant.GetToken() == 0 || grant.GetSinceUnixMs() == 0 || len(grant.GetNames()) != 1 {
		t.Errorf("grant: %v", grant)
	}
	queued := b.acquire(acquire(second, 1, "x")).GetAcquire()
	if queued.GetState() != api.ClaimState_CLAIM_QUEUED || queued.GetPosition() != 1 {
		t.Fatalf("second claim: %v, want it queued at position 1", queued)
	}
	// 2. A try is refused, and says who stands in the way.
	try := acquire(second, 2, "x")
	try.Try = true
	if e := b.acquire(try).GetError(); e.GetCode() != api.Code_HELD || e.GetHolder() != first || e.GetToken() != grant.GetToken() ||
		!e.GetDefinite() || e.GetSinceUnixMs() != grant.GetSinceUnixMs() || e.GetPosition() != 2 {
		t.Errorf("try: %v", e)
	}
	// 3. Inspecting.
	show := a.must(&api.Request{Op: &api.Request_ShowLock{ShowLock: &api.ShowLockRequest{Name: "x"}}}).GetShowLock().GetLock()
	if len(show.GetHolders()) != 1 || len(show.GetWaiters()) != 1 || show.GetWaiters()[0].GetSession() != second || show.GetWaiters()[0].GetPosition() != 1 {
		t.Errorf("show: %v", show)
	}
	// 4. The grant follows the release.
	if e := a.release(first, 2, "x", grant.GetToken()).GetError(); e != nil {
		t.Fatalf("release: %v", e)
	}
	if e := b.claimEvent(second, 1); e.GetGranted().GetToken() <= grant.GetToken() || e.GetGranted().GetPredecessor().GetEnded() != api.EndReason_END_RELEASED {
		t.Errorf("event: %v", e)
	}
	// 5. Repeating the release gets the same answer.
	if e := a.release(first, 2, "x", grant.GetToken()).GetError(); e != nil {
		t.Errorf("repeated release: %v", e)
	}
	// 6. The history.
	h := a.must(&api.Request{Op: &api.Request_LockHistory{LockHistory: &api.LockHistoryRequest{Name: "x"}}}).GetLockHistory()
	if l := h.GetTenures(); len(l) != 2 || l[0].GetSession() != first || l[0].GetEnded() != api.EndReason_END_RELEASED ||
		l[0].GetToRevision() == 0 || l[1].GetSession() != second || l[1].GetToRevision() != 0 {
		t.Errorf("history: %v", h)
	}
}

func TestExpiry(t *testing.T) {
	c := newCluster(t, 1, nil)
	a, b := connect(t, c.address(0)), connect(t, c.address(0))
	short, long := a.open(500*time.Millisecond), b.open(time.Minute)
	grant := a.granted(short, 1, "x")
	b.acquire(acquire(long, 1, "x"))
	// Kept alive it lives, and is told so.
	a.beat(short, 7)
	a.event("alive", func(r *api.Response) bool {
		l := r.GetAlive().GetSessions()
		return len(l) == 1 && l[0].GetSession() == short && l[0].GetNumber() == 7
	})
	// Left alone it ends, and the next is granted.
	ended := a.event("the end of the session", func(r *api.Response) bool { return r.GetSessionEnded().GetSession() == short }).GetSessionEnded()
	if ended.GetReason() != api.EndReason_END_EXPIRED {
		t.Errorf("ended: %v", ended)
	}
	e := b.claimEvent(long, 1)
	if e.GetGranted().GetToken() <= grant.GetToken() || e.GetGranted().GetPredecessor().GetEnded() != api.EndReason_END_EXPIRED {
		t.Errorf("event: %v", e)
	}
	// A keep-alive of a session that is gone is answered.
	a.beat(short, 8)
	a.event("the end of the session, again", func(r *api.Response) bool { return r.GetSessionEnded().GetSession() == short })
}

func TestLatestAttachmentWins(t *testing.T) {
	c := newCluster(t, 1, nil)
	a, b := connect(t, c.address(0)), connect(t, c.address(0))
	holder, waiter := a.open(time.Minute), a.open(time.Minute)
	grant := a.granted(holder, 1, "x")
	a.acquire(acquire(waiter, 1, "x"))
	b.must(&api.Request{Op: &api.Request_AttachSession{AttachSession: &api.AttachSessionRequest{Session: waiter}}})
	a.release(holder, 2, "x", grant.GetToken())
	b.claimEvent(waiter, 1)
	a.must(&api.Request{Op: &api.Request_Status{Status: &api.StatusRequest{}}})
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.pushed {
		if r.GetClaim() != nil {
			t.Errorf("the stream that lost the session was told %v", r)
		}
	}
}
