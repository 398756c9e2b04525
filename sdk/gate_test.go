package sdk

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestGateIsBoundedAndFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, 100)
		for range 2 {
			if err := g.enter(t.Context(), 10); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.enter(ctx, 10); err == nil {
			t.Fatal("a third got in")
		}
		order := make(chan int, 2)
		for i := range 2 {
			go func() {
				if err := g.enter(t.Context(), 500); err != nil { // larger than everything: counts as all
					t.Error(err)
				}
				order <- i
			}()
			synctest.Wait()
		}
		g.leave(10) // room for a small one, which does not pass the large ones
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.enter(ctx, 10); err == nil {
			t.Fatal("a small one passed the line")
		}
		g.leave(10)
		if i := <-order; i != 0 {
			t.Error("the second got in first")
		}
		g.leave(500)
		<-order
		g.leave(500)
		if g.room != 2 || g.bytes != 100 || len(g.line) != 0 {
			t.Errorf("room %d, bytes %d, %d in line", g.room, g.bytes, len(g.line))
		}
	})
}

func TestSequences(t *testing.T) {
	var q sequences
	for range 4 {
		q.next()
	}
	for _, step := range []struct{ resolve, acked uint64 }{{2, 0}, {1, 2}, {1, 2}, {4, 2}, {9, 2}, {3, 4}} {
		q.resolve(step.resolve)
		if q.acked != step.acked {
			t.Errorf("after %d: acknowledged %d, want %d", step.resolve, q.acked, step.acked)
		}
	}
	if q.next() != 5 || len(q.open) != 1 {
		t.Errorf("%d open", len(q.open))
	}
}
