//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// sameState waits until every node tells the hash of its state, which hash asks
// them for, and compares.
func (r *runner) sameState(ctx context.Context, hash func(context.Context) (sdk.Hashes, error)) []string {
	for {
		h, err := hash(ctx)
		complete, equal := oneHash(h.Nodes, r.cfg.nodes, r.downForGood)
		switch {
		case err == nil && complete && equal:
			return nil
		case err == nil && complete:
			return []string{fmt.Sprintf("the nodes have different states: %+v", h.Nodes)}
		}
		select {
		case <-ctx.Done():
			return []string{fmt.Sprintf("not every node told the hash of its state: %+v: %v", h.Nodes, err)}
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// oneHash says whether all nodes but those that are gone have told the hash of
// their state, and whether it is the same.
func oneHash(told []sdk.NodeHash, nodes int, gone func(node string) bool) (complete, equal bool) {
	complete, equal = len(told) == nodes, true
	first := ""
	for _, n := range told {
		if gone(n.Name) {
			continue
		}
		complete = complete && n.Error == "" && n.Hash != ""
		if first == "" {
			first = n.Hash
		}
		equal = equal && n.Hash == first
	}
	return complete, equal
}
