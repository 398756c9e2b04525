package coordinator

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcmigrate"

	"github.com/conch-lock/conch/api"
)

// TestFloods: a client that opens sessions, queues claims and begins watches
// until each is refused takes what is allowed and no more, and another one is
// served all the while.
func TestFloods(t *testing.T) {
	c := newCluster(t, 1, func(cfg *Config) {
		cfg.Limits.Sessions, cfg.Limits.Waiters, cfg.Limits.ClaimsOfSession = 500, 300, 1000
	})
	good := connect(t, c.address(0))
	session := good.open(time.Minute)
	sequence := uint64(0)
	served := func() {
		t.Helper()
		sequence += 2
		grant := good.granted(session, sequence-1, "own")
		if r := good.release(session, sequence, "own", grant.GetToken()); r.GetError() != nil {
			t.Fatalf("release: %v", r)
		}
	}
	bad := connect(t, c.address(0))
	// send sends requests until one is refused, at most most of them.
	flood := func(what string, most int, want api.Code, request func(i int) *api.Request) {
		t.Helper()
		var ids []uint64
		for i := range most {
			ids = append(ids, bad.send(request(i)))
			if i%100 == 0 {
				served()
			}
		}
		refused := 0
		for _, id := range ids {
			if e := bad.answer(id).GetError(); e.GetCode() == want {
				refused++
				if !e.GetDefinite() || e.GetMessage() == "" {
					t.Errorf("%s: %v", what, e)
				}
			} else if e != nil {
				t.Fatalf("%s: %v", what, e)
			}
		}
		if refused == 0 || refused == most {
			t.Errorf("%s: %d of %d were refused", what, refused, most)
		}
		served()
	}
	own := bad.open(time.Minute)
	flood("sessions", 700, api.Code_LIMIT_REACHED, func(int) *api.Request {
		return &api.Request{Op: &api.Request_OpenSession{OpenSession: &api.OpenSessionRequest{Nonce: newNonce(), TtlMs: 60_000}}}
	})
	flood("claims of one lock", 400, api.Code_LIMIT_REACHED, func(i int) *api.Request {
		return &api.Request{Op: &api.Request_Acquire{Acquire: acquire(own, uint64(i+1), "x")}}
	})
	flood("claims of one session", 1000, api.Code_LIMIT_REACHED, func(i int) *api.Request {
		return &api.Request{Op: &api.Request_Acquire{Acquire: acquire(own, uint64(i+1001), fmt.Sprint("y", i))}}
	})
	flood("watches", maxWatches+100, api.Code_LIMIT_REACHED, func(i int) *api.Request {
		return &api.Request{Op: &api.Request_Watch{Watch: watchKeys(fmt.Sprint("k", i), "", 0)}}
	})
	// What is refused for a limit does not hold up what makes the load smaller.
	bad.beat(own, 1)
	bad.event("that the session is alive", func(r *api.Response) bool { return r.GetAlive() != nil })
	if r := bad.call(&api.Request{Op: &api.Request_CloseSession{CloseSession: &api.CloseSessionRequest{Session: own}}}); r.GetError() != nil {
		t.Errorf("close: %v", r)
	}
	served()
}

// TestReliefIsNeverRefused: with the quota used up and with as many requests under
// way as are allowed, keep-alives, releases, cancellations, resigning and ends of
// sessions are carried out.
func TestReliefIsNeverRefused(t *testing.T) {
	c := newCluster(t, 1, func(cfg *Config) { cfg.Limits.Store.QuotaBytes, cfg.MaxInFlight = 4<<20, 4 })
	a, b := connect(t, c.address(0)), connect(t, c.address(0))
	session, other := a.open(time.Minute), b.open(time.Minute)
	held := a.granted(session, 1, "held")
	if r := a.call(&api.Request{Op: &api.Request_Campaign{Campaign: &api.CampaignRequest{Session: session, Sequence: 2, Name: "e"}}}); r.GetError() != nil {
		t.Fatal(r)
	}
	term := a.must(&api.Request{Op: &api.Request_ShowElection{ShowElection: &api.ShowElectionRequest{Name: "e"}}}).GetShowElection().GetElection().GetToken()
	waits := b.call(&api.Request{Op: &api.Request_Acquire{Acquire: acquire(other, 1, "held")}})
	if waits.GetAcquire().GetState() != api.ClaimState_CLAIM_QUEUED {
		t.Fatal(waits)
	}
	// 1. The quota.
	full := false
	for i := 0; i < 100 && !full; i++ {
		e := a.call(putRequest(fmt.Sprint("fill", i), strings.Repeat("v", 200<<10))).GetError()
		full = e.GetCode() == api.Code_NO_SPACE
		if e != nil && !full {
			t.Fatal(e)
		}
	}
	if !full {
		t.Fatal("the quota was not reached")
	}
	// 2. Requests under way: reads that wait for an answer as long as the loop stands.
	gate := make(chan struct{})
	if err := c.nodes[0].group.Do(func() { <-gate }); err != nil {
		t.Fatal(err)
	}
	var refused *api.Error
	var reads []uint64
	for range 8 {
		reads = append(reads, a.send(&api.Request{Op: &api.Request_Status{Status: &api.StatusRequest{}}}))
	}
	relief := []uint64{
		a.send(&api.Request{Op: &api.Request_Release{Release: &api.ReleaseRequest{Session: session, Sequence: 3, Name: "held", Token: held.GetToken()}}}),
		a.send(&api.Request{Op: &api.Request_CancelClaim{CancelClaim: &api.CancelClaimRequest{Session: other, Sequence: 2, ClaimSequence: 1}}}),
		a.send(&api.Request{Op: &api.Request_Resign{Resign: &api.ResignRequest{Session: session, Sequence: 4, Name: "e", Token: term}}}),
	}
	a.beat(session, 7)
	relief = append(relief,
		a.send(&api.Request{Op: &api.Request_EndSession{EndSession: &api.EndSessionRequest{Session: other, Reason: "test"}}}))
	// Those past the bound are refused at once, by who reads them: the loop still stands.
	refused = a.answer(reads[7]).GetError()
	if refused.GetCode() != api.Code_OVERLOADED || refused.GetRetryAfterMs() == 0 || !refused.GetDefinite() {
		t.Errorf("the eighth of four: %v", refused)
	}
	close(gate)
	for i, id := range relief {
		if e := a.answer(id).GetError(); e != nil {
			t.Errorf("relief %d: %v", i, e)
		}
	}
	a.event("that the session is alive", func(r *api.Response) bool {
		return len(r.GetAlive().GetSessions()) > 0 && r.GetAlive().GetSessions()[0].GetNumber() == 7
	})
	if r := a.call(&api.Request{Op: &api.Request_CloseSession{CloseSession: &api.CloseSessionRequest{Session: session}}}); r.GetError() != nil {
		t.Errorf("close: %v", r)
	}
}

// junkOf is bytes of all kinds that are no conversation.
func junkOf(rng *rand.Rand) []byte {
	b := make([]byte, 1+rng.IntN(2000))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	switch rng.IntN(4) {
	case 0:
		return append([]byte(drpcmigrate.DRPCHeader), b...)
	case 1:
		return append([]byte("GET /metrics HTTP/1.1\r\nHost: "), b...)
	case 2: // a TLS record that promises more
		return append([]byte{22, 3, 1, 0x40, 0}, b...)
	}
	return b
}

// TestRandomBytesWithTLS throws bytes at both ports of a cluster that talks TLS,
// within it and without. Clients and nodes do not notice.
func TestRandomBytesWithTLS(t *testing.T) {
	cert, _ := certificate(t)
	insecure := &tls.Config{InsecureSkipVerify: true}
	c := newCluster(t, 3, func(cfg *Config) {
		server := &tls.Config{Certificates: []tls.Certificate{cert}}
		cfg.ClientTLS, cfg.PeerServerTLS, cfg.PeerClientTLS = server, server, insecure
		cfg.idleTimeout = time.Second
	})
	raw, err := tls.Dial("tcp", c.address(0), insecure)
	if err != nil {
		t.Fatal(err)
	}
	conn := drpcconn.New(drpcmigrate.NewHeaderConn(raw, drpcmigrate.DRPCHeader))
	t.Cleanup(func() { _ = conn.Close() })
	good := greet(t, conn)
	good.put("k", "v")
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 120 {
		address := c.address(i % 3)
		if i%2 == 0 {
			address = c.nodes[i%3].PeerAddress()
		}
		raw, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		conn := raw
		if i%4 < 2 {
			secured := tls.Client(raw, insecure)
			_ = secured.SetDeadline(time.Now().Add(patience))
			if secured.Handshake() == nil {
				conn = secured
			}
		}
		_, _ = conn.Write(junkOf(rng)) // it may be closed already
		if i%3 == 0 {
			_ = raw.Close()
		}
	}
	for i := range 5 {
		good.put(fmt.Sprint("k", i), "v")
	}
	for _, s := range c.nodes {
		if p := s.transport.Stats().Panics; p > 0 {
			t.Errorf("%s: %d panics", s.Name(), p)
		}
	}
}
