package sim

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/conch-lock/conch/raftnode"
)

// operator changes who belongs to the cell, as a person with a plan does: one
// change after the other, asking the leader, and looking what came of it.
type operator struct {
	w      *world
	rng    *rand.Rand
	goals  []goal
	asking bool           // a change is under way
	asked  int            // changes so far
	doubt  bool           // the last one may or may not have happened
	led    map[*node]bool // was asked, as the leader, to take itself out
	before uint64         // operations that had been done when the last change was asked for
}

// goal is something the operator wants.
type goal struct {
	add    bool  // a node joins first
	node   *node // that joins, once it is there
	remove *node // that leaves then; nil: nobody
}

// loadOfPromotion is how many operations of clients are done while a learner is
// promoted under load.
const loadOfPromotion = 10

// mostVoters is up to how many the operator lets the cell grow.
const mostVoters = 6

func newOperator(w *world) *operator {
	o := &operator{w: w, led: map[*node]bool{}, rng: w.stream(streamOperator, 0)}
	w.after(time.Second, o.look)
	return o
}

// memberFault gives the operator something to do.
func (w *world) memberFault(kind Fault, rng *rand.Rand, n *node) bool {
	o := w.operator
	switch kind {
	case faultAdd:
		if len(w.voters()) < mostVoters && len(o.goals) < 2 {
			o.goals = append(o.goals, goal{add: true})
		}
	case faultRemove:
		if len(o.goals) < 2 {
			o.goals = append(o.goals, goal{remove: n})
		}
	case faultReplace:
		if len(o.goals) < 2 {
			o.goals = append(o.goals, goal{add: true, remove: n})
		}
	case faultCrashInJoint:
		for _, n := range w.running() {
			n.joint = rng.IntN(2) == 0
		}
		if len(o.goals) == 0 {
			o.goals = append(o.goals, goal{add: true, remove: n})
		}
	default:
		return false
	}
	return true
}

// want has a node replaced whose data are lost.
func (o *operator) want(n *node) {
	o.goals = append([]goal{{add: true, remove: n}}, o.goals...)
}

// look takes the next step.
func (o *operator) look() {
	o.w.after(between(o.rng, 50*time.Millisecond, 500*time.Millisecond), o.look)
	l := o.w.leader()
	if l == nil || o.w.now < l.paused {
		return
	}
	st := o.learn(l)
	if st.Joint || o.asking {
		return
	}
	if st.Settled {
		o.doubt = false // whatever came of it, this is what came of it
		o.retire()
	}
	if len(o.goals) == 0 || o.w.healed != 0 && !o.w.lost() {
		return // nobody needs it any more
	}
	g := &o.goals[0]
	switch {
	case g.add && g.node == nil:
		g.node = o.w.newNode()
		g.node.start()
		o.ask(l, raftnode.AddLearner, g.node)
	case g.add && !has(st.Members, g.node.id, true) && !has(st.Members, g.node.id, false):
		o.ask(l, raftnode.AddLearner, g.node)
	case g.add && has(st.Members, g.node.id, true):
		o.ask(l, raftnode.Promote, g.node)
	case g.remove != nil && has(st.Members, g.remove.id, false) && o.mayLeave(g.remove, st.Members):
		o.ask(l, raftnode.Remove, g.remove)
	default:
		if g.add && g.remove != nil && g.remove.refused {
			o.w.sometimes(memberReplaced)
		}
		o.goals = o.goals[1:]
	}
}

// mayLeave: a cell is not made smaller than it began, nor while somebody else of
// it is lost.
func (o *operator) mayLeave(n *node, members []raftnode.Member) bool {
	voters := 0
	for _, m := range members {
		if !m.Learner {
			voters++
		}
		if x := o.w.node(m.ID); x != n && (x.refused || x.hurt) && !n.refused {
			return false
		}
	}
	return voters > 3 || n.refused && voters > 2
}

// has says whether a node is a voter or, if it is asked so, a learner.
func has(members []raftnode.Member, id raftnode.NodeID, learner bool) bool {
	return slices.ContainsFunc(members, func(m raftnode.Member) bool { return m.ID == id && m.Learner == learner })
}

// ask asks the leader for a change.
func (o *operator) ask(l *node, kind raftnode.ChangeKind, about *node) {
	o.asking = true
	o.asked++
	o.before = o.w.witness.checked
	if kind == raftnode.Remove && about == l {
		o.led[about] = true
	}
	o.w.tell("operator asks node %v to %v %v", l.id, kind, about.id)
	run, number := l.run, o.asked
	answered := func(err error) {
		if !o.asking || o.asked != number {
			return // it has been answered
		}
		o.asking = false
		o.doubt = errors.Is(err, raftnode.ErrUnknownOutcome) || o.doubt && err != nil
		o.w.tell("operator: %v %v: %v", kind, about.id, err)
		if err == nil {
			o.learn(l)
			o.done(kind)
		}
	}
	l.in.Changes = append(l.in.Changes, raftnode.ChangeRequest{Kind: kind, Member: member(about.id), Done: func(err error) {
		if l.run == run {
			answered(err)
		}
	}})
	l.wake(0)
	o.w.after(10*time.Second, func() {
		if l.run != run {
			answered(raftnode.ErrUnknownOutcome) // it crashed meanwhile
		}
	})
}

func (o *operator) done(kind raftnode.ChangeKind) {
	switch kind {
	case raftnode.AddLearner:
		o.w.sometimes(learnerAdded)
	case raftnode.Promote:
		o.w.sometimes(learnerPromoted)
		if o.w.witness.checked-o.before >= loadOfPromotion {
			o.w.sometimes(learnerPromotedLoaded)
		}
	case raftnode.Remove:
		o.w.sometimes(memberRemoved)
	}
}

// retire switches off, a while later, the nodes that do not belong to the cell
// any more.
func (o *operator) retire() {
	for _, n := range o.w.nodes {
		if n.retired || !o.w.witness.raft.removed[n.id] {
			continue
		}
		n.retired = true
		if n.up {
			o.w.sometimes(removedStillRuns)
		}
		if o.led[n] {
			o.w.sometimes(leaderRemoved)
		}
		o.w.after(between(o.rng, 0, 5*time.Second), n.stop)
	}
}

// membersChanged holds a change of members against those before, and crashes a
// node that is to crash in a joint configuration.
func (n *node) membersChanged([]raftnode.Member) {
	if n.up && n.replica != nil {
		now := quorumsOf(n.replica.Status())
		if n.quorums != nil {
			n.w.check(Raft, n.quorums.overlap(now))
			if len(now.voters) != len(n.quorums.voters) || len(now.outgoing) > 0 {
				n.w.sometimes(quorumsChanged)
			}
		}
		n.quorums = now
	}
	if n.joint && n.up && n.replica != nil && n.replica.Status().Joint {
		n.joint = false
		n.w.sometimes(crashedInJoint)
		n.crash("in a joint configuration")
	}
}

// learn takes notice of who belongs to the cell, from a leader.
func (o *operator) learn(l *node) raftnode.Status {
	st := l.replica.Status()
	if !st.Joint {
		o.w.check(Raft, o.w.witness.raft.members(st.Term, st.Applied, st.Members))
	}
	return st
}

// voters are the voters as far as anybody knows.
func (w *world) voters() []*node {
	var l []*node
	for _, m := range w.witness.raft.newest {
		if !m.Learner {
			l = append(l, w.node(m.ID))
		}
	}
	return l
}

// lost says whether the data of a voter are lost.
func (w *world) lost() bool {
	return slices.ContainsFunc(w.voters(), func(n *node) bool { return n.refused || n.hurt })
}

// spare says whether the cell can lose what a node has on its disk: it is a
// voter, a majority of the others is whole, and nobody changes the members.
func (w *world) spare(n *node) bool {
	if w.operator.asking || w.operator.doubt || len(w.witness.raft.newest) == 0 {
		return false
	}
	whole, voters := 0, w.voters()
	for _, m := range w.witness.raft.newest {
		if m.Learner {
			return false
		}
	}
	for _, v := range voters {
		if v != n && !v.refused && !v.hurt {
			whole++
		}
	}
	return slices.Contains(voters, n) && whole > len(voters)/2
}
