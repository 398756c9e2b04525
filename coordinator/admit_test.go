package coordinator

import (
	"testing"

	"github.com/conch-lock/conch/api"
)

// TestShareOfACrowdedNode: on a node that has much to do, a stream that asks for
// much is refused, one that asks for little is not, and neither is relief.
func TestShareOfACrowdedNode(t *testing.T) {
	l := &loop{cfg: Config{MaxInFlight: 16_384}, load: &load{}}
	l.load.streams.Store(100)
	busy, calm := &stream{loop: l}, &stream{loop: l}
	ask := func(st *stream, m method) *api.Error {
		return l.admit(&call{method: m, size: 100, stream: st, load: l.load})
	}
	for i := range crowdedCalls {
		if e := ask(busy, methodAcquire); e != nil {
			t.Fatalf("request %d: %v", i, e)
		}
	}
	e := ask(busy, methodAcquire)
	if e.GetCode() != api.Code_OVERLOADED || !e.GetDefinite() || e.GetRetryAfterMs() == 0 {
		t.Errorf("the flood: %v", e)
	}
	if e := ask(busy, methodRelease); e != nil {
		t.Errorf("a release of the flood: %v", e)
	}
	for i := range crowdedCalls / 100 {
		if e := ask(calm, methodAcquire); e != nil {
			t.Errorf("request %d of another: %v", i, e)
		}
	}
	if e := ask(calm, methodAcquire); e.GetCode() != api.Code_OVERLOADED {
		t.Errorf("more than its share: %v", e)
	}
}
