package sim

import (
	"fmt"
	"slices"

	"github.com/conch-lock/conch/raftnode"
)

// quorums are who decides: a majority of the voters and, while members change, one
// of those before, too.
type quorums struct{ voters, outgoing []raftnode.NodeID }

func quorumsOf(s raftnode.Status) *quorums { return &quorums{s.Voters, s.Outgoing} }

// decide says whether the nodes of a set can decide.
func (q *quorums) decide(in func(raftnode.NodeID) bool) bool {
	majority := func(list []raftnode.NodeID) bool {
		n := 0
		for _, id := range list {
			if in(id) {
				n++
			}
		}
		return n > len(list)/2
	}
	return majority(q.voters) && (len(q.outgoing) == 0 || majority(q.outgoing))
}

// overlap tries all sets of nodes: it must not be that one decides by these
// members and all others by the next.
func (q *quorums) overlap(next *quorums) error {
	all := slices.Concat(q.voters, q.outgoing, next.voters, next.outgoing)
	slices.Sort(all)
	all = slices.Compact(all)
	for set := range uint32(1) << len(all) {
		of := func(want uint32) func(raftnode.NodeID) bool {
			return func(id raftnode.NodeID) bool { return set>>slices.Index(all, id)&1 == want }
		}
		if q.decide(of(1)) && next.decide(of(0)) {
			return fmt.Errorf("members %+v decide without those that come next, %+v: such as by the set %b of %v", *q, *next, set, all)
		}
	}
	return nil
}
