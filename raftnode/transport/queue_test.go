package transport

import (
	"testing"

	"github.com/conch-lock/conch/raftnode"
)

func testQueue() *queue {
	l := LaneLimits{Messages: 5000, Bytes: 4 << 20}
	return newQueue(l, l, l)
}

func TestUrgentOvertakesBulk(t *testing.T) {
	q := testQueue()
	for i := range 100 {
		if !q.put(LaneBulk, frame{group: raftnode.GroupID(i), cost: 30_000}) {
			t.Fatal("full")
		}
	}
	first := q.take(nil)
	if n := len(first); n == 0 || n*30_000 > batchBulkBytes {
		t.Fatalf("a batch of %d messages: a heartbeat would wait behind all of them", n)
	}
	q.put(LaneApp, frame{kind: kindApp, cost: 1})
	q.put(LaneUrgent, frame{kind: kindRaft, cost: 1})
	second := q.take(nil)
	if second[0].kind != kindRaft || second[1].kind != kindApp {
		t.Fatalf("kinds %d, %d first", second[0].kind, second[1].kind)
	}
	next := raftnode.GroupID(0)
	for batch := append(first, second[2:]...); len(batch) > 0; batch = q.take(nil) {
		for _, f := range batch {
			if f.group != next {
				t.Fatalf("%d came where %d was due", f.group, next)
			}
			next++
		}
	}
	if m, b := q.size(); next != 100 || m != 0 || b != 0 {
		t.Fatalf("took %d, left %d messages, %d bytes", next, m, b)
	}
}

func TestLaneKeepsOrderAndLimitsWhileItMoves(t *testing.T) {
	l := lane{limits: LaneLimits{Messages: 7, Bytes: 100}}
	put, taken := 0, 0
	for round := range 1000 {
		for l.put(frame{group: raftnode.GroupID(put), cost: 10 + round%10}) {
			put++
		}
		if n := len(l.items) - l.head; n > 7 || l.bytes > 100 {
			t.Fatalf("%d messages, %d bytes", n, l.bytes)
		}
		for _, f := range l.take(nil, 1+round%5, 1000) {
			if f.group != raftnode.GroupID(taken) {
				t.Fatalf("%d came where %d was due", f.group, taken)
			}
			taken++
		}
	}
	if cap(l.items) > 64 {
		t.Errorf("the lane grew to %d places for 7 messages", cap(l.items))
	}
}

func TestAMessageLargerThanItsLaneFitsAlone(t *testing.T) {
	l := lane{limits: LaneLimits{Messages: 7, Bytes: 100}}
	if !l.put(frame{cost: 1000}) || l.put(frame{cost: 1}) {
		t.Error("want the first taken, the second refused")
	}
}

func TestClearTellsGroupsOfRaftMessages(t *testing.T) {
	q := testQueue()
	q.put(LaneBulk, frame{kind: kindRaft, group: 3, cost: 1})
	q.put(LaneApp, frame{kind: kindApp, group: 4, cost: 1})
	var groups []raftnode.GroupID
	if n := q.clear(func(g raftnode.GroupID) { groups = append(groups, g) }); n != 2 {
		t.Errorf("%d dropped", n)
	}
	if len(groups) != 1 || groups[0] != 3 || len(q.take(nil)) != 0 {
		t.Errorf("groups %v", groups)
	}
}
