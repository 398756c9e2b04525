package coordinator

import (
	"fmt"
	"strings"
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

// TestLateRequestsOfAnOldStream: what a client had sent before it went to a new
// stream may be read after that. It must not take the session away from the new
// one, which would hear of no grant any more.
func TestLateRequestsOfAnOldStream(t *testing.T) {
	attach := func(session uint64) *api.Request {
		return &api.Request{Op: &api.Request_AttachSession{AttachSession: &api.AttachSessionRequest{Session: session}}}
	}
	for name, late := range map[string]func(old *client, session uint64){
		"keep-alive": func(old *client, session uint64) { old.beat(session, 1) },
		"request":    func(old *client, session uint64) { old.acquire(acquire(session, 1, "x")) },
		"attachment": func(old *client, session uint64) {
			if r := old.call(attach(session)); r.GetError().GetCode() != api.Code_INVALID_ARGUMENT {
				t.Errorf("the stream that was opened first is attached: %v", r)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1, nil)
			old, other := connect(t, c.address(0)), connect(t, c.address(0))
			holder, waiter := other.open(time.Minute), old.open(time.Minute)
			grant := other.granted(holder, 1, "x")
			old.acquire(acquire(waiter, 1, "x"))
			recent := connect(t, c.address(0))
			recent.must(attach(waiter))
			late(old, waiter)
			old.must(&api.Request{Op: &api.Request_Status{Status: &api.StatusRequest{}}}) // behind it in the stream
			_ = old.conn.Close()
			eventually(t, "the end of the old stream", func() bool {
				old.mu.Lock()
				defer old.mu.Unlock()
				return old.err != nil
			})
			if e := other.release(holder, 2, "x", grant.GetToken()).GetError(); e != nil {
				t.Fatal(e)
			}
			recent.claimEvent(waiter, 1)
		})
	}
}

// TestPages lists more locks than a page and than one step have room for, with
// what is left of free ones between them.
func TestPages(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	session := a.open(time.Minute)
	const n = 300
	var ids []uint64
	for i := range n {
		ids = append(ids, a.send(&api.Request{Op: &api.Request_Acquire{Acquire: acquire(session, uint64(i+1), fmt.Sprintf("l%03d", i))}}))
	}
	tokens := make([]uint64, n)
	for i, id := range ids {
		tokens[i] = a.answer(id).GetAcquire().GetToken()
	}
	for i := 0; i < n; i += 3 {
		if e := a.release(session, uint64(n+i+1), fmt.Sprintf("l%03d", i), tokens[i]).GetError(); e != nil {
			t.Fatal(e)
		}
	}
	seen, after := 0, ""
	for {
		r := a.must(&api.Request{Op: &api.Request_ListLocks{ListLocks: &api.ListLocksRequest{Prefix: "l", After: after, Limit: 7}}}).GetListLocks()
		for _, x := range r.GetLocks() {
			if x.GetName() <= after || len(x.GetHolders()) != 1 {
				t.Fatalf("lock %v after %q", x, after)
			}
			after = x.GetName()
			seen++
		}
		if !r.GetMore() {
			break
		}
	}
	if seen != n-n/3 {
		t.Errorf("%d locks listed, %d are held", seen, n-n/3)
	}
	one := a.must(&api.Request{Op: &api.Request_ListLocks{ListLocks: &api.ListLocksRequest{Prefix: "l001"}}}).GetListLocks()
	if len(one.GetLocks()) != 1 || one.GetMore() {
		t.Errorf("one lock: %v", one)
	}
	info := a.must(&api.Request{Op: &api.Request_ShowSession{ShowSession: &api.ShowSessionRequest{Session: session}}}).GetShowSession().GetSession()
	if int(info.GetLockCount()) != n-n/3 || info.GetTtlMs() != 60_000 || info.GetLabels()["who"] != "test" {
		t.Errorf("session: %d locks, %v", info.GetLockCount(), info)
	}
}

// TestHistory tells all tenures that are kept, and what was before them.
func TestHistory(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	first, second := a.open(time.Minute), a.open(time.Minute)
	history := func(limit uint32) *api.LockHistoryResponse {
		return a.must(&api.Request{Op: &api.Request_LockHistory{LockHistory: &api.LockHistoryRequest{Name: "x", Limit: limit}}}).GetLockHistory()
	}
	one := a.granted(first, 1, "x")
	a.acquire(acquire(second, 1, "x"))
	a.must(&api.Request{Op: &api.Request_BreakLock{BreakLock: &api.BreakLockRequest{Name: "x", Token: one.GetToken(), Reason: "stuck"}}})
	if e := a.claimEvent(first, 1).GetError(); e.GetCode() != api.Code_CLAIM_BROKEN || !strings.Contains(e.GetMessage(), "stuck") {
		t.Errorf("broken: %v", e)
	}
	two := a.claimEvent(second, 1).GetGranted()
	r := a.call(&api.Request{Op: &api.Request_BreakLock{BreakLock: &api.BreakLockRequest{Name: "x", Token: one.GetToken()}}})
	if r.GetError().GetCode() != api.Code_TOKEN_MISMATCH {
		t.Errorf("broken twice: %v", r)
	}
	a.must(&api.Request{Op: &api.Request_CloseSession{CloseSession: &api.CloseSessionRequest{Session: second}}})
	l := history(0).GetTenures()
	if len(l) != 2 || l[0].GetEnded() != api.EndReason_END_BROKEN || l[1].GetEnded() != api.EndReason_END_CLOSED ||
		l[0].GetFromRevision() != one.GetRevision() || l[1].GetFromRevision() != two.GetRevision() || l[0].GetToRevision() != two.GetRevision() ||
		l[0].GetFromUnixMs() == 0 || l[0].GetToUnixMs() == 0 || l[0].GetName() != "x" {
		t.Errorf("history: %v", l)
	}
	if l := history(1).GetTenures(); len(l) != 1 || l[0].GetToken() != two.GetToken() {
		t.Errorf("the newest: %v", l)
	}
	// After compaction what was open at its edge is still known.
	a.must(&api.Request{Op: &api.Request_Compact{Compact: &api.CompactRequest{Revision: two.GetRevision() + 1}}})
	h := history(0)
	if l := h.GetTenures(); len(l) != 1 || l[0].GetToken() != two.GetToken() || l[0].GetFromRevision() != two.GetRevision() ||
		h.GetCompactedRevision() != two.GetRevision()+1 {
		t.Errorf("after compaction: %v", h)
	}
}
