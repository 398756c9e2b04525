package coordinator

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/api"
)

// post calls a method as curl would.
func post(t *testing.T, c *cluster, method, body string) (int, map[string]any) {
	t.Helper()
	resp, err := http.Post("http://"+c.address(0)+"/conch.v1.Conch/"+method, "application/x-www-form-urlencoded", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return resp.StatusCode, out
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestHTTP(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	c := newCluster(t, 1, nil)
	nonce := base64.StdEncoding.EncodeToString(newNonce())
	code, r := post(t, c, "OpenSession", fmt.Sprintf(`{"nonce":%q,"ttlMs":60000}`, nonce))
	if code != 200 || r["session"] != "1" {
		t.Fatalf("open: %d %v", code, r)
	}
	code, r = post(t, c, "Acquire", `{"session":"1","sequence":1,"items":[{"name":"x"}]}`)
	if code != 200 || r["state"] != "CLAIM_GRANTED" || r["token"] != "1" {
		t.Fatalf("acquire: %d %v", code, r)
	}
	code, r = post(t, c, "Acquire", `{"session":"1","sequence":2,"items":[{"name":"x"}],"try":true}`)
	if code != 409 || r["code"] != "HELD" || r["definite"] != true || r["holder"] != 1.0 || r["token"] != 1.0 || r["position"] != 1.0 ||
		!strings.Contains(fmt.Sprint(r["message"]), `"x"`) {
		t.Errorf("try: %d %v", code, r)
	}
	code, r = post(t, c, "KeepAlive", `{"sessions":[{"session":1,"number":1},{"session":77,"number":1}]}`)
	if code != 200 || len(r["alive"].([]any)) != 1 || len(r["ended"].([]any)) != 1 {
		t.Errorf("keep-alive: %d %v", code, r)
	}
	for _, x := range []struct {
		method, body string
		status       int
		code, text   string
	}{
		{"ShowLock", `{"name":"nothing"}`, 404, "LOCK_NOT_FOUND", "nothing"},
		{"ShowLock", `{"name":`, 400, "INVALID_ARGUMENT", "JSON"},
		{"ShowLock", `{"name":"x","cell":"other"}`, 404, "CELL_NOT_FOUND", "other"},
		{"Acquire", `{"session":"1","sequence":3}`, 400, "INVALID_ARGUMENT", "items: 0 locks"},
		{"Nothing", ``, 404, "INVALID_ARGUMENT", "unknown rpc"},
	} {
		code, r := post(t, c, x.method, x.body)
		if code != x.status || r["code"] != x.code || !strings.Contains(fmt.Sprint(r["message"]), x.text) {
			t.Errorf("%s %s: %d %v, want %d %s %q", x.method, x.body, code, r, x.status, x.code, x.text)
		}
	}
	if code, body := get(t, "http://"+c.address(0)+"/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	if code, body := get(t, "http://"+c.address(0)+"/readyz"); code != 200 || body != "ok\n" {
		t.Errorf("readyz: %d %q", code, body)
	}
	code, body := get(t, "http://"+c.address(0)+"/metrics")
	for _, want := range []string{
		"conch_locks 1", "conch_sessions 1", `conch_raft_role{role="leader"} 1`, "conch_fsync_seconds_count", "conch_state_bytes",
		`conch_requests_total{code="HELD",method="acquire"} 1`, `conch_request_seconds_bucket{method="acquire"`, "conch_wal_syncs_total",
		"conch_requests_in_flight 0", "conch_raft_proposals_total",
	} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("metrics: %d, without %s", code, want)
		}
	}
	// A page of another site cannot take a lock.
	req, _ := http.NewRequest("POST", "http://"+c.address(0)+"/conch.v1.Conch/Status", nil) // the address is sound
	req.Header.Set("Origin", "http://elsewhere.example")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("a request of another site: %d", resp.StatusCode)
	}
}

func TestUnary(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	unary := api.NewDRPCConchClient(dialDRPC(t, c.address(0)))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	opened, err := unary.OpenSession(ctx, &api.OpenSessionRequest{Nonce: newNonce(), TtlMs: 60_000})
	if err != nil {
		t.Fatal(err)
	}
	holder := a.open(time.Minute)
	grant := a.granted(holder, 1, "x")
	// It waits for the decision.
	decided := make(chan *api.AcquireResponse, 1)
	go func() {
		r, err := unary.Acquire(ctx, acquire(opened.GetSession(), 1, "x"))
		if err != nil {
			t.Error(err)
		}
		decided <- r
	}()
	eventually(t, "a waiter", func() bool {
		return a.must(&api.Request{Op: &api.Request_Status{Status: &api.StatusRequest{}}}).GetStatus().GetWaiters() == 1
	})
	a.release(holder, 2, "x", grant.GetToken())
	if r := <-decided; r.GetState() != api.ClaimState_CLAIM_GRANTED {
		t.Errorf("acquire: %v", r)
	}
	// Every other method once.
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	s := opened.GetSession()
	_, err = unary.CheckToken(ctx, &api.CheckTokenRequest{Name: "x", Token: grant.GetToken() + 1})
	check("check token", err)
	_, err = unary.CancelClaim(ctx, &api.CancelClaimRequest{Session: s, Sequence: 2, ClaimSequence: 1})
	check("cancel", err)
	got, err := unary.Acquire(ctx, acquire(s, 3, "y"))
	check("acquire", err)
	_, err = unary.Release(ctx, &api.ReleaseRequest{Session: s, Sequence: 4, Name: "y", Token: got.GetToken()})
	check("release", err)
	got, err = unary.Acquire(ctx, acquire(s, 5, "z"))
	check("acquire", err)
	_, err = unary.BreakLock(ctx, &api.BreakLockRequest{Name: "z", Token: got.GetToken(), Reason: "test"})
	check("break", err)
	_, err = unary.Txn(ctx, putRequest("k", "v").GetTxn())
	check("txn", err)
	kvs, err := unary.Range(ctx, &api.RangeRequest{Key: []byte("k")})
	check("range", err)
	if len(kvs.GetKvs()) != 1 {
		t.Errorf("range: %v", kvs)
	}
	_, err = unary.Compact(ctx, &api.CompactRequest{Revision: kvs.GetRevision()})
	check("compact", err)
	list, err := unary.ListSessions(ctx, &api.ListSessionsRequest{Limit: 1})
	check("list sessions", err)
	if len(list.GetSessions()) != 1 || !list.GetMore() {
		t.Errorf("sessions: %v", list)
	}
	_, err = unary.ShowSession(ctx, &api.ShowSessionRequest{Session: s})
	check("show session", err)
	_, err = unary.ListLocks(ctx, &api.ListLocksRequest{})
	check("list locks", err)
	_, err = unary.LockHistory(ctx, &api.LockHistoryRequest{Name: "z"})
	check("history", err)
	_, err = unary.Hash(ctx, &api.HashRequest{})
	check("hash", err)
	_, err = unary.EndSession(ctx, &api.EndSessionRequest{Session: holder, Reason: "test"})
	check("end session", err)
	ended := a.event("the end", func(r *api.Response) bool { return r.GetSessionEnded() != nil }).GetSessionEnded()
	if ended.GetReason() != api.EndReason_END_ENDED || !strings.Contains(ended.GetMessage(), "test") {
		t.Errorf("ended: %v", ended)
	}
	_, err = unary.CloseSession(ctx, &api.CloseSessionRequest{Session: s})
	check("close session", err)
	if _, err := unary.CloseSession(ctx, &api.CloseSessionRequest{Session: s}); err == nil {
		t.Error("a session was closed twice")
	}
}
