package raftnode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/conch-lock/conch/raftnode/disk"
)

// fleet is some hosts with one group each, with real goroutines.
type fleet struct {
	t    *testing.T
	net  *network
	fs   []*disk.Mem
	host []*Host
	mach []*tally
	grp  []*Group
}

func newFleet(t *testing.T, n int) *fleet {
	f := &fleet{t: t, net: newNetwork(), fs: make([]*disk.Mem, n), host: make([]*Host, n), mach: make([]*tally, n), grp: make([]*Group, n)}
	for i := range n {
		f.fs[i] = disk.NewMem()
	}
	for i := range n {
		f.start(i, f.initial())
	}
	t.Cleanup(func() {
		for i := range f.host {
			f.stop(i)
		}
	})
	return f
}

func (f *fleet) initial() []Member {
	var list []Member
	for i := range f.fs {
		list = append(list, Member{ID: NodeID(i + 1), Name: fmt.Sprint("n", i+1), Address: fmt.Sprint("n", i+1)})
	}
	return list
}

func (f *fleet) config(i int) HostConfig {
	return HostConfig{
		Identity: Identity{Cluster: 7, Node: NodeID(i + 1), Name: fmt.Sprint("n", i+1)},
		Dir:      "/data", FS: f.fs[i], Transport: f.net.connect, Seed: uint64(i + 1), Logger: zerolog.Nop(),
	}
}

func (f *fleet) start(i int, initial []Member) {
	f.t.Helper()
	var err error
	if f.host[i], err = NewHost(f.config(i)); err != nil {
		f.t.Fatal(err)
	}
	f.mach[i] = &tally{}
	f.grp[i], err = f.host[i].StartGroup(GroupConfig{ID: 1, Cell: "default", Initial: initial, Machine: f.mach[i], Tuning: snapshotTuning()})
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) stop(i int) {
	if f.host[i] != nil {
		if err := f.host[i].Close(); err != nil {
			f.t.Error(err)
		}
		f.host[i] = nil
	}
}

// until waits for a condition; in a bubble the waiting costs nothing.
func (f *fleet) until(what string, holds func() bool) {
	f.t.Helper()
	for begin := time.Now(); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			f.t.Fatalf("%s did not happen", what)
		}
	}
}

func (f *fleet) leader() int {
	f.t.Helper()
	found := -1
	f.until("an election", func() bool {
		for i, g := range f.grp {
			if f.host[i] != nil && g.Status().Leading {
				found = i
			}
		}
		return found >= 0
	})
	return found
}

func (f *fleet) propose(i int, v string) {
	f.t.Helper()
	if err := f.grp[i].Do(func() { f.mach[i].queue = append(f.mach[i].queue, []byte(v)) }); err != nil {
		f.t.Fatal(err)
	}
}

// A real host measures its disk: with one that has become slow it does not lead on.
func TestHostWithASlowDiskHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3)
		l := f.leader()
		f.fs[l].SetHook(func(op disk.Op) error {
			if op.Kind == disk.OpSync {
				time.Sleep(100 * time.Millisecond)
			}
			return nil
		})
		n := 0
		f.until("a hand-over", func() bool {
			n++
			f.propose(f.leader(), fmt.Sprint("v", n))
			return f.leader() != l
		})
		f.fs[l].SetHook(nil)
		f.propose(f.leader(), "the end")
		f.everywhere("the end")
	})
}

// has tells, by way of the group's goroutine, whether a value was applied at a node.
func (f *fleet) has(i int, v string) bool {
	result := make(chan bool, 1)
	if err := f.grp[i].Do(func() { result <- slices.Contains(f.mach[i].values, v) }); err != nil {
		return false
	}
	return <-result
}

func (f *fleet) everywhere(v string) {
	f.t.Helper()
	f.until("applying "+v, func() bool {
		for i := range f.grp {
			if f.host[i] != nil && !f.has(i, v) {
				return false
			}
		}
		return true
	})
}

func TestGroupsReplicate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3)
		l := f.leader()
		for i := range 50 {
			f.propose(l, fmt.Sprint("v", i))
		}
		f.everywhere("v49")

		// A read on a follower sees it.
		read := make(chan error, 1)
		if err := f.grp[(l+1)%3].ReadIndex(func(err error) { read <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-read; err != nil {
			t.Errorf("read: %v", err)
		}
		// Application messages arrive, at home too.
		for i := range 3 {
			if !f.grp[l].Send(NodeID(i+1), []byte("hello")) {
				t.Errorf("a message to node %d was refused", i+1)
			}
			f.until("the message", func() bool {
				got := make(chan int, 1)
				_ = f.grp[i].Do(func() { got <- len(f.mach[i].received) })
				return <-got == 1
			})
		}
		if f.grp[l].Send(9, []byte("nobody")) {
			t.Error("a message to nobody was accepted")
		}
		// Leadership goes where it is told to.
		to := NodeID((l+1)%3 + 1)
		if err := f.grp[l].TransferLeader(context.Background(), to); err != nil {
			t.Errorf("transfer: %v", err)
		}
		if f.leader(); f.grp[l].Status().Leader != to {
			t.Errorf("%v leads instead of %v", f.grp[l].Status().Leader, to)
		}
	})
}

// TestStopWhileATurnIsGivenElsewhere: the turn that a message's reader has claimed
// when the group is told to stop is the last one, and the group ends.
func TestStopWhileATurnIsGivenElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3)
		i := (f.leader() + 1) % 3
		g := f.grp[i]
		synctest.Wait() // nobody gives a turn
		if !g.claim() {
			t.Fatal("a turn is claimed that nobody gives")
		}
		go g.Stop()
		synctest.Wait() // it has asked for a turn, too
		if g.wanted.Load() < 2 {
			t.Fatal("the group did not ask for its last turn")
		}
		if !g.turnHere() {
			g.baton <- struct{}{}
		}
		select {
		case <-g.Done():
		case <-time.After(time.Minute):
			t.Error("the group goes on")
		}
		if err := g.Err(); !errors.Is(err, ErrStopped) {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestHostStopsAndStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3)
		l := f.leader()
		for i := range 30 {
			f.propose(l, fmt.Sprint("v", i))
			time.Sleep(10 * time.Millisecond)
		}
		f.everywhere("v29")
		begin := time.Now()
		f.stop(l)
		next := f.leader()
		if d := time.Since(begin); d > 500*time.Millisecond {
			t.Errorf("without the leader it took %v to get another", d)
		}
		for i := range 40 {
			f.propose(next, fmt.Sprint("w", i))
			time.Sleep(10 * time.Millisecond)
		}
		f.start(l, f.initial())
		f.everywhere("w39")
		if err := f.grp[l].Err(); err != nil {
			t.Error(err)
		}
		f.stop(l)
		if err := f.grp[l].Err(); !errors.Is(err, ErrStopped) {
			t.Errorf("a stopped group says %v", err)
		}
		if err := f.grp[l].Do(func() {}); !errors.Is(err, ErrStopped) {
			t.Errorf("a stopped group takes work: %v", err)
		}
	})
}

func TestNewMemberJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3)
		l := f.leader()
		f.propose(l, "before")
		f.everywhere("before")
		f.fs, f.host = append(f.fs, disk.NewMem()), append(f.host, nil)
		f.mach, f.grp = append(f.mach, nil), append(f.grp, nil)
		f.start(3, nil)
		ctx := context.Background()
		m := Member{ID: 4, Name: "n4", Address: "n4"}
		if err := f.grp[l].ChangeMembers(ctx, AddLearner, m); err != nil {
			t.Fatal(err)
		}
		f.everywhere("before")
		f.until("catching up", func() bool {
			err := f.grp[l].ChangeMembers(ctx, Promote, m)
			if err != nil && !errors.Is(err, ErrNotCaughtUp) {
				t.Fatal(err)
			}
			return err == nil
		})
		f.until("four voters", func() bool {
			s := f.grp[3].Status()
			return len(s.Members) == 4 && s.Role == Follower && !slices.ContainsFunc(s.Members, func(m Member) bool { return m.Learner })
		})
	})
}

func TestFailedGroupSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		l := f.leader()
		f.fs[0].Inject(disk.Fault{Kind: disk.OpSync, Always: true})
		f.propose(l, "doomed")
		read := make(chan error, 1)
		if err := f.grp[0].ReadIndex(func(err error) { read <- err }); errors.Is(err, ErrStopped) {
			read <- err // it has stopped by now
		} else if err != nil {
			t.Fatal(err)
		}
		<-f.grp[0].Done()
		if err := f.grp[0].Err(); err == nil || errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), "log") {
			t.Errorf("the group ended with %v", err)
		}
		<-read
	})
}

func TestDataDirectoryIsOneNodes(t *testing.T) {
	f := &fleet{t: t, net: newNetwork(), fs: []*disk.Mem{disk.NewMem()}}
	h, err := NewHost(f.config(0))
	if err != nil {
		t.Fatal(err)
	}
	// Not twice at a time.
	if _, err := NewHost(f.config(0)); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("a second host in the same directory: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	// Not by another node or cluster.
	for _, change := range []func(*Identity){
		func(id *Identity) { id.Node = 2 }, func(id *Identity) { id.Cluster = 8 },
	} {
		cfg := f.config(0)
		change(&cfg.Identity)
		if _, err := NewHost(cfg); !errors.Is(err, ErrWrongDir) {
			t.Errorf("as %+v: %v", cfg.Identity, err)
		}
	}
	// A damaged file is damage, not a new directory.
	if err := f.fs[0].FlipBit("/data/identity", 20, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := NewHost(f.config(0)); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("with a damaged identity: %v", err)
	}
	if err := f.fs[0].FlipBit("/data/identity", 20, 1); err != nil {
		t.Fatal(err)
	}
	h, err = NewHost(f.config(0))
	if err != nil {
		t.Fatalf("with everything as it was: %v", err)
	}
	for _, cell := range []string{"", "Default", "a/b", "..", strings.Repeat("x", 64)} {
		if _, err := h.StartGroup(GroupConfig{ID: 1, Cell: cell, Machine: &tally{}}); err == nil {
			t.Errorf("cell name %q was accepted", cell)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestInboxIsBounded(t *testing.T) {
	b := inbox{signal: func() {}}
	refused := 0
	for range 2 * maxInboxPayloads {
		if b.payload(PeerPayload{1, []byte("x")}) != nil {
			refused++
		}
	}
	if refused != maxInboxPayloads {
		t.Errorf("%d of %d payloads were refused", refused, 2*maxInboxPayloads)
	}
	if err := b.payload(PeerPayload{1, make([]byte, maxInboxBytes)}); !errors.Is(err, ErrBusy) {
		t.Errorf("a payload beyond the bytes: %v", err)
	}
	in, _ := b.take(Inputs{}, nil)
	if len(in.Payloads) != maxInboxPayloads || b.payload(PeerPayload{1, []byte("x")}) != nil {
		t.Error("an emptied inbox has no room")
	}
}
