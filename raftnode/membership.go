package raftnode

import (
	"fmt"
	"slices"

	"github.com/rs/zerolog"
	"go.etcd.io/raft/v3/raftpb"
)

// Bounds of a membership, far beyond what a group can have.
const (
	maxMembers = 128
	maxRemoved = 1 << 16
	maxName    = 64
	maxAddress = 255
)

// membership is who belongs to the group after a certain entry of the log, and the only source of it. It is kept in every
// snapshot, and changed only by applying entries.
type membership struct {
	// conf is raft's view: voters, learners, and the old voters while a change is under way.
	conf *raftpb.ConfState
	// names holds name and address of every node in conf, by rising id.
	names []Member
	// removed are the ids that left, rising: none of them can ever come back.
	removed []NodeID
}

// newMembership returns the membership a group begins with.
func newMembership(initial []Member) (membership, error) {
	m := membership{conf: &raftpb.ConfState{AutoLeave: new(bool)}, names: slices.Clone(initial)}
	slices.SortFunc(m.names, func(a, b Member) int { return compareIDs(a.ID, b.ID) })
	for _, n := range m.names {
		if n.Learner {
			return membership{}, fmt.Errorf("raftnode: initial member %q (%v) is a learner: a group begins with voters only", n.Name, n.ID)
		}
		if err := n.validate(); err != nil {
			return membership{}, err
		}
		m.conf.Voters = append(m.conf.Voters, uint64(n.ID))
	}
	return m, m.validate()
}

func compareIDs(a, b NodeID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// validate reports what is wrong with a member as given by a person.
func (m Member) validate() error {
	switch {
	case m.ID == 0 || m.ID >= maxNodeID:
		return fmt.Errorf("raftnode: member %q has the id %v: allowed are 1 to %x", m.Name, m.ID, uint64(maxNodeID-1))
	case len(m.Name) > maxName:
		return fmt.Errorf("raftnode: the name of member %v has %d bytes: allowed are %d", m.ID, len(m.Name), maxName)
	case len(m.Address) > maxAddress:
		return fmt.Errorf("raftnode: the address of member %v has %d bytes: allowed are %d", m.ID, len(m.Address), maxAddress)
	}
	return nil
}

// validate reports what would make raft refuse or break on the membership.
func (m membership) validate() error {
	for i := 1; i < len(m.names); i++ {
		if m.names[i].ID == m.names[i-1].ID {
			return fmt.Errorf("raftnode: member id %v is given twice (%q and %q)", m.names[i].ID, m.names[i-1].Name, m.names[i].Name)
		}
	}
	return validateConf(m.conf)
}

// applied returns the membership after a change that turned the configuration into conf. Whoever is in no part of it any
// more is gone for ever; a voter that leaves stays until the change has ended.
func (m membership) applied(cc *raftpb.ConfChangeV2, about Member, conf *raftpb.ConfState) membership {
	next := membership{conf: conf, removed: slices.Clone(m.removed)}
	for _, n := range m.names {
		if next.has(n.ID) {
			next.names = append(next.names, n)
		} else if i, found := slices.BinarySearch(next.removed, n.ID); !found && len(next.removed) < maxRemoved {
			next.removed = slices.Insert(next.removed, i, n.ID)
		}
	}
	for _, c := range cc.GetChanges() {
		id := NodeID(c.GetNodeId())
		at, found := next.find(id)
		if !found && next.has(id) {
			next.names = slices.Insert(next.names, at, Member{ID: id, Name: about.Name, Address: about.Address})
		}
	}
	return next
}

// members lists the members with what they are now.
func (m membership) members() []Member {
	list := slices.Clone(m.names)
	for i := range list {
		list[i].Learner = slices.Contains(m.conf.GetLearners(), uint64(list[i].ID))
	}
	return list
}

// log adds the names of the members to a line.
func (m membership) log(line *zerolog.Event) *zerolog.Event {
	for _, kind := range [...]struct {
		name string
		ids  []uint64
	}{{"voters", m.conf.GetVoters()}, {"outgoing", m.conf.GetVotersOutgoing()}, {"learners", m.conf.GetLearners()}, {"learners_next", m.conf.GetLearnersNext()}} {
		if len(kind.ids) == 0 {
			continue
		}
		names := zerolog.Arr()
		for _, id := range kind.ids {
			if at, found := m.find(NodeID(id)); found {
				names.Str(m.names[at].Name)
			}
		}
		line.Array(kind.name, names)
	}
	return line
}

// find says where a member is in names, or where it would be.
func (m membership) find(id NodeID) (at int, found bool) {
	return slices.BinarySearchFunc(m.names, id, func(m Member, id NodeID) int { return compareIDs(m.ID, id) })
}

func (m membership) has(id NodeID) bool {
	return m.voter(id) || slices.Contains(m.conf.GetLearners(), uint64(id)) || slices.Contains(m.conf.GetLearnersNext(), uint64(id))
}

func (m membership) voter(id NodeID) bool {
	return slices.Contains(m.conf.GetVoters(), uint64(id)) || slices.Contains(m.conf.GetVotersOutgoing(), uint64(id))
}

// otherVoter tells whether somebody else has a vote.
func (m membership) otherVoter(self NodeID) bool {
	return slices.ContainsFunc(m.conf.GetVoters(), func(id uint64) bool { return id != uint64(self) })
}

// majority tells whether some make a majority of the voters: of the old and of the new ones while a change is under way.
func (m membership) majority(who map[NodeID]bool) bool {
	of := func(voters []uint64) bool {
		n := 0
		for _, id := range voters {
			if who[NodeID(id)] {
				n++
			}
		}
		return n > len(voters)/2
	}
	return of(m.conf.GetVoters()) && (!m.joint() || of(m.conf.GetVotersOutgoing()))
}

func (m membership) learner(id NodeID) bool { return slices.Contains(m.conf.GetLearners(), uint64(id)) }

func (m membership) wasRemoved(id NodeID) bool {
	_, found := slices.BinarySearch(m.removed, id)
	return found
}

// joint tells whether a change has begun and not ended.
func (m membership) joint() bool { return len(m.conf.GetVotersOutgoing()) > 0 }
