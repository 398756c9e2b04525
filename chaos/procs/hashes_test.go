//go:build linux

package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// hashesOf are what nodes tell, n1 first; "-": it did not.
func hashesOf(told ...string) (out []sdk.NodeHash) {
	for i, h := range told {
		n := sdk.NodeHash{Name: []string{"n1", "n2", "n3"}[i], Hash: h}
		if h == "-" {
			n.Hash, n.Error = "", "it has not answered"
		}
		out = append(out, n)
	}
	return out
}

func TestOneHash(t *testing.T) {
	for name, c := range map[string]struct {
		told            []sdk.NodeHash
		gone            string
		complete, equal bool
	}{
		"the same":                     {hashesOf("a", "a", "a"), "", true, true},
		"the last has another":         {hashesOf("a", "a", "b"), "", true, false},
		"the first has another":        {hashesOf("b", "a", "a"), "", true, false},
		"one is missing":               {hashesOf("a", "a"), "", false, true},
		"one has not answered":         {hashesOf("a", "-", "a"), "", false, false},
		"one says nothing":             {hashesOf("a", "a", ""), "", false, false},
		"nobody says anything":         {hashesOf("", "", ""), "", false, true},
		"who has not answered is gone": {hashesOf("a", "-", "a"), "n2", true, true},
		"another one is gone":          {hashesOf("a", "-", "a"), "n3", false, false},
		"of those left one differs":    {hashesOf("-", "a", "b"), "n1", true, false},
	} {
		complete, equal := oneHash(c.told, 3, func(node string) bool { return node == c.gone })
		if complete != c.complete || complete && equal != c.equal {
			t.Errorf("%s: complete %v, equal %v", name, complete, equal)
		}
	}
}

// TestSameState: nodes are asked until all have answered, and differing or silent
// ones are violations.
func TestSameState(t *testing.T) {
	r := namedRunner(t, 3)
	answers := func(list ...[]sdk.NodeHash) func(context.Context) (sdk.Hashes, error) {
		return func(context.Context) (sdk.Hashes, error) {
			h := list[0]
			if len(list) > 1 {
				list = list[1:]
			}
			if h == nil {
				return sdk.Hashes{Nodes: hashesOf("a", "a", "a")}, errors.New("no answer")
			}
			return sdk.Hashes{Nodes: h, Equal: true}, nil // what the cell thinks of it does not count
		}
	}
	within, stop := context.WithTimeout(t.Context(), 30*time.Second) // when they are not taken for the same, or for different
	defer stop()
	want(t, r.sameState(within, answers(nil, hashesOf("a", "-", "b"), hashesOf("a", "a", "a"))), "")
	want(t, r.sameState(within, answers(hashesOf("a", "a", "b"))), "different states")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	want(t, r.sameState(over, answers(hashesOf("a", "a", "-"))), "not every node told")
	want(t, r.sameState(over, answers(nil)), "no answer")
	r.dead[2].Store(true)
	want(t, r.sameState(over, answers(hashesOf("a", "a", "-"))), "")
	want(t, r.sameState(over, answers(hashesOf("a", "b", "-"))), "different states")
	if found := r.sameState(over, answers(hashesOf("-", "a", "b"))); len(found) != 1 || !strings.Contains(found[0], "n1") {
		t.Errorf("found %q: want what n1 has told in it", found)
	}
}
