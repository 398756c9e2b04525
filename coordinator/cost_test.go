package coordinator

import (
	"fmt"
	"sync/atomic"
	"testing"

	"storj.io/drpc/drpcstream"
	"storj.io/drpc/drpcwire"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/internal/cost"
)

// What answers and requests may allocate on their way between the loop and the
// connection. Whoever needs more says why, and whoever needs less lowers the figure.
const (
	allocsOfAnswers  = 0   // a frame of answers, encoded and written
	allocsOfRequests = 6.2 // each request of a frame that is decoded: it, what it asks for, its lock and that's name
)

// TestCostOfAnswers: who writes answers to a client uses the memory of the frame
// before.
func TestCostOfAnswers(t *testing.T) {
	const n = 64
	written := 0
	sink := writerFunc(func(p []byte) (int, error) { written += len(p); return len(p), nil })
	st := &stream{
		wire: drpcstream.New(t.Context(), 1, drpcwire.NewWriter(sink, 0)), out: newOutbox(1<<20, new(atomic.Int64)),
	}
	answers := make([]*api.Response, n)
	for i := range answers {
		answers[i] = &api.Response{Id: uint64(i + 1), Result: &api.Response_Acquire{Acquire: &api.AcquireResponse{
			State: api.ClaimState_CLAIM_GRANTED, Token: uint64(i + 1000), Revision: uint64(i + 2000), Names: []string{fmt.Sprint("job/", i+10_000_000)},
		}}}
	}
	allocs := testing.AllocsPerRun(100, func() {
		for _, r := range answers {
			st.out.add(r)
		}
		if wrote, ended, err := st.writeTaken(); !wrote || ended != nil || err != nil {
			t.Fatal(wrote, ended, err)
		}
	})
	cost.AtMost(t, fmt.Sprintf("allocations of a frame of %d answers", n), allocs, allocsOfAnswers)
	if written < 101*n*8 {
		t.Errorf("%d bytes were written", written)
	}
}

// TestCostOfRequests: what a server does with the bytes of a frame.
func TestCostOfRequests(t *testing.T) {
	const n = 64
	var frame api.ClientFrames
	for i := range uint64(n) {
		frame.Requests = append(frame.Requests, &api.Request{Id: i + 1, Op: &api.Request_Acquire{Acquire: acquire(77, i+1, fmt.Sprint("job/", i+10_000_000))}})
	}
	b, err := frame.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	shapes := api.NewShapes()
	allocs := testing.AllocsPerRun(100, func() {
		fresh := new(api.ClientFrames) // requests outlive the frame, so each has its own
		if err := shapes.Measure(fresh, b, api.MaxClientParts); err != nil {
			t.Fatal(err)
		}
		if err := fresh.UnmarshalVT(b); err != nil || len(fresh.Requests) != n {
			t.Fatal(len(fresh.Requests), err)
		}
	}) / n
	cost.AtMost(t, "allocations of a request that is decoded", allocs, allocsOfRequests)
}
