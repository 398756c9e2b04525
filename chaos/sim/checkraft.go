package sim

import (
	"fmt"
	"slices"

	"github.com/conch-lock/conch/raftnode"
)

// logCheck holds that all nodes apply the same entries.
type logCheck struct {
	sums  []uint64 // of each entry, by index
	terms []uint64
}

// apply takes an entry that a node applies; first says that nobody applied it
// before.
func (c *logCheck) apply(n raftnode.NodeID, index, term, sum uint64) (first bool, err error) {
	if len(c.sums) == 0 {
		c.sums, c.terms = []uint64{0, 0}, []uint64{0, 1} // every group begins with a snapshot at index 1
	}
	switch {
	case index < uint64(len(c.sums)):
		if c.sums[index] != sum || c.terms[index] != term {
			return false, fmt.Errorf("node %v applies another entry %d (term %d) than was applied before (term %d)", n, index, term, c.terms[index])
		}
		return false, nil
	case index > uint64(len(c.sums)):
		return false, fmt.Errorf("node %v applies entry %d, nobody applied entry %d", n, index, len(c.sums))
	case term < c.terms[index-1]:
		return false, fmt.Errorf("entry %d has term %d after term %d", index, term, c.terms[index-1])
	}
	c.sums, c.terms = append(c.sums, sum), append(c.terms, term)
	return true, nil
}

// newest is the term of the newest entry.
func (c *logCheck) newest() uint64 {
	if len(c.terms) == 0 {
		return 0
	}
	return c.terms[len(c.terms)-1]
}

// raftCheck holds what every group keeps to.
type raftCheck struct {
	leaders map[uint64]raftnode.NodeID // by term
	removed map[raftnode.NodeID]bool
	newest  []raftnode.Member
	term    uint64 // of the leader who knows them so
	at      uint64 // the entry that it had applied
	spoken  map[raftnode.NodeID]word
}

// word is what a node gave others to count on, whatever becomes of its process.
type word struct {
	term uint64
	vote raftnode.NodeID // in that term; 0: none
}

func newRaftCheck() raftCheck {
	return raftCheck{leaders: map[uint64]raftnode.NodeID{}, removed: map[raftnode.NodeID]bool{}, spoken: map[raftnode.NodeID]word{}}
}

// promised takes a promise that a node makes in a term, with its vote, or 0: it
// never goes back to an earlier term, and votes for one in each.
func (c *raftCheck) promised(n raftnode.NodeID, term uint64, vote raftnode.NodeID) error {
	was := c.spoken[n]
	switch {
	case term < was.term:
		return fmt.Errorf("node %v promises something in term %d after it had done so in term %d", n, term, was.term)
	case term > was.term:
		was = word{term: term}
	case vote != 0 && was.vote != 0 && vote != was.vote:
		return fmt.Errorf("node %v votes for node %v in term %d, and did for node %v", n, vote, term, was.vote)
	}
	if vote != 0 {
		was.vote = vote
	}
	c.spoken[n] = was
	return nil
}

// lead: a term has one leader, who is not one of those removed when all that it
// has applied was applied.
func (c *raftCheck) lead(n raftnode.NodeID, term uint64) error {
	if other, ok := c.leaders[term]; ok && other != n {
		return fmt.Errorf("nodes %v and %v lead in term %d", other, n, term)
	}
	c.leaders[term] = n
	return nil
}

// complete: a leader has applied everything that was committed in earlier terms.
func complete(l *logCheck, n raftnode.NodeID, term, applied uint64) error {
	for i := uint64(len(l.terms)) - 1; i > applied && len(l.terms) > 0; i-- {
		if l.terms[i] < term {
			return fmt.Errorf("node %v leads in term %d and lacks entry %d of term %d, which was applied", n, term, i, l.terms[i])
		}
	}
	return nil
}

// members takes the members as a leader knows them after it applied an entry;
// what an older leader knows is out of date. Whoever left never comes back.
func (c *raftCheck) members(term, applied uint64, members []raftnode.Member) error {
	if term < c.term || term == c.term && applied < c.at {
		return nil
	}
	for _, m := range members {
		if c.removed[m.ID] {
			return fmt.Errorf("node %v, which was removed, is a member again at entry %d", m.ID, applied)
		}
	}
	for _, m := range c.newest {
		if !slices.ContainsFunc(members, func(x raftnode.Member) bool { return x.ID == m.ID }) {
			c.removed[m.ID] = true
		}
	}
	c.term, c.at, c.newest = term, applied, members
	return nil
}

// snapshotCheck holds that snapshots of two nodes at one entry are the same
// bytes, and that a state put back from one is that state.
type snapshotCheck struct{ sums map[uint64]uint64 }

// taken takes the checksum of a snapshot's bytes.
func (c *snapshotCheck) taken(n raftnode.NodeID, index, sum uint64) error {
	known, ok := c.sums[index]
	if ok && known != sum {
		return fmt.Errorf("node %v has another snapshot at entry %d than others have", n, index)
	}
	c.sums[index] = sum
	return nil
}
