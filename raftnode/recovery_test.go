package raftnode

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/raftnode/disk"
	"github.com/conch-lock/conch/raftnode/snapshot"
)

// snapshotTuning takes snapshots all the time and keeps little of the log.
func snapshotTuning() Tuning {
	t := smallTuning()
	t.SnapshotEntries, t.TrailingEntries, t.SnapshotSlices, t.SnapshotPause = 10, 3, 1, -1
	return t
}

func TestLaggingFollowerGetsSnapshot(t *testing.T) {
	c := newCluster(t, 11, 3, snapshotTuning())
	l := c.leader()
	behind := c.node(l.id%3 + 1)
	c.partition(behind.id, 1, 2, 3)
	for i := range 50 {
		l.propose(fmt.Sprint("v", i))
		c.run(20 * time.Millisecond)
	}
	if s := l.replica.Status(); s.First < 20 || s.Snapshot < 20 {
		t.Fatalf("the log was not compacted: %+v", s)
	}
	c.heal()
	c.everywhere("v49")
	if behind.machine.restores < 2 { // the first is the start
		t.Errorf("the follower restored %d snapshots", behind.machine.restores)
	}
	if want := numbered("v", 50); !slices.Equal(behind.machine.values, want) {
		t.Errorf("after the snapshot the follower has %q", behind.machine.values)
	}
	c.until("the holds to end", 5*time.Second, func() bool { return len(l.replica.holds) == 0 })
	// It starts again from the snapshot it was sent.
	behind.crash(disk.DropUnsynced(), true)
	behind.start()
	if behind.err != nil {
		t.Fatal(behind.err)
	}
	c.leader().propose("again")
	c.everywhere("again")
	if want := append(numbered("v", 50), "again"); !slices.Equal(behind.machine.values, want) {
		t.Errorf("after the restart the follower has %q", behind.machine.values)
	}
}

// A snapshot that does not arrive is sent again.
func TestFailedSnapshotIsSentAgain(t *testing.T) {
	c := newCluster(t, 13, 3, snapshotTuning())
	l := c.leader()
	behind := c.node(l.id%3 + 1)
	c.partition(behind.id, 1, 2, 3)
	for i := range 50 {
		l.propose(fmt.Sprint("v", i))
		c.run(20 * time.Millisecond)
	}
	l.failSnapshots = 2
	c.heal()
	c.everywhere("v49")
	if l.failSnapshots != 0 {
		t.Errorf("%d of two snapshots were not sent", l.failSnapshots)
	}
}

func TestSnapshotsAreTheSameEverywhere(t *testing.T) {
	c := newCluster(t, 12, 3, snapshotTuning())
	l := c.leader()
	for i := range 30 {
		l.propose(fmt.Sprint("v", i))
		c.run(100 * time.Millisecond)
	}
	files := map[string]string{}
	compared := 0
	for _, n := range c.nodes {
		if len(n.replica.files) != keepSnapshots {
			t.Errorf("node %v keeps %d snapshots", n.id, len(n.replica.files))
		}
		for _, f := range n.replica.files {
			b, err := n.fs.ReadFile(f.path)
			if err != nil {
				t.Fatal(err)
			}
			if other, seen := files[f.path]; seen {
				compared++
				if other != string(b) {
					t.Errorf("node %v has another %s", n.id, f.path)
				}
			}
			files[f.path] = string(b)
		}
	}
	if compared == 0 {
		t.Error("no two replicas had a snapshot at the same index")
	}
}

func TestDamagedSnapshotFallsBackToTheOneBefore(t *testing.T) {
	c := newCluster(t, 13, 1, snapshotTuning())
	n := c.leader()
	// Large enough to fill several files of the log.
	want := numbered(strings.Repeat("x", 3000), 35)
	for _, v := range want {
		n.propose(v)
		c.run(100 * time.Millisecond)
	}
	if s := n.replica.Status(); s.Log.First == 1 {
		t.Fatalf("nothing was removed from the log: %+v", s.Log)
	}
	files := slices.Clone(n.replica.files)
	if len(files) != 2 {
		t.Fatalf("%d snapshots", len(files))
	}
	n.crash(disk.KeepUnsynced(), false)
	if err := n.fs.FlipBit(files[0].path, 200, 3); err != nil {
		t.Fatal(err)
	}
	n.start()
	if n.err != nil {
		t.Fatalf("with a whole snapshot before the damaged one: %v", n.err)
	}
	c.leader()
	if !slices.Equal(n.machine.values, want) {
		t.Errorf("restored %d values", len(n.machine.values))
	}
	// With both damaged the start is refused, and says which files.
	n.crash(disk.KeepUnsynced(), false)
	for _, f := range files {
		if b, err := n.fs.ReadFile(f.path); err == nil {
			b[len(b)-50] ^= 1
			_ = n.fs.WriteFile(f.path, b)
		}
	}
	n.start()
	if n.err == nil || !strings.Contains(n.err.Error(), files[1].path) {
		t.Errorf("without any whole snapshot: %v", n.err)
	}
}

// A power cut at every single operation on the disk, with everything unsynced lost, or a part of it, loses nothing that
// was applied, and the replica comes up again.
func TestCrashAtEveryDiskOperation(t *testing.T) {
	survivals := map[string]func(*rand.Rand) disk.Survival{
		"drop": func(*rand.Rand) disk.Survival { return disk.DropUnsynced() },
		"some": disk.KeepSome,
		"tear": disk.TearLast,
	}
	for name, survival := range survivals {
		t.Run(name, func(t *testing.T) {
			points := 0
			for at := uint64(1); ; at++ {
				if !crashAt(t, at, survival(rand.New(rand.NewPCG(at, 3)))) {
					break
				}
				points++
			}
			if points < 100 {
				t.Errorf("only %d operations were tried", points)
			}
			t.Logf("%d crash points", points)
		})
	}
}

// crashAt runs a group of one until the operation with that number, cuts the power there, and starts again. It reports
// false when the run ends before.
func crashAt(t *testing.T, at uint64, survival disk.Survival) bool {
	t.Helper()
	c := newCluster(t, 14, 1, snapshotTuning())
	n := c.nodes[0]
	// The node began already; begin anew on a disk that crashes.
	n.fs = disk.NewMem()
	c.committed = map[uint64]string{}
	crashed := false
	n.fs.SetHook(func(op disk.Op) error {
		if op.Seq == at {
			crashed = true
			n.fs.Crash(survival)
			return disk.ErrCrashed
		}
		return nil
	})
	n.start()
	for i := 0; i < 25 && n.up() && !crashed; i++ {
		n.propose(fmt.Sprint("v", i))
		for end := c.now + 60*time.Millisecond; c.now < end && n.up() && !crashed; {
			c.step()
		}
	}
	if !crashed {
		return false
	}
	applied := slices.Clone(n.machine.values)
	n.fs.SetHook(nil)
	n.start()
	if n.err != nil {
		t.Fatalf("crash at operation %d: the replica does not start: %v", at, n.err)
	}
	if s := n.replica.Status(); s.Snapshot > s.Log.Base {
		t.Fatalf("crash at operation %d: the snapshot at %d is used, the log knows the one at %d", at, s.Snapshot, s.Log.Base)
	}
	c.leader()
	if len(n.machine.values) < len(applied) || !slices.Equal(n.machine.values[:len(applied)], applied) {
		t.Fatalf("crash at operation %d: applied was %q, after it %q", at, applied, n.machine.values)
	}
	n.propose("after")
	c.everywhere("after")
	return true
}

// Nodes crash at random operations, connections are cut, messages are lost, doubled and late, members' logs are compacted
// all the time: no two replicas ever apply different entries, and in the end all go on.
func TestChaos(t *testing.T) {
	seeds := uint64(30)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		chaos(t, seed)
	}
}

func chaos(t *testing.T, seed uint64) {
	c := newCluster(t, seed, 3+2*int(seed%2), snapshotTuning())
	c.loss = 0.03
	var acknowledged []string
	for i := range 150 {
		for _, n := range c.nodes {
			if n.up() && n.machine.leads != 0 {
				n.propose(fmt.Sprintf("s%d-%d-%v", seed, i, n.id))
			}
		}
		c.run(time.Duration(c.rng.Int64N(int64(60 * time.Millisecond))))
		for _, n := range c.nodes {
			if n.up() && len(n.machine.values) > len(acknowledged) {
				acknowledged = slices.Clone(n.machine.values)
			}
			if !n.up() && n.err != nil && c.rng.IntN(4) == 0 {
				n.start()
				if n.err != nil && !errors.Is(n.err, disk.ErrCrashed) {
					t.Fatalf("seed %d: node %v does not start: %v", seed, n.id, n.err)
				}
			}
		}
		switch n := c.nodes[c.rng.IntN(len(c.nodes))]; c.rng.IntN(12) {
		case 0:
			if n.up() {
				n.crash(disk.KeepSome(c.rng), c.rng.IntN(2) == 0)
			}
		case 1:
			if n.up() { // crash in the middle of what it does next
				left := c.rng.IntN(30)
				n.fs.SetHook(func(disk.Op) error {
					if left--; left < 0 {
						n.fs.Crash(disk.TearLast(c.rng))
						n.fs.SetHook(nil)
						return disk.ErrCrashed
					}
					return nil
				})
			}
		case 2:
			c.partition(n.id, c.nodes[c.rng.IntN(len(c.nodes))].id)
		case 3:
			other := c.nodes[c.rng.IntN(len(c.nodes))]
			c.cut[[2]NodeID{n.id, other.id}] = true
		case 4, 5:
			c.heal()
		case 6:
			n.paused = !n.paused
		}
	}
	c.heal()
	c.loss = 0
	for _, n := range c.nodes {
		n.paused = false
		n.fs.SetHook(nil)
		if n.up() && len(n.in.Messages) > 100 {
			n.in.Messages = n.in.Messages[:100]
		}
		n.due = c.now
		if !n.up() {
			n.start()
			if n.err != nil {
				t.Fatalf("seed %d: node %v does not start: %v", seed, n.id, n.err)
			}
		}
	}
	c.run(3 * time.Second)
	for _, n := range c.nodes {
		if !n.up() {
			n.start()
		}
	}
	c.leader().propose("end")
	c.everywhere("end")
	for _, n := range c.nodes {
		if !slices.Equal(n.machine.values[:len(acknowledged)], acknowledged) {
			t.Fatalf("seed %d: node %v has lost what was applied before", seed, n.id)
		}
	}
}

func TestQuietLogIsSealed(t *testing.T) {
	c := newCluster(t, 17, 1, smallTuning())
	n := c.leader()
	n.propose("v")
	c.everywhere("v")
	before := n.replica.Status().Log.Frames
	c.run(200 * time.Millisecond)
	sealed := n.replica.Status().Log.Frames
	c.run(time.Second)
	if after := n.replica.Status().Log.Frames; sealed == before || after != sealed {
		t.Errorf("after a write the log had %d frames, a moment later %d, and after a quiet second %d", before, sealed, after)
	}
}

func TestNoRoomForSnapshotIsNoFailure(t *testing.T) {
	c := newCluster(t, 15, 1, snapshotTuning())
	n := c.leader()
	n.fs.Inject(disk.Fault{Kind: disk.OpWrite, Name: "snapshots", Err: errNoSpace, Always: true})
	n.propose(numbered("v", 40)...)
	c.run(5 * time.Second)
	if !n.up() {
		t.Fatalf("the replica stopped: %v", n.err)
	}
	if s := n.replica.Status(); s.Snapshot != firstIndex {
		t.Fatalf("a snapshot at %d", s.Snapshot)
	}
	n.fs.ClearFaults()
	c.until("a snapshot", time.Minute, func() bool { return n.replica.Status().Snapshot > firstIndex })
}

func TestDamagedStreamIsRefused(t *testing.T) {
	c := newCluster(t, 16, 1, snapshotTuning())
	n := c.leader()
	n.propose(numbered("value", 40)...)
	c.until("a snapshot", 5*time.Second, func() bool { return n.replica.Status().Snapshot > 20 })
	m, content := n.stream(t)
	for i := range content {
		bad := slices.Clone(content)
		bad[i] ^= 4
		if _, err := Spool(disk.NewMem(), "/", 7, 1, m, strings.NewReader(string(bad))); err == nil {
			t.Errorf("byte %d of %d changed: not noticed", i, len(content))
		}
		if _, err := Spool(disk.NewMem(), "/", 7, 1, m, strings.NewReader(string(content[:i]))); !errors.Is(err, errStream) && err == nil {
			t.Errorf("cut after %d of %d bytes: %v", i, len(content), err)
		}
	}
}

// A snapshot may come from the leader while the node writes one of the same entry:
// neither gets into the other's way.
func TestReceivedSnapshotOfTheEntryThatIsBeingTaken(t *testing.T) {
	tuning := snapshotTuning()
	tuning.SnapshotEntries = 1 << 40
	c := newCluster(t, 18, 3, tuning)
	l := c.leader()
	n := c.node(l.id%3 + 1)
	l.propose(numbered("v", 40)...)
	c.everywhere("v39")
	c.until("the same end", 5*time.Second, func() bool { return n.replica.applied == l.replica.applied })
	index := l.replica.applied
	if err := l.replica.beginSnapshot(c.now); err != nil {
		t.Fatal(err)
	}
	c.until("the leader's snapshot", 5*time.Second, func() bool { return l.replica.Status().Snapshot == index })
	if n.replica.applied != index {
		t.Fatalf("the other node is at %d, not at %d", n.replica.applied, index)
	}
	if err := n.replica.beginSnapshot(c.now); err != nil {
		t.Fatal(err)
	}
	m, content := l.stream(t)
	m.To = new(uint64(n.id))
	path, err := Spool(n.fs, "/data/g", 7, 1, m, strings.NewReader(string(content)))
	if err != nil {
		t.Fatal(err)
	}
	n.in.Snapshots = append(n.in.Snapshots, ReceivedSnapshot{From: l.id, Message: m, Path: path})
	n.due = c.now
	c.until("the node's own snapshot", 5*time.Second, func() bool { return !n.up() || n.replica.Status().Snapshot == index })
	if !n.up() {
		t.Fatalf("the node stopped: %v", n.err)
	}
	if _, err := snapshot.Verify(n.fs, n.replica.files[0].path); err != nil {
		t.Errorf("its snapshot: %v", err)
	}
	if names, _ := n.fs.List("/data/g/snapshots"); slices.ContainsFunc(names, func(s string) bool { return strings.HasSuffix(s, ".tmp") }) {
		t.Errorf("what was received is still there: %v", names)
	}
}

// A snapshot that found no room when it was whole is still due.
func TestSnapshotIsTriedAgain(t *testing.T) {
	tuning := snapshotTuning()
	tuning.SnapshotEntries, tuning.SnapshotBytes = 1<<40, 4<<10
	c := newCluster(t, 19, 1, tuning)
	l := c.leader()
	l.fs.Inject(disk.Fault{Kind: disk.OpSync, Name: ".snap.tmp", Err: errNoSpace})
	for i := 0; !l.replica.noRoom; i++ {
		if i == 1000 {
			t.Fatal("no snapshot was refused")
		}
		l.propose(fmt.Sprintf("v%d %x", i, make([]byte, 100)))
		c.run(10 * time.Millisecond)
	}
	before := l.replica.Status().Snapshot
	c.until("a snapshot", 2*snapshotPause, func() bool { return l.replica.Status().Snapshot > before })
}
