package raftnode

import (
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// news holds back the messages that tell a peer of a commit and nothing else. Most are overtaken by the next round, which
// tells it too; the others go out when the delay is over. Raft does without any of them: a heartbeat tells the same.
type news struct {
	held []*raftpb.Message // at most one a peer, in order of their coming
	due  time.Duration     // of the first
}

// hold takes a message if it may wait, in place of an older one to the same peer.
func (n *news) hold(now, delay time.Duration, m *raftpb.Message) {
	n.drop(m.GetTo())
	if len(n.held) == 0 {
		n.due = now + delay
	}
	n.held = append(n.held, m)
}

// drop forgets what is held for a peer.
func (n *news) drop(to uint64) {
	for i, h := range n.held {
		if h.GetTo() == to {
			n.held = append(n.held[:i], n.held[i+1:]...)
			return
		}
	}
}

// clear forgets everything.
func (n *news) clear() {
	clear(n.held)
	n.held = n.held[:0]
}

// tell sends the news whose time has come.
func (r *Replica) tell(now time.Duration) {
	if len(r.news.held) == 0 || now < r.news.due {
		return
	}
	for _, m := range r.news.held {
		r.send(m)
	}
	r.news.clear()
}

// patient tells whether a message has nothing but news of a commit and is for a peer that can wait for it.
func (r *Replica) patient(m *raftpb.Message) bool {
	return r.leading && m.GetType() == raftpb.MsgApp && len(m.GetEntries()) == 0 && !r.cfg.Machine.Eager(NodeID(m.GetTo()))
}
