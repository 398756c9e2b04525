package raftnode

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/conch-lock/conch/internal/planted"
)

// maxTerm is a term no group reaches: past it the arithmetic of raft could wrap around.
const maxTerm = 1 << 62

// transferContext marks, in raft, the vote request of a node that was told to take over.
const transferContext = "CampaignTransfer"

// messageCheck is what the replica knows when a message of a peer arrives; check uses it to refuse every message that a
// correct peer cannot have sent. Raft trusts its peers: on many such messages it panics.
type messageCheck struct {
	self NodeID
	// term is this replica's term: messages of an older one are ignored by raft whatever they say.
	term uint64
	// last is the end of the log on disk. What a leader takes for replicated here was acknowledged from here, so it
	// cannot lie beyond.
	last uint64
	// heartbeat is the highest context sent with a heartbeat in this term.
	heartbeat uint64
	members   membership
}

// check returns an error that wraps ErrBadMessage and says what is wrong with m, or nil.
func (c messageCheck) check(from NodeID, m *raftpb.Message) error {
	if m == nil {
		return fmt.Errorf("%w: empty", ErrBadMessage)
	}
	if err := c.checkEnvelope(from, m); err != nil {
		return fmt.Errorf("%w: %v from %v to %x, term %d: %w", ErrBadMessage, m.GetType(), from, m.GetTo(), m.GetTerm(), err)
	}
	if err := c.checkContent(from, m); err != nil {
		return fmt.Errorf("%w: %v from %v, term %d: %w", ErrBadMessage, m.GetType(), from, m.GetTerm(), err)
	}
	return nil
}

// checkEnvelope checks who speaks to whom, and the term.
func (c messageCheck) checkEnvelope(from NodeID, m *raftpb.Message) error {
	switch sender := NodeID(m.GetFrom()); {
	case sender != from:
		return fmt.Errorf("it names %v as its sender", sender)
	case sender == 0 || sender >= maxNodeID || sender == c.self:
		return fmt.Errorf("no peer has the id %v", sender)
	case NodeID(m.GetTo()) != c.self:
		return fmt.Errorf("it is not for this node, %v", c.self)
	case c.members.wasRemoved(sender) && !planted.On(planted.RemovedMemberHeard):
		return fmt.Errorf("that node was removed from the group")
	case m.GetType() == raftpb.MsgReadIndex && m.GetTerm() != 0:
		return fmt.Errorf("a read carries no term")
	case m.GetType() != raftpb.MsgReadIndex && (m.GetTerm() == 0 || m.GetTerm() > maxTerm):
		return fmt.Errorf("no such term")
	case len(m.GetResponses()) != 0:
		return fmt.Errorf("it carries %d messages inside", len(m.GetResponses()))
	case m.GetType() != raftpb.MsgSnap && m.GetSnapshot() != nil:
		return fmt.Errorf("it carries a snapshot")
	case m.GetType() != raftpb.MsgApp && m.GetType() != raftpb.MsgReadIndex && m.GetType() != raftpb.MsgReadIndexResp && len(m.GetEntries()) != 0:
		return fmt.Errorf("it carries %d entries", len(m.GetEntries()))
	}
	return nil
}

// checkContent checks what a message of its type must look like. Requests of leaders and candidates are taken from any
// node of the cluster: a replica that lags does not know the newest members yet. Answers and reads come from members.
func (c messageCheck) checkContent(from NodeID, m *raftpb.Message) error {
	switch m.GetType() {
	case raftpb.MsgApp:
		return c.checkAppend(m)
	case raftpb.MsgSnap:
		return c.checkSnapshot(m)
	case raftpb.MsgHeartbeat:
		if m.GetTerm() >= c.term && m.GetCommit() > c.last {
			return fmt.Errorf("commit %d lies beyond the log, which ends at %d", m.GetCommit(), c.last)
		}
		return checkContext(m.GetContext())
	case raftpb.MsgVote, raftpb.MsgPreVote:
		if s := string(m.GetContext()); s != "" && s != transferContext {
			return fmt.Errorf("unknown reason %.32q", s)
		}
		return nil
	case raftpb.MsgTimeoutNow, raftpb.MsgVoteResp, raftpb.MsgPreVoteResp:
		return c.checkMember(from)
	case raftpb.MsgAppResp:
		return c.checkAppendAnswer(from, m)
	case raftpb.MsgHeartbeatResp:
		return c.checkHeartbeatAnswer(from, m)
	case raftpb.MsgReadIndex, raftpb.MsgReadIndexResp:
		if n := len(m.GetEntries()); n != 1 || m.GetEntries()[0] == nil || len(m.GetEntries()[0].GetData()) != readContextBytes {
			return fmt.Errorf("%d entries: expected is one with a context of %d bytes", n, readContextBytes)
		}
		return c.checkMember(from)
	}
	return fmt.Errorf("type %d does not travel between nodes", m.GetType())
}

func (c messageCheck) checkMember(from NodeID) error {
	if !c.members.has(from) {
		return fmt.Errorf("not a member of the group")
	}
	return nil
}

// checkAppend checks that the entries continue the log they are said to follow.
func (c messageCheck) checkAppend(m *raftpb.Message) error {
	index, term := m.GetIndex(), m.GetLogTerm()
	if term > m.GetTerm() {
		return fmt.Errorf("entries after one of term %d", term)
	}
	if index > 1<<62 {
		return fmt.Errorf("entries after index %d", index)
	}
	for _, e := range m.GetEntries() {
		switch {
		case e == nil:
			return fmt.Errorf("no entry after index %d", index)
		case e.GetIndex() != index+1:
			return fmt.Errorf("entry %d follows entry %d", e.GetIndex(), index)
		case e.GetTerm() < term || e.GetTerm() > m.GetTerm() || e.GetTerm() == 0:
			return fmt.Errorf("entry %d has term %d after one of term %d", e.GetIndex(), e.GetTerm(), term)
		}
		if err := checkEntry(e); err != nil {
			return fmt.Errorf("entry %d: %w", e.GetIndex(), err)
		}
		index, term = e.GetIndex(), e.GetTerm()
	}
	return nil
}

// checkEntry checks that an entry can be applied.
func checkEntry(e *raftpb.Entry) error {
	if e.GetType() == raftpb.EntryNormal {
		return nil
	}
	_, err := parseChange(e)
	return err
}

// parseChange returns the change of members in an entry.
func parseChange(e *raftpb.Entry) (*raftpb.ConfChangeV2, error) {
	switch e.GetType() {
	case raftpb.EntryConfChange:
		one := &raftpb.ConfChange{}
		if err := proto.Unmarshal(e.GetData(), one); err != nil {
			return nil, fmt.Errorf("change of members: %w", err)
		}
		return one.AsV2(), validateChange(one.AsV2())
	case raftpb.EntryConfChangeV2:
		cc := &raftpb.ConfChangeV2{}
		if err := proto.Unmarshal(e.GetData(), cc); err != nil {
			return nil, fmt.Errorf("change of members: %w", err)
		}
		return cc, validateChange(cc)
	}
	return nil, fmt.Errorf("unknown type %d", e.GetType())
}

// checkSnapshot checks what a snapshot says about itself; its content is checked as a file.
func (c messageCheck) checkSnapshot(m *raftpb.Message) error {
	meta := m.GetSnapshot().GetMetadata()
	if meta.GetIndex() == 0 || meta.GetTerm() == 0 || meta.GetTerm() > m.GetTerm() || meta.GetIndex() > 1<<62 {
		return fmt.Errorf("snapshot at index %d of term %d", meta.GetIndex(), meta.GetTerm())
	}
	return validateConf(meta.GetConfState())
}

// checkAppendAnswer checks that a follower speaks of entries this leader has.
func (c messageCheck) checkAppendAnswer(from NodeID, m *raftpb.Message) error {
	if m.GetTerm() == c.term && (m.GetIndex() > c.last || m.GetRejectHint() > c.last) {
		return fmt.Errorf("it answers for entry %d (hint %d): the log ends at %d", m.GetIndex(), m.GetRejectHint(), c.last)
	}
	return c.checkMember(from)
}

// checkHeartbeatAnswer checks that the answer is to a heartbeat that was sent.
func (c messageCheck) checkHeartbeatAnswer(from NodeID, m *raftpb.Message) error {
	if err := checkContext(m.GetContext()); err != nil {
		return err
	}
	if n := contextNumber(m.GetContext()); m.GetTerm() == c.term && n > c.heartbeat {
		return fmt.Errorf("it answers heartbeat %d: the last one sent was %d", n, c.heartbeat)
	}
	return c.checkMember(from)
}

// checkContext checks the form of what raft attaches to a heartbeat that confirms reads.
func checkContext(b []byte) error {
	if len(b) != 0 && len(b) != 8 {
		return fmt.Errorf("a context of %d bytes: expected are 0 or 8", len(b))
	}
	return nil
}

// contextNumber reads a checked context; 0 when there is none.
func contextNumber(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}
