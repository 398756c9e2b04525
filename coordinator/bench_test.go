package coordinator

import (
	"fmt"
	"testing"
	"time"

	"github.com/conch-lock/conch/api"
)

// BenchmarkAcquireRelease has one client with many requests under way acquire
// and release locks that nobody else wants, on one node with a real disk.
func BenchmarkAcquireRelease(b *testing.B) {
	dir := b.TempDir()
	cfg := Config{
		Name: "n1", DataDir: dir, InitialCluster: []Member{{"n1", "127.0.0.1:7001"}},
		ListenClient: "127.0.0.1:0", ListenPeer: "127.0.0.1:0",
	}
	s, err := Start(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	<-s.Ready()
	conn := dialDRPC(b, s.ClientAddress())
	stream, err := api.NewDRPCConchClient(conn).Stream(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	send := func(list ...*api.Request) {
		if err := stream.Send(&api.ClientFrames{Requests: list}); err != nil {
			b.Fatal(err)
		}
	}
	send(&api.Request{Id: 1, Op: &api.Request_Hello{Hello: &api.Hello{}}},
		&api.Request{Id: 2, Op: &api.Request_OpenSession{OpenSession: &api.OpenSessionRequest{Nonce: newNonce(), TtlMs: uint64(time.Hour.Milliseconds())}}})
	var session uint64
	for session == 0 {
		frames, err := stream.Recv()
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range frames.GetResponses() {
			session = max(session, r.GetOpenSession().GetSession())
		}
	}
	const window = 256 // locks, each either being acquired or being released
	sequence := uint64(0)
	next := func(lock int, token uint64) *api.Request {
		sequence++
		acked := max(sequence, 2*window) - 2*window
		name := fmt.Sprint("lock", lock)
		if token == 0 {
			q := acquire(session, sequence, name)
			q.Acked = acked
			return &api.Request{Id: uint64(lock + 10), Op: &api.Request_Acquire{Acquire: q}}
		}
		return &api.Request{Id: uint64(lock + 10), Op: &api.Request_Release{Release: &api.ReleaseRequest{
			Session: session, Sequence: sequence, Acked: acked, Name: name, Token: token,
		}}}
	}
	var first []*api.Request
	for i := range window {
		first = append(first, next(i, 0))
	}
	b.ResetTimer()
	send(first...)
	for done := 0; done < b.N; {
		frames, err := stream.Recv()
		if err != nil {
			b.Fatal(err)
		}
		var list []*api.Request
		for _, r := range frames.GetResponses() {
			if r.GetId() < 10 {
				continue
			}
			if r.GetError() != nil {
				b.Fatal(r.GetError())
			}
			done++
			list = append(list, next(int(r.GetId()-10), r.GetAcquire().GetToken()))
		}
		if len(list) > 0 {
			send(list...)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
