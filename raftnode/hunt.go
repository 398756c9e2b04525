package raftnode

import (
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/conch-lock/conch/internal/planted"
)

// huntAttempts bounds how often a replica asks for an election by itself after it lost its leader; afterwards raft's own
// election timeout goes on.
const huntAttempts = 6

// hunt is the search for a new leader, mostly after the connection to the old one broke. Without it a follower would wait until
// the leader had been silent for a whole election time. Since every campaign begins with the question whether the others
// would vote, and they would not while they hear from their leader, a mistaken hunt disturbs nobody.
type hunt struct {
	left int           // attempts to go; 0: no hunt
	at   time.Duration // of the next one
	// What the lost leader had sent before may still come in, and must not be taken for a sign of life. A leader that
	// lives goes on sending.
	lost NodeID
	deaf time.Duration // until when such messages are ignored
}

// lost takes notice of a broken connection.
func (r *Replica) lost(now time.Duration, id NodeID) {
	if r.role == Leader {
		r.node.ReportUnreachable(uint64(id))
		return
	}
	if id != r.leader || r.role == Learner {
		return
	}
	r.cfg.Logger.Info().Stringer("leader", id).Msg("the connection to the leader broke")
	r.seek(now, id)
}

// seek looks for a new leader in place of the one that was lost.
func (r *Replica) seek(now time.Duration, id NodeID) {
	// Forgetting the leader also allows this replica to vote for another at once.
	if err := r.node.ForgetLeader(); err != nil {
		return
	}
	r.hunt = hunt{left: huntAttempts, at: now + r.jitter(), lost: id, deaf: now + r.cfg.Tuning.Tick}
}

// refusedForTerm takes notice that an election was refused by somebody who knows of a newer term. Raft takes that term over
// and waits for another election time, but this replica may be the only one whose log the others would vote for: it asks
// once more, soon. What is refused again in the same term was refused for the log.
func (r *Replica) refusedForTerm(now time.Duration) {
	if r.hunt.left == 0 {
		r.hunt = hunt{left: 1, at: now + r.jitter()}
	}
}

// fromTheLost tells whether a message is a late one of the leader whose connection broke.
func (r *Replica) fromTheLost(now time.Duration, from NodeID, m *raftpb.Message) bool {
	return r.hunt.left > 0 && from == r.hunt.lost && now < r.hunt.deaf && m.GetTerm() <= r.hard.GetTerm() &&
		(m.GetType() == raftpb.MsgHeartbeat || m.GetType() == raftpb.MsgApp)
}

// deposed tells whether a message shows that its sender, whom this replica takes for its leader, does not lead any more: it
// asks to be elected. It may have been restarted sooner than anybody noticed. Without this, whatever of its time as a leader
// is still on its way would keep this replica from voting, for it or for anybody.
func (r *Replica) deposed(from NodeID, m *raftpb.Message) bool {
	switch m.GetType() {
	case raftpb.MsgPreVote, raftpb.MsgVote:
		s := r.node.BasicStatus()
		return NodeID(s.Lead) == from && m.GetTerm() > s.GetTerm() && !planted.On(planted.FormerLifeBelieved)
	}
	return false
}

func (r *Replica) jitter() time.Duration {
	return time.Duration(r.cfg.Rand.Int64N(int64(r.cfg.Tuning.CampaignJitter) + 1))
}

// campaign asks for an election when the time for that has come.
func (r *Replica) campaign(now time.Duration) {
	if r.hunt.left == 0 || now < r.hunt.at {
		return
	}
	if st := r.node.BasicStatus(); st.Lead != 0 || r.role == Learner {
		r.hunt = hunt{}
		return
	}
	r.hunt.left--
	r.hunt.at = now + 2*r.cfg.Tuning.Tick + r.jitter()
	_ = r.node.Campaign() // fails only where an election is impossible anyway
}
