package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/conch-lock/conch/raftnode"
)

// network is the links between all nodes, and between clients and nodes.
type network struct {
	rng                *rand.Rand
	loss, tail, double float64
	steady             bool                                 // every message takes as long
	cut                map[[2]raftnode.NodeID]time.Duration // one way, until then
	arriving           []arrival                            // of stale messages, the last ten seconds' at least
	spare              []*letter                            // that were read
}

func newNetwork(rng *rand.Rand) network {
	n := network{rng: rng, cut: map[[2]raftnode.NodeID]time.Duration{}}
	n.calm()
	return n
}

// staleAfter is from when on a message is stale that an election or a write
// waits for, or that keeps somebody from voting: whoever gets a leader's believes
// for another election that it is well.
const staleAfter = 100 * time.Millisecond

// arrival is when a stale message should have come, or when it does.
type arrival struct {
	at     time.Duration
	leader raftnode.NodeID // it is a leader's, who would say so itself if it led no more; 0: anybody's
}

// stale notes when such a message should have arrived, and when it does.
func (n *network) stale(now, after time.Duration, m *raftpb.Message) {
	if after < staleAfter {
		return
	}
	leader := raftnode.NodeID(0)
	switch m.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat:
		leader = raftnode.NodeID(m.GetFrom())
	case raftpb.MsgAppResp, raftpb.MsgVote, raftpb.MsgVoteResp, raftpb.MsgPreVote, raftpb.MsgPreVoteResp:
	default:
		return
	}
	if len(n.arriving)+2 > cap(n.arriving) {
		n.arriving = slices.DeleteFunc(n.arriving, func(a arrival) bool { return a.at < now-10*time.Second })
	}
	// It is missed when it should have come, and may do harm when it does.
	n.arriving = append(n.arriving, arrival{now + staleAfter, 0}, arrival{now + after, leader})
}

// lastStale is when the last of them arrived before a moment, no earlier than
// since. A leader's harms nobody when who sent it is well: it leads, or asks to be
// elected.
func (n *network) lastStale(since, before time.Duration, well func(raftnode.NodeID) bool) time.Duration {
	for _, a := range n.arriving {
		if a.at > since && a.at <= before && (a.leader == 0 || !well(a.leader)) {
			since = a.at
		}
	}
	return since
}

func (n *network) calm() { n.loss, n.tail, n.double = 0.001, 0.001, 0.001 }

func (n *network) chance(p float64) bool { return n.rng.Float64() < p }

// delay is how long a message takes on any link: now and then very long, so
// that others overtake it.
func (n *network) delay() time.Duration {
	if n.steady {
		return time.Millisecond
	}
	if n.chance(n.tail) {
		return between(n.rng, time.Millisecond, 3*time.Second)
	}
	return between(n.rng, 50*time.Microsecond, 2*time.Millisecond)
}

func (w *world) isCut(from, to raftnode.NodeID) bool {
	return len(w.net.cut) > 0 && w.now < w.net.cut[[2]raftnode.NodeID{from, to}]
}

// cutFor cuts a link one way.
func (w *world) cutFor(from, to raftnode.NodeID, d time.Duration) {
	link := [2]raftnode.NodeID{from, to}
	w.net.cut[link] = max(w.net.cut[link], w.now+d)
}

// most is how many messages wait at a node until its socket buffers are full.
const most = 4096

// arrivals draws after what times a message arrives: once, never or twice. One
// that comes twice is doubled on the wire: each is a copy of its own, since who
// receives it may change it, as raft does when it passes a read on to the leader.
func (n *network) arrivals() (after [2]time.Duration, times int) {
	sent := 1
	if n.chance(n.double) {
		sent = 2
	}
	for range sent {
		if !n.chance(n.loss) {
			after[times] = n.delay()
			times++
		}
	}
	return after, times
}

// way is that of a message to a process.
type way struct {
	from, to *node
	run      int
}

func wayTo(from, to *node) way { return way{from, to, to.run} }

// leads says whether who goes that way arrives.
func (y *way) leads() bool {
	to := y.to
	return to.run == y.run && to.up && !to.w.isCut(y.from.id, to.id) && len(to.in.Messages)+len(to.in.Payloads) <= most
}

// letter is a message on its way, with all its numbers in one piece of memory.
type letter struct {
	way
	m                                                        raftpb.Message
	kind                                                     raftpb.MessageType
	to, from, term, logTerm, index, commit, vote, rejectHint uint64
	reject                                                   bool
}

// happen lets the message arrive.
func (l *letter) happen() {
	if !l.leads() {
		return
	}
	to := l.way.to
	to.in.Messages = append(to.in.Messages, raftnode.PeerMessage{From: l.way.from.id, Message: &l.m, At: to.clock.local(to.w.now)})
	switch l.kind {
	case raftpb.MsgHeartbeat, raftpb.MsgHeartbeatResp, raftpb.MsgApp, raftpb.MsgAppResp:
		to.letters = append(to.letters, l) // nobody keeps these; they are nearly all
	}
	to.wake(0)
}

// read takes back the memory of the letters that were read in a turn.
func (n *network) read(l []*letter) {
	n.spare = append(n.spare, l...)
	clear(l)
}

// letter copies a message as the wire does, so that nobody shares memory with
// whoever sent it. Snapshots and responses do not travel this way.
func (n *network) letter(y way, m *raftpb.Message) *letter {
	var c *letter
	if last := len(n.spare) - 1; last >= 0 {
		c, n.spare = n.spare[last], n.spare[:last]
	} else {
		c = new(letter)
	}
	*c = letter{way: y}
	if m.Type != nil {
		c.kind = *m.Type
		c.m.Type = &c.kind
	}
	number := func(from *uint64, to **uint64, at *uint64) {
		if from != nil {
			*at = *from
			*to = at
		}
	}
	number(m.To, &c.m.To, &c.to)
	number(m.From, &c.m.From, &c.from)
	number(m.Term, &c.m.Term, &c.term)
	number(m.LogTerm, &c.m.LogTerm, &c.logTerm)
	number(m.Index, &c.m.Index, &c.index)
	number(m.Commit, &c.m.Commit, &c.commit)
	number(m.Vote, &c.m.Vote, &c.vote)
	number(m.RejectHint, &c.m.RejectHint, &c.rejectHint)
	if m.Reject != nil {
		c.reject = *m.Reject
		c.m.Reject = &c.reject
	}
	if len(m.Context) > 0 {
		c.m.Context = append([]byte(nil), m.Context...)
	}
	if len(m.Entries) > 0 {
		c.m.Entries = make([]*raftpb.Entry, len(m.Entries))
		for i, e := range m.Entries {
			c.m.Entries[i] = copyEntry(e)
		}
	}
	return c
}

func copyEntry(e *raftpb.Entry) *raftpb.Entry {
	c := &struct {
		e           raftpb.Entry
		term, index uint64
		kind        raftpb.EntryType
	}{term: e.GetTerm(), index: e.GetIndex(), kind: e.GetType()}
	if e.Term != nil {
		c.e.Term = &c.term
	}
	if e.Index != nil {
		c.e.Index = &c.index
	}
	if e.Type != nil {
		c.e.Type = &c.kind
	}
	if len(e.Data) > 0 {
		c.e.Data = append([]byte(nil), e.Data...)
	}
	return &c.e
}
