package raftnode

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/conch-lock/conch/raftnode/disk"
)

// change makes one change of members and returns its outcome.
func (n *simNode) change(kind ChangeKind, m Member) error {
	n.c.t.Helper()
	var result error
	done := false
	n.in.Changes = append(n.in.Changes, ChangeRequest{kind, m, func(err error) { result, done = err, true }})
	n.due = n.c.now
	n.c.until(fmt.Sprintf("%v %v", kind, m.ID), 30*time.Second, func() bool { return done })
	return result
}

func TestAddPromoteRemove(t *testing.T) {
	c := newCluster(t, 20, 3, snapshotTuning())
	l := c.leader()
	l.propose(numbered("v", 30)...)
	c.everywhere("v29")

	fourth := c.add(4, nil)
	new := Member{ID: 4, Name: "n4", Address: "n4:1"}
	if err := l.change(Promote, new); !errors.Is(err, ErrBadChange) {
		t.Errorf("promote a stranger: %v", err)
	}
	if err := l.change(AddLearner, new); err != nil {
		t.Fatalf("add: %v", err)
	}
	if err := l.change(AddLearner, new); !errors.Is(err, ErrBadChange) {
		t.Errorf("add twice: %v", err)
	}
	c.everywhere("v29")
	if s := fourth.replica.Status(); s.Role != Learner {
		t.Errorf("the new node is a %v", s.Role)
	}
	c.run(time.Second) // the leader hears of what it has
	if err := l.change(Promote, new); err != nil {
		t.Fatalf("promote: %v", err)
	}
	c.until("the promotion everywhere", 5*time.Second, func() bool {
		return !slices.ContainsFunc(c.nodes, func(n *simNode) bool {
			return len(n.replica.members.conf.GetVoters()) != 4 || n.replica.members.joint()
		})
	})
	if s := fourth.replica.Status(); s.Role != Follower {
		t.Errorf("the promoted node is a %v", s.Role)
	}
	for _, n := range c.nodes {
		if i := slices.Index(n.members, new); i < 0 {
			t.Errorf("node %v knows the members %+v", n.id, n.members)
		}
	}
	// The leader removes itself: another one takes over, and says when that is complete.
	if err := l.change(Remove, Member{ID: l.id}); !errors.Is(err, ErrUnknownOutcome) {
		t.Fatalf("remove: %v", err)
	}
	c.until("another leader", 10*time.Second, func() bool {
		return slices.ContainsFunc(c.nodes, func(n *simNode) bool { return n != l && n.machine.leads != 0 })
	})
	if l.machine.leads != 0 {
		t.Error("the removed leader leads")
	}
	next := c.leader()
	if err := next.change(Remove, Member{ID: l.id}); err != nil {
		t.Fatalf("remove, asked again: %v", err)
	}
	if err := next.change(AddLearner, Member{ID: l.id, Name: "again"}); !errors.Is(err, ErrBadChange) {
		t.Errorf("an id used again: %v", err)
	}
	l.crash(disk.KeepUnsynced(), true)
	next.propose("after")
	c.everywhere("after")
	// Everybody starts again with the members as they are now.
	for _, n := range c.nodes {
		if n != l {
			n.crash(disk.DropUnsynced(), false)
			n.start()
			if n.err != nil {
				t.Fatal(n.err)
			}
		}
	}
	c.leader().propose("restarted")
	c.everywhere("restarted")
	for _, n := range c.nodes {
		if n.up() && (len(n.members) != 3 || !n.replica.members.wasRemoved(l.id)) {
			t.Errorf("node %v: members %+v, removed %v", n.id, n.members, n.replica.members.removed)
		}
	}
}

// Whoever was removed cannot call elections, even with what would make everybody
// listen: a newer term, the newest log, and the mark of a transfer.
func TestRemovedMemberIsNotHeard(t *testing.T) {
	c := newCluster(t, 22, 3, smallTuning())
	l := c.leader()
	gone := c.node(l.id%3 + 1)
	if err := l.change(Remove, Member{ID: gone.id}); err != nil {
		t.Fatalf("remove: %v", err)
	}
	l.propose("without it")
	c.run(time.Second)
	for _, n := range c.nodes {
		if n == gone {
			continue
		}
		before, refused := n.replica.Status(), n.replica.refused
		n.in.Messages = append(n.in.Messages, PeerMessage{From: gone.id, Message: &raftpb.Message{
			Type: raftpb.MsgVote.Enum(), From: new(uint64(gone.id)), To: new(uint64(n.id)), Term: new(before.Term + 10),
			Index: new(before.Last + 10), LogTerm: new(before.Term + 9), Context: []byte(transferContext),
		}})
		n.turn()
		if after := n.replica.Status(); after.Term != before.Term || after.Leader != before.Leader || n.replica.refused != refused+1 {
			t.Errorf("node %v: term %d and leader %v, then %d and %v; %d messages refused", n.id, before.Term, before.Leader, after.Term, after.Leader, n.replica.refused-refused)
		}
	}
}

func TestLearnerThatLagsIsNotPromoted(t *testing.T) {
	tuning := smallTuning()
	tuning.PromoteLag = 5
	c := newCluster(t, 21, 3, tuning)
	l := c.leader()
	l.propose(numbered("v", 30)...)
	c.everywhere("v29")
	if err := l.change(AddLearner, Member{ID: 9, Name: "absent"}); err != nil {
		t.Fatal(err)
	}
	if err := l.change(Promote, Member{ID: 9}); !errors.Is(err, ErrNotCaughtUp) {
		t.Errorf("promote a node that was never heard of: %v", err)
	}
	if err := c.node(l.id%3+1).change(Remove, Member{ID: 9}); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a change by a follower: %v", err)
	}
	if err := l.change(Remove, Member{ID: 9}); err != nil {
		t.Errorf("remove a node that was never heard of: %v", err)
	}
}

// A learner that needs a snapshot has nothing, even if it lacks few entries: with
// its vote and without the snapshot the group could not commit.
func TestLearnerWithoutSnapshotIsNotPromoted(t *testing.T) {
	c := newCluster(t, 23, 3, snapshotTuning())
	l := c.leader()
	l.propose(numbered("v", 40)...)
	c.everywhere("v39")
	c.until("a snapshot", 5*time.Second, func() bool { return l.replica.log.base > firstIndex })
	l.fs.Inject(disk.Fault{Kind: disk.OpWrite, Name: "snapshots", Err: errNoSpace, Always: true})
	learner := c.add(4, nil)
	if err := l.change(AddLearner, Member{ID: 4}); err != nil {
		t.Fatal(err)
	}
	c.run(5 * time.Second)
	if err := l.change(Promote, Member{ID: 4}); !errors.Is(err, ErrNotCaughtUp) {
		t.Errorf("promote a node that waits for a snapshot: %v", err)
	}
	// One of the three may be lost meanwhile.
	c.node(l.id%3+1).crash(disk.KeepUnsynced(), false)
	l.propose("goes on")
	c.until("the next value", time.Second, func() bool { return slices.Contains(l.machine.values, "goes on") })
	// A snapshot that somebody waits for is taken soon after there is room.
	l.fs.ClearFaults()
	c.until("a snapshot for the learner", wantedPause+500*time.Millisecond, func() bool { return slices.Contains(learner.machine.values, "goes on") })
	c.run(time.Second)
	if err := l.change(Promote, Member{ID: 4}); err != nil {
		t.Errorf("promote a node that has all: %v", err)
	}
}

// A member that was removed is switched off as soon as that is complete, and so is
// the only one that knew. The others must not need its vote.
func TestRemovedMemberIsNotNeeded(t *testing.T) {
	for seed := range uint64(20) {
		c := newCluster(t, seed, 4, smallTuning())
		l := c.leader()
		l.propose("before")
		c.everywhere("before")
		gone, behind := c.node(l.id%4+1), c.node((l.id+1)%4+1)
		done := false
		l.in.Changes = append(l.in.Changes, ChangeRequest{Remove, Member{ID: gone.id}, func(err error) {
			if done = true; err != nil {
				t.Errorf("remove: %v", err)
			}
		}})
		l.due = c.now
		c.until("a joint configuration", time.Second, func() bool { return l.replica.members.joint() })
		c.partition(behind.id, l.id)
		c.until("the end of the change", 5*time.Second, func() bool { return done })
		gone.crash(disk.KeepUnsynced(), true)
		l.crash(disk.KeepUnsynced(), true)
		c.heal()
		c.until("a leader of the two of three that are left", 20*time.Second, func() bool {
			return slices.ContainsFunc(c.nodes, func(n *simNode) bool { return n.up() && n.machine.leads != 0 })
		})
	}
}

func TestLastVoterStays(t *testing.T) {
	c := newCluster(t, 22, 1, smallTuning())
	if err := c.leader().change(Remove, Member{ID: 1}); !errors.Is(err, ErrBadChange) {
		t.Errorf("remove the only voter: %v", err)
	}
}

func TestMembershipEncoding(t *testing.T) {
	m, err := newMembership([]Member{{ID: 3, Name: "c", Address: "c:1"}, {ID: 1, Name: "a", Address: "a:1"}, {ID: 2}})
	if err != nil {
		t.Fatal(err)
	}
	m.removed = []NodeID{7, 9}
	b := m.encode()
	back, err := decodeMembership(b)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(back.encode(), b) || !slices.Equal(back.names, m.names) || !slices.Equal(back.removed, m.removed) {
		t.Errorf("%+v came back as %+v", m, back)
	}
	for i := range b {
		if _, err := decodeMembership(b[:i]); err == nil {
			t.Errorf("the first %d of %d bytes were taken for a membership", i, len(b))
		}
	}
	for _, bad := range [][]Member{
		{{ID: 1}, {ID: 1}}, {{ID: 0}}, {{ID: maxNodeID}}, {{ID: 1, Learner: true}}, {},
	} {
		if _, err := newMembership(bad); err == nil {
			t.Errorf("%+v were taken for initial members", bad)
		}
	}
}

func FuzzDecodeMembership(f *testing.F) {
	m, _ := newMembership([]Member{{ID: 3, Name: "c"}, {ID: 1}})
	f.Add(m.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeMembership(b); err == nil {
			if _, err := decodeMembership(m.encode()); err != nil {
				t.Errorf("%x: what was decoded cannot be: %v", b, err)
			}
		}
	})
}
