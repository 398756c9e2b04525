package raftnode

import (
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

// membershipVersion is the first byte of an encoded membership.
const membershipVersion = 1

// encode writes the membership in a form that is the same for equal memberships: counts and ids as variable-length
// numbers, strings with their length before them.
func (m membership) encode() []byte {
	b := []byte{membershipVersion}
	for _, ids := range [][]uint64{m.conf.GetVoters(), m.conf.GetLearners(), m.conf.GetVotersOutgoing(), m.conf.GetLearnersNext()} {
		ids = slices.Clone(ids)
		slices.Sort(ids)
		b = binary.AppendUvarint(b, uint64(len(ids)))
		for _, id := range ids {
			b = binary.AppendUvarint(b, id)
		}
	}
	var autoLeave uint64
	if m.conf.GetAutoLeave() {
		autoLeave = 1
	}
	b = binary.AppendUvarint(b, autoLeave)
	b = binary.AppendUvarint(b, uint64(len(m.names)))
	for _, n := range m.names {
		b = binary.AppendUvarint(b, uint64(n.ID))
		b = appendString(b, n.Name)
		b = appendString(b, n.Address)
	}
	b = binary.AppendUvarint(b, uint64(len(m.removed)))
	for _, id := range m.removed {
		b = binary.AppendUvarint(b, uint64(id))
	}
	return b
}

// decodeMembership is the inverse of encode; it refuses what encode would not write and what raft could not use.
func decodeMembership(b []byte) (membership, error) {
	if len(b) == 0 || b[0] != membershipVersion {
		return membership{}, fmt.Errorf("raftnode: a membership of %d bytes in an unknown form: this program knows version %d", len(b), membershipVersion)
	}
	d := decoder{rest: b[1:]}
	m := membership{conf: &raftpb.ConfState{}}
	for _, ids := range []*[]uint64{&m.conf.Voters, &m.conf.Learners, &m.conf.VotersOutgoing, &m.conf.LearnersNext} {
		for range d.count(maxMembers) {
			*ids = append(*ids, d.number())
		}
	}
	m.conf.AutoLeave = new(d.number() == 1)
	for range d.count(2 * maxMembers) {
		m.names = append(m.names, Member{ID: NodeID(d.number()), Name: d.text(maxName), Address: d.text(maxAddress)})
	}
	for range d.count(maxRemoved) {
		m.removed = append(m.removed, NodeID(d.number()))
	}
	if d.bad || len(d.rest) != 0 {
		return membership{}, fmt.Errorf("raftnode: a membership of %d bytes that does not add up", len(b))
	}
	return m, m.validate()
}
