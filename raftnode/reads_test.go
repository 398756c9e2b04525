package raftnode

import (
	"errors"
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3"
)

func TestReadRounds(t *testing.T) {
	r := reads{retry: 100 * time.Millisecond, timeout: time.Second, limit: 10, start: 5}
	var answers []string
	read := func(name string) func(error) {
		return func(err error) {
			if err != nil {
				name += ": " + err.Error()
			}
			answers = append(answers, name)
		}
	}
	r.add(0, []func(error){read("a")})
	first := slices.Clone(r.next(0))
	r.add(0, []func(error){read("b")})
	if ctx := r.next(50 * time.Millisecond); ctx != nil {
		t.Fatalf("a second round began while the first was under way: %x", ctx)
	}
	// No answer: the next try has another context, and takes everybody along.
	second := slices.Clone(r.next(100 * time.Millisecond))
	if second == nil || slices.Equal(first, second) {
		t.Fatalf("the round is tried again with context %x after %x", second, first)
	}
	r.add(0, []func(error){read("c")})
	// The answer to the first try comes late: it says nothing about b.
	r.confirm([]raft.ReadState{{Index: 3, RequestCtx: first}})
	r.release(100)
	if len(answers) != 0 {
		t.Fatalf("an old answer confirmed %q", answers)
	}
	r.confirm([]raft.ReadState{{Index: 7, RequestCtx: second}})
	r.release(6)
	if len(answers) != 0 {
		t.Fatalf("answered before entry 7 was applied: %q", answers)
	}
	r.release(7)
	if !slices.Equal(answers, []string{"a", "b"}) {
		t.Fatalf("after entry 7: %q", answers)
	}
	r.expire(2 * time.Second)
	if len(answers) != 3 || r.count() != 0 {
		t.Errorf("after the time is over: %q, %d wait", answers, r.count())
	}
	r.add(0, []func(error){read("d")})
	r.fail(errors.New("over"))
	if answers[len(answers)-1] != "d: over" {
		t.Errorf("at the end: %q", answers)
	}
}
