package coordinator

import (
	"time"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/record"
)

// How often a node tells the others of itself, and from what age on what it told
// is not believed any more: four of them lost or late, so that a node that is
// gone is called healthy for a second and one that is slow is not called gone.
const (
	newsEvery = 250 * time.Millisecond
	newsOld   = 1100 * time.Millisecond
)

// nodes is what the nodes of the cell told of themselves.
type nodes struct {
	news map[raftnode.NodeID]news
}

// news is how a node was when it told.
type news struct {
	endpoint string // of its client port
	version  string
	role     raftnode.Role
	term     uint64
	applied  uint64
	at       time.Duration // when it came, on this node's clock
}

func (n *news) append(b []byte) []byte {
	b = record.AppendString(b, n.endpoint)
	b = record.AppendString(b, n.version)
	b = append(b, byte(n.role))
	b = record.AppendUint(b, n.term)
	return record.AppendUint(b, n.applied)
}

// takeNews keeps what another node told. Bytes that follow what is known are
// those of a later version.
func (l *loop) takeNews(from raftnode.NodeID, r *record.Reader) {
	n := news{endpoint: r.String(), version: r.String(), role: raftnode.Role(r.Byte()), term: r.Uint(), applied: r.Uint(), at: l.now()}
	if r.Err() != nil || len(n.endpoint) > 255 || len(n.version) > 255 || n.role > raftnode.Learner {
		return
	}
	if len(l.nodes.news) >= 256 && l.nodes.news[from].at == 0 {
		return
	}
	old := l.nodes.news[from]
	l.nodes.news[from] = n
	if old.endpoint != n.endpoint && from == l.cell.Leader() {
		l.pushHint()
	}
}

// own is how this node is.
func (l *loop) own() news {
	s := l.group.Status()
	applied, _ := l.machine().Applied()
	n := news{endpoint: l.cfg.AdvertiseClient, version: l.version, role: s.Role, term: s.Term, applied: applied, at: l.now()}
	if l.cell.Leading() {
		n.role = raftnode.Leader
	}
	return n
}

// tellNews tells all others how this node is.
func (l *loop) tellNews(now time.Duration) {
	l.newsAt = now
	n := l.own()
	b := n.append([]byte{messageNews})
	for _, m := range l.group.Status().Members {
		if m.ID != l.self {
			l.group.Send(m.ID, b) // it comes again soon
		}
	}
}

func (l *loop) sweepNodes(now time.Duration) {
	if now-l.newsAt >= newsEvery {
		l.tellNews(now)
		for id, n := range l.nodes.news {
			if now-n.at > time.Minute {
				delete(l.nodes.news, id)
			}
		}
	}
}

// nameOf is the name of a member; its id where the name is not known.
func (l *loop) nameOf(id raftnode.NodeID) string {
	if id == 0 {
		return ""
	}
	if id == l.self {
		return l.node
	}
	for _, m := range l.group.Status().Members {
		if m.ID == id {
			return m.Name
		}
	}
	return id.String()
}

// leaderHint says where the leader is, as far as this node knows.
func (l *loop) leaderHint() *api.LeaderHint {
	id := l.cell.Leader()
	h := &api.LeaderHint{Node: l.nameOf(id)}
	if id == l.self {
		h.Endpoint = l.cfg.AdvertiseClient
	} else if id != 0 {
		h.Endpoint = l.nodes.news[id].endpoint
	}
	return h
}

// pushHint tells all streams where the leader is, if that changed.
func (l *loop) pushHint() {
	h := l.leaderHint()
	if h.Node == l.hint.GetNode() && h.Endpoint == l.hint.GetEndpoint() {
		return
	}
	l.hint = h
	r := &api.Response{Result: &api.Response_Leader{Leader: h}}
	for st := range l.streams {
		st.tell(r)
	}
}
