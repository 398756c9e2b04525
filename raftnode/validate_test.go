package raftnode

import (
	"errors"
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// badMessages are messages no correct peer sends, from node 2 to a node 1 whose log ends soon.
func badMessages() map[string]*raftpb.Message {
	msg := func(kind raftpb.MessageType, change func(*raftpb.Message)) *raftpb.Message {
		m := &raftpb.Message{Type: kind.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(50))}
		if change != nil {
			change(m)
		}
		return m
	}
	entry := func(index, term uint64, kind raftpb.EntryType, data string) *raftpb.Entry {
		return &raftpb.Entry{Index: &index, Term: &term, Type: &kind, Data: []byte(data)}
	}
	conf := func(change func(*raftpb.ConfState)) *raftpb.Message {
		cs := &raftpb.ConfState{Voters: []uint64{1, 2, 3}, AutoLeave: new(bool)}
		change(cs)
		return msg(raftpb.MsgSnap, func(m *raftpb.Message) {
			m.Snapshot = &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: new(uint64(900)), Term: new(uint64(2)), ConfState: cs}}
		})
	}
	return map[string]*raftpb.Message{
		"nothing":                    nil,
		"heartbeat beyond the log":   msg(raftpb.MsgHeartbeat, func(m *raftpb.Message) { m.Commit = new(uint64(1000)) }),
		"heartbeat of short context": msg(raftpb.MsgHeartbeat, func(m *raftpb.Message) { m.Context = []byte("abc") }),
		"answer of short context":    msg(raftpb.MsgHeartbeatResp, func(m *raftpb.Message) { m.Context = []byte("abc") }),
		"proposal":                   msg(raftpb.MsgProp, nil),
		"proposal without term":      msg(raftpb.MsgProp, func(m *raftpb.Message) { m.Term = nil }),
		"read without entries":       msg(raftpb.MsgReadIndex, func(m *raftpb.Message) { m.Term = nil }),
		"read answer, no entries":    msg(raftpb.MsgReadIndexResp, nil),
		"vote without term":          msg(raftpb.MsgVote, func(m *raftpb.Message) { m.Term = nil }),
		"vote of absurd term":        msg(raftpb.MsgVote, func(m *raftpb.Message) { m.Term = new(^uint64(0)) }),
		"vote for a made up reason":  msg(raftpb.MsgVote, func(m *raftpb.Message) { m.Context = []byte("please") }),
		"append with a gap": msg(raftpb.MsgApp, func(m *raftpb.Message) {
			m.Index, m.LogTerm = new(uint64(1)), new(uint64(1))
			m.Entries = []*raftpb.Entry{entry(2, 2, raftpb.EntryNormal, "x"), entry(5, 2, raftpb.EntryNormal, "y")}
		}),
		"append that goes back in terms": msg(raftpb.MsgApp, func(m *raftpb.Message) {
			m.Index, m.LogTerm = new(uint64(1)), new(uint64(3))
			m.Entries = []*raftpb.Entry{entry(2, 2, raftpb.EntryNormal, "x")}
		}),
		"append of a nil entry": msg(raftpb.MsgApp, func(m *raftpb.Message) {
			m.Index, m.LogTerm, m.Entries = new(uint64(1)), new(uint64(1)), []*raftpb.Entry{nil}
		}),
		"append of garbage as a change": msg(raftpb.MsgApp, func(m *raftpb.Message) {
			m.Index, m.LogTerm = new(uint64(1)), new(uint64(1))
			m.Entries = []*raftpb.Entry{entry(2, 2, raftpb.EntryConfChangeV2, "garbage")}
		}),
		"append of an unknown kind": msg(raftpb.MsgApp, func(m *raftpb.Message) {
			m.Index, m.LogTerm = new(uint64(1)), new(uint64(1))
			m.Entries = []*raftpb.Entry{entry(2, 2, 77, "x")}
		}),
		"answer for entries not sent": msg(raftpb.MsgAppResp, func(m *raftpb.Message) { m.Index, m.Term = new(uint64(1000)), nil }),
		"snapshot without anything":   msg(raftpb.MsgSnap, nil),
		"snapshot without voters":     conf(func(cs *raftpb.ConfState) { cs.Voters = nil }),
		"snapshot with a voter twice": conf(func(cs *raftpb.ConfState) { cs.Voters = []uint64{1, 1, 2} }),
		"snapshot with node 0":        conf(func(cs *raftpb.ConfState) { cs.Voters = []uint64{0, 1, 2} }),
		"snapshot, voter and learner": conf(func(cs *raftpb.ConfState) { cs.Learners = []uint64{2} }),
		"snapshot, leaving nothing":   conf(func(cs *raftpb.ConfState) { cs.AutoLeave = new(true) }),
		"hup":                         msg(raftpb.MsgHup, nil),
		"beat":                        msg(raftpb.MsgBeat, nil),
		"transfer":                    msg(raftpb.MsgTransferLeader, nil),
		"unreachable":                 msg(raftpb.MsgUnreachable, nil),
		"snapshot status":             msg(raftpb.MsgSnapStatus, nil),
		"storage append":              msg(raftpb.MsgStorageAppend, nil),
		"storage answer":              msg(raftpb.MsgStorageAppendResp, nil),
		"forget leader":               msg(raftpb.MsgForgetLeader, nil),
		"unknown type":                msg(99, nil),
		"from nobody":                 msg(raftpb.MsgApp, func(m *raftpb.Message) { m.From = nil }),
		"from myself":                 msg(raftpb.MsgApp, func(m *raftpb.Message) { m.From = new(uint64(1)) }),
		"from a local thread":         msg(raftpb.MsgApp, func(m *raftpb.Message) { m.From = new(raft.LocalAppendThread) }),
		"to another":                  msg(raftpb.MsgApp, func(m *raftpb.Message) { m.To = new(uint64(3)) }),
		"answer of a stranger":        msg(raftpb.MsgVoteResp, func(m *raftpb.Message) { m.From = new(uint64(8)) }),
		"entries in a vote": msg(raftpb.MsgVote, func(m *raftpb.Message) {
			m.Entries = []*raftpb.Entry{entry(2, 2, raftpb.EntryNormal, "x")}
		}),
		"messages inside": msg(raftpb.MsgVote, func(m *raftpb.Message) { m.Responses = []*raftpb.Message{{}} }),
	}
}

// Every bad message is refused by name, by leaders and followers, and changes nothing.
func TestBadMessagesAreRefused(t *testing.T) {
	for name, m := range badMessages() {
		for _, lead := range []bool{true, false} {
			c := newCluster(t, 30, 3, smallTuning())
			l := c.leader()
			n := l
			if !lead {
				n = c.node(l.id%3 + 1)
			}
			from := NodeID(2)
			if m != nil {
				from = NodeID(m.GetFrom())
				if m.GetTo() == 1 {
					m.To = new(uint64(n.id))
				}
				if n.id == 2 && m.GetFrom() == 2 || name == "from myself" {
					m.From = new(uint64(n.id%3 + 1))
					if name == "from myself" {
						m.From = new(uint64(n.id))
					}
					from = NodeID(m.GetFrom())
				}
				if name == "to another" {
					m.To = new(uint64(n.id%3 + 1))
				}
				if name == "answer for entries not sent" {
					m.Term = new(n.replica.hard.GetTerm())
				}
			}
			err := messageCheck{
				self: n.id, term: n.replica.hard.GetTerm(), last: n.replica.log.last(), heartbeat: n.replica.heartbeat, members: n.replica.members,
			}.check(from, m)
			if !errors.Is(err, ErrBadMessage) {
				t.Errorf("%s: %v", name, err)
				continue
			}
			before := n.replica.Status()
			n.in.Messages = append(n.in.Messages, PeerMessage{From: from, Message: m})
			n.turn()
			if after := n.replica.Status(); after.Term != before.Term || after.Role != before.Role || after.Last != before.Last {
				t.Errorf("%s: it had an effect: %+v, then %+v", name, before, after)
			}
			if err != nil && from != 0 && m.GetType() != raftpb.MsgSnap && n.replica.refused == 0 {
				t.Errorf("%s: it was not counted", name)
			}
		}
	}
}

// A sender is who the connection says it is.
func TestSenderIsTheConnection(t *testing.T) {
	c := newCluster(t, 31, 3, smallTuning())
	m := &raftpb.Message{Type: raftpb.MsgVote.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(2))}
	if c.nodes[0].replica.checked(3, m) {
		t.Error("node 3 speaks for node 2")
	}
	if !c.nodes[0].replica.checked(2, m) {
		t.Error("node 2 does not speak for itself")
	}
}

// What raft itself sends always passes; all other tests rest on that.
func TestGoodMessagesPass(t *testing.T) {
	for seed := range uint64(5) {
		c := newCluster(t, seed, 3, snapshotTuning())
		c.loss = 0.1
		for range 30 {
			c.leader().propose("x", "y")
			c.run(200e6)
			l := c.leader()
			l.in.Reads = append(l.in.Reads, func(error) {})
			l.in.Transfers = []TransferRequest{{Done: func(error) {}}}
		}
		for _, n := range c.nodes {
			if n.replica.refused > 0 {
				t.Errorf("seed %d: node %v refused %d messages", seed, n.id, n.replica.refused)
			}
		}
	}
}
