package coordinator

import (
	"errors"
	"testing"
)

// TestTurn: however many ask, one function waits in the queue; who asks after it
// was run has another one, and an error is nobody's turn.
func TestTurn(t *testing.T) {
	var queue []func()
	do := func(f func()) error { queue = append(queue, f); return nil }
	var all turn
	asked := func() <-chan struct{} {
		t.Helper()
		c, err := all.after(do)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	over := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	var first []<-chan struct{}
	for range 1000 {
		first = append(first, asked())
	}
	if len(queue) != 1 {
		t.Fatalf("%d functions are in the queue", len(queue))
	}
	queue[0]()
	second := asked()
	for _, c := range first {
		if !over(c) {
			t.Fatal("one who asked before waits still")
		}
	}
	if over(second) || len(queue) != 2 {
		t.Fatalf("who asks afterwards has the turn of before, with %d functions", len(queue))
	}
	queue[1]()
	if !over(second) {
		t.Error("the second turn came, and was not told")
	}
	busy := errors.New("busy")
	if _, err := all.after(func(func()) error { return busy }); err != busy {
		t.Errorf("error %v", err)
	}
	if c := asked(); over(c) || len(queue) != 3 {
		t.Error("after an error nobody asks any more")
	}
}
