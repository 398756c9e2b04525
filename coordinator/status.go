package coordinator

import (
	"fmt"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/raftnode"
)

// status answers with what this node knows of the cell, at once: it is there to
// be asked when nothing else works.
func (l *loop) status(c *call) {
	m, s := l.machine(), l.group.Status()
	r := &api.StatusResponse{
		Cell: l.name, Revision: m.Store().Revision(), Leader: l.nameOf(l.cell.Leader()), Node: l.node,
		Sessions: uint64(m.Sessions().Len()), Locks: uint64(m.Locks().Locked()), Waiters: uint64(m.Locks().Waiting()),
		StateBytes: uint64(m.Store().Bytes()), CompactedRevision: m.Store().Compacted(), QuotaBytes: uint64(l.cfg.Limits.Store.QuotaBytes),
		Elections: uint64(m.Elections().Led()), Candidates: uint64(m.Elections().Waiting()),
	}
	for _, member := range s.Members {
		r.Nodes = append(r.Nodes, l.nodeStatus(member))
	}
	l.reply(c, &api.Response{Result: &api.Response_Status{Status: r}})
}

// nodeStatus is a member as it told last; one that has not told lately is not
// healthy.
func (l *loop) nodeStatus(m raftnode.Member) *api.NodeStatus {
	n, told := l.nodes.news[m.ID]
	if m.ID == l.self {
		n, told = l.own(), true
	}
	r := &api.NodeStatus{Name: m.Name, Id: idText(m.ID), Peer: m.Address, Role: "unknown"}
	if !told {
		return r
	}
	r.Endpoint, r.Version, r.Term, r.Applied = n.endpoint, n.version, n.term, n.applied
	age := l.now() - n.at
	r.HeardMs = uint64(age.Milliseconds())
	if age <= newsOld {
		r.Healthy = true
		r.Role = n.role.String()
	}
	return r
}

// idText is the id of a node for people: sixteen hexadecimal digits.
func idText(id raftnode.NodeID) string { return fmt.Sprintf("%016x", uint64(id)) }
