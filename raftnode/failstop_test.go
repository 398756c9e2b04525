package raftnode

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/conch-lock/conch/raftnode/disk"
)

// TestFailStopAtEveryOperation fails every single operation on a node's disk, one
// a run, of a leader and of a follower. After one of the log the node promises
// nothing, applies nothing, and does nothing on the disk any more; after one of a
// snapshot, which no promise rests on, it ends at the latest a turn later. The
// reason stays with it, and what was acknowledged is there.
func TestFailStopAtEveryOperation(t *testing.T) {
	if testing.Short() {
		t.Skip("it fails some hundred operations")
	}
	kinds := []disk.OpKind{disk.OpWrite, disk.OpSync, disk.OpCreate, disk.OpRename, disk.OpSyncDir, disk.OpRemove}
	ended := map[string]int{}
	for _, lead := range []bool{true, false} {
		for _, kind := range kinds {
			for nth := 1; nth <= 400; nth += 1 + nth/8 {
				what := failOperation(t, lead, kind, nth)
				if what == "" {
					break // there are no more
				}
				ended[fmt.Sprintf("%v of a leader: %v", kind, lead)]++
			}
		}
	}
	for _, lead := range []bool{true, false} {
		for _, kind := range kinds[:2] {
			if what := fmt.Sprintf("%v of a leader: %v", kind, lead); ended[what] < 10 {
				t.Errorf("%s: only %d failures ended a node", what, ended[what])
			}
		}
	}
	t.Logf("%v", ended)
}

// failOperation runs one; it returns the empty string when the node went on to
// the end, because it does not do as many.
func failOperation(t *testing.T, lead bool, kind disk.OpKind, nth int) string {
	t.Helper()
	c := newCluster(t, 40, 3, snapshotTuning())
	n := c.leader()
	if !lead {
		n = c.node(n.id%3 + 1)
	}
	left, failed, ofLog := nth, false, false
	var after []string
	n.fs.SetHook(func(op disk.Op) error {
		if failed {
			if ofLog && op.Kind != disk.OpRead {
				after = append(after, fmt.Sprintf("%v %s", op.Kind, op.Name))
			}
			return nil
		}
		if op.Kind == kind {
			if left--; left == 0 {
				failed, ofLog = true, strings.Contains(op.Name, "/log/") || strings.HasSuffix(op.Name, "/log")
				return syscall.EIO
			}
		}
		return nil
	})
	replica := n.replica
	n.machine.onApply = func(e Entry) {
		if ofLog {
			t.Errorf("%v %d: entry %d was applied after the failure", kind, nth, e.Index)
		}
		n.applied(e)
	}
	n.c.onSend = func(from *simNode, m *raftpb.Message) {
		if from == n && ofLog && promises(m) {
			t.Errorf("%v %d: a %v was sent after the failure", kind, nth, m.GetType())
		}
	}
	var acknowledged []string
	for i := range 60 {
		for _, x := range c.nodes {
			if x.up() && x.machine.leads != 0 {
				x.propose(fmt.Sprintf("v%d-%v", i, x.id))
			}
		}
		c.run(20 * time.Millisecond)
		for _, x := range c.nodes {
			if x.up() && len(x.machine.values) > len(acknowledged) {
				acknowledged = slices.Clone(x.machine.values)
			}
		}
		if !n.up() {
			break
		}
	}
	if !failed {
		return ""
	}
	if n.up() {
		t.Errorf("%v %d of a leader %v: the node goes on", kind, nth, lead)
		return "went on"
	}
	if !errors.Is(n.err, syscall.EIO) {
		t.Errorf("%v %d: it ended with %v", kind, nth, n.err)
	}
	if _, err := replica.Turn(c.now+time.Second, Inputs{}); !errors.Is(err, n.err) {
		t.Errorf("%v %d: another turn gives %v", kind, nth, err)
	}
	if len(after) > 0 {
		t.Errorf("%v %d: afterwards it did %v", kind, nth, after)
	}
	// The others go on, and it comes up again with all that it had promised.
	c.onSend = nil
	n.fs.SetHook(nil)
	n.fs.Crash(disk.DropUnsynced())
	n.start()
	if n.err != nil {
		t.Errorf("%v %d: it does not start again: %v", kind, nth, n.err)
		return "did not start"
	}
	c.leader().propose("end")
	c.everywhere("end")
	for _, x := range c.nodes {
		if len(x.machine.values) < len(acknowledged) || !slices.Equal(x.machine.values[:len(acknowledged)], acknowledged) {
			t.Errorf("%v %d: node %v lost what was acknowledged", kind, nth, x.id)
		}
	}
	return "ended"
}
