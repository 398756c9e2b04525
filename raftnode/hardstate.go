package raftnode

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
)

// The hard state on disk: a version byte, then term, vote and commit as 64-bit little-endian numbers.
const (
	hardStateVersion = 1
	hardStateBytes   = 1 + 3*8
)

// appendHardState appends the encoded state to b.
func appendHardState(b []byte, s *raftpb.HardState) []byte {
	b = append(b, hardStateVersion)
	b = binary.LittleEndian.AppendUint64(b, s.GetTerm())
	b = binary.LittleEndian.AppendUint64(b, s.GetVote())
	return binary.LittleEndian.AppendUint64(b, s.GetCommit())
}

// parseHardState is the inverse of appendHardState; nothing at all is the empty state.
func parseHardState(b []byte) (*raftpb.HardState, error) {
	if len(b) == 0 {
		return newHardState(0, 0, 0), nil
	}
	if len(b) != hardStateBytes || b[0] != hardStateVersion {
		return nil, fmt.Errorf("raftnode: a hard state of %d bytes and version %d: this program knows %d bytes and version %d",
			len(b), b[0], hardStateBytes, hardStateVersion)
	}
	return newHardState(
		binary.LittleEndian.Uint64(b[1:]),
		binary.LittleEndian.Uint64(b[9:]),
		binary.LittleEndian.Uint64(b[17:])), nil
}

func newHardState(term, vote, commit uint64) *raftpb.HardState {
	return &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}
}
