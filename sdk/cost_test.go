package sdk

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/internal/cost"
)

// What a frame may allocate. Whoever needs more says why, and whoever needs less
// lowers the figure.
const (
	allocsOfFrame   = 0   // requests, encoded and written
	allocsOfAnswers = 5.2 // each answer of a frame that is decoded
)

// sink is a connection that takes all that is written.
type sink struct {
	net.Conn
	n int
}

func (s *sink) Write(p []byte) (int, error)      { s.n += len(p); return len(p), nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }

// TestCostOfFrame: who writes requests uses the memory of the frame before.
func TestCostOfFrame(t *testing.T) {
	const n = 64
	conn := &sink{}
	w := newWire(conn, api.NewShapes())
	frame := &api.ClientFrames{}
	for i := range uint64(n) {
		frame.Requests = append(frame.Requests, &api.Request{Id: i + 1, Op: &api.Request_Acquire{Acquire: &api.AcquireRequest{
			Session: 77, Sequence: i + 1, Items: []*api.ClaimItem{{Name: fmt.Sprint("job/", i+10_000_000)}},
		}}})
	}
	allocs := testing.AllocsPerRun(100, func() {
		if err := w.send(frame); err != nil {
			t.Fatal(err)
		}
	})
	cost.AtMost(t, fmt.Sprintf("allocations of a frame of %d requests", n), allocs, allocsOfFrame)
	if conn.n < 101*n*20 {
		t.Errorf("%d bytes were written", conn.n)
	}
}

// TestCostOfDecoding: what a client does with the bytes of a frame.
func TestCostOfDecoding(t *testing.T) {
	const n = 64
	var frame api.ServerFrames
	for i := range uint64(n) {
		frame.Responses = append(frame.Responses, &api.Response{Id: i + 1, Result: &api.Response_Acquire{Acquire: &api.AcquireResponse{
			State: api.ClaimState_CLAIM_GRANTED, Token: i + 1000, Revision: i + 2000, Names: []string{fmt.Sprint("job/", i+10_000_000)},
		}}})
	}
	b, err := frame.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	shapes := api.NewShapes()
	allocs := testing.AllocsPerRun(100, func() {
		fresh := new(api.ServerFrames)
		if err := decode(shapes, b, fresh); err != nil || len(fresh.Responses) != n {
			t.Fatal(len(fresh.Responses), err)
		}
	}) / n
	cost.AtMost(t, "allocations of an answer that is decoded", allocs, allocsOfAnswers)
}
