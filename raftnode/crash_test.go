package raftnode

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/conch-lock/conch/raftnode/disk"
)

// crashOperations says how long the trace is in operations on the disk, and
// crashSeeds how many there are. 1000 operations is a long run.
const (
	crashOperations = "CONCH_CRASH_OPERATIONS"
	crashSeeds      = "CONCH_CRASH_SEEDS"
)

func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: a number from 1 on is wanted", name, text)
	}
	return n
}

// acknowledged is what a node has been told, or has told others, to be on disk.
type acknowledged struct {
	directory uint64            // number of the data directory; 0: not drawn yet
	peers     map[NodeID]uint64 // directories of others
	begun     bool              // the cell has data here
	applied   []string          // by a group of one voter: committed, so that clients were answered
	term      uint64
}

// storage is everything of a node on disk, as a host has it: the small files of
// the data directory, and a group's log and snapshots.
type storage struct {
	t       *testing.T
	fs      *disk.Mem
	dir     *dataDir
	known   *admission
	machine *tally
	replica *Replica
	begun   bool // the cell had begun before open
}

const crashDir = "/data"

var crashSelf = Identity{Cluster: 7, Node: 1, Name: "n1"}

// open brings a node up in the order of NewHost and StartGroup; told is called
// after each thing that is on disk from then on.
func (s *storage) open(told func()) error {
	var err error
	if err = s.fs.MkdirAll(crashDir); err != nil {
		return err
	}
	if s.dir, err = claimDir(s.fs, crashDir, crashSelf); err != nil {
		return err
	}
	told()
	if s.known, err = openAdmission(s.fs, crashDir); err != nil {
		return err
	}
	s.machine, s.begun = &tally{}, s.dir.begun("g")
	s.replica, err = NewReplica(ReplicaConfig{
		Cluster: 7, Group: 1, Node: 1, FS: s.fs, Dir: crashDir + "/cells/g", Begun: s.begun,
		Initial: []Member{{ID: 1, Name: "n1", Address: "n1:1"}}, Machine: s.machine, Outbox: &simNode{c: &cluster{t: s.t}, id: 1},
		Tuning: snapshotTuning(), Rand: rand.New(rand.NewPCG(1, 2)), Logger: zerolog.Nop(),
	})
	if err != nil {
		return err
	}
	if s.replica.begun() {
		if err = s.dir.begin("g"); err != nil {
			return err
		}
	}
	told()
	return nil
}

// lead gives turns until everything in the log is applied.
func (s *storage) lead() error {
	for now := time.Duration(0); s.machine.leads == 0; now += 50 * time.Millisecond {
		if _, err := s.replica.Turn(now, Inputs{}); err != nil {
			return err
		}
		if now > time.Minute {
			return fmt.Errorf("it does not lead after %v", now)
		}
	}
	return nil
}

// check looks at what a crash left of the acknowledged.
func (a *acknowledged) check(t *testing.T, fs *disk.Mem, goOn bool) error {
	s := &storage{t: t, fs: fs}
	if err := s.open(func() {}); err != nil {
		return fmt.Errorf("it does not start: %w", err)
	}
	defer func() { _ = s.replica.Close() }()
	if a.directory != 0 && s.dir.self.Directory != a.directory {
		return fmt.Errorf("the directory has the number %x: it was %x", s.dir.self.Directory, a.directory)
	}
	for id, number := range a.peers {
		if s.known.known[id] != number {
			return fmt.Errorf("node %v is known with directory %x: it was admitted with %x", id, s.known.known[id], number)
		}
	}
	if a.begun && !s.begun {
		return fmt.Errorf("the cell is not known to have begun here")
	}
	if term := s.replica.hard.GetTerm(); term < a.term {
		return fmt.Errorf("term %d: it was %d", term, a.term)
	}
	if err := s.lead(); err != nil {
		return err
	}
	if n := len(a.applied); len(s.machine.values) < n || !slices.Equal(s.machine.values[:n], a.applied) {
		return fmt.Errorf("applied is %d values, acknowledged were %d", len(s.machine.values), n)
	}
	if !goOn {
		return nil
	}
	s.machine.queue = append(s.machine.queue, []byte("after"))
	for now := time.Minute; s.machine.values == nil || s.machine.values[len(s.machine.values)-1] != "after"; now += 10 * time.Millisecond {
		if _, err := s.replica.Turn(now, Inputs{}); err != nil {
			return fmt.Errorf("it does not go on: %w", err)
		}
		if now > 2*time.Minute {
			return fmt.Errorf("it does not go on")
		}
	}
	return nil
}

// few keeps of all that is unsynced just the things whose turn it is: any subset
// of at most three blocks, sizes and lists of names.
func few(keep ...int) disk.Survival {
	at := -1
	return disk.Survival{Keep: func(n int) int {
		if at++; slices.Contains(keep, at) {
			return n
		}
		return 0
	}}
}

// unsynced counts the things that a crash may keep or lose.
func unsynced(fs *disk.Mem) (n int) {
	fs.Clone().Crash(disk.Survival{Keep: func(int) int { n++; return 0 }})
	return n
}

// survivals are the crashes to try at one place: nothing kept, all kept, the last
// write torn at a sector or anywhere, any part, and subsets of up to three
// things: all of them where they are few, some where there are many.
func survivals(rng *rand.Rand, things int) []disk.Survival {
	list := []disk.Survival{disk.DropUnsynced(), disk.KeepUnsynced(), disk.TearLast(rng), disk.KeepSome(rng), {
		Keep: func(n int) int { return n },
		Tear: func(n int) int { return rng.IntN(n/disk.SectorBytes+1) * disk.SectorBytes },
	}}
	if things > 6 {
		for size := 1; size <= 3; size++ {
			list = append(list, few(rng.Perm(things)[:size]...))
		}
		return list
	}
	for a := range things {
		list = append(list, few(a))
		for b := range a {
			list = append(list, few(a, b))
			for c := range b {
				list = append(list, few(a, b, c))
			}
		}
	}
	return list
}

// crashTrace lets a node work until its disk has seen operations, and crashes a
// copy of the disk before each of them, in many ways.
func crashTrace(t *testing.T, seed uint64, operations int, wrong func(*acknowledged)) (crashes int, failure error) {
	rng := rand.New(rand.NewPCG(seed, 7))
	s := &storage{t: t, fs: disk.NewMem()}
	told := &acknowledged{peers: map[NodeID]uint64{}}
	tell := func() {
		told.directory = s.dir.self.Directory
		if s.replica != nil {
			told.begun = s.dir.begun("g")
			told.applied = slices.Clone(s.machine.values)
			told.term = s.replica.hard.GetTerm()
		}
	}
	changes := 0
	s.fs.SetHook(func(op disk.Op) error {
		switch op.Kind {
		case disk.OpRead, disk.OpList, disk.OpOpen, disk.OpLock:
			return nil // nothing changed since the operation before
		}
		changes++
		expected := told
		if wrong != nil {
			expected = &acknowledged{directory: told.directory, peers: told.peers, begun: told.begun, applied: told.applied, term: told.term}
			wrong(expected)
		}
		for i, survival := range survivals(rng, unsynced(s.fs)) {
			c := s.fs.Clone()
			c.Crash(survival)
			crashes++
			if err := expected.check(t, c, rng.IntN(8) == 0); err != nil && failure == nil {
				failure = fmt.Errorf("crash %d before operation %d, %v of %s at %d: %w", i, changes, op.Kind, op.Name, op.Offset, err)
			}
		}
		return nil
	})
	if err := s.open(tell); err != nil {
		t.Fatal(err)
	}
	s.machine.onApply = func(Entry) {}
	for i, now := 0, time.Duration(0); changes < operations && failure == nil; i++ {
		if rng.IntN(3) == 0 {
			s.machine.queue = append(s.machine.queue, fmt.Appendf(nil, "v%d %x", i, make([]byte, rng.IntN(300))))
		}
		if rng.IntN(40) == 0 {
			id := NodeID(100 + i)
			if err := s.known.admit(id, uint64(i)); err != nil {
				t.Fatal(err)
			}
			told.peers[id] = uint64(i)
		}
		for busy := true; busy && changes < operations; {
			out, err := s.replica.Turn(now, Inputs{})
			if err != nil {
				t.Fatal(err)
			}
			busy = out.Busy
			tell()
		}
		now += time.Duration(rng.IntN(100)) * time.Millisecond
		if rng.IntN(60) == 0 { // a restart
			if err := s.replica.Close(); err != nil {
				t.Fatal(err)
			}
			s.replica = nil
			if err := s.open(tell); err != nil {
				t.Fatal(err)
			}
			now = 0
		}
	}
	if failure == nil && s.replica.log.snapshot.GetMetadata().GetIndex() < 20 {
		t.Errorf("seed %d: the trace has no snapshots worth the name: %+v", seed, s.replica.Status())
	}
	s.fs.SetHook(nil)
	_ = s.replica.Close()
	return crashes, failure
}

// TestCrashOfTheWholeDirectory: power is cut before every operation that a node
// does on its disk: its identity, whom it knows, the log, snapshots, and the
// removal of what is not needed any more. What it told anybody is there
// afterwards.
func TestCrashOfTheWholeDirectory(t *testing.T) {
	operations, seeds := setting(t, crashOperations, 250), setting(t, crashSeeds, 1)
	for seed := range uint64(seeds) {
		crashes, err := crashTrace(t, seed, operations, nil)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if crashes < 5*operations {
			t.Errorf("seed %d: only %d crashes", seed, crashes)
		}
		t.Logf("seed %d: %d operations, %d crashes", seed, operations, crashes)
	}
}

// TestCrashTraceFindsLosses: the enumeration finds what it is for. Each change
// claims that a bit more was acknowledged than is on disk.
func TestCrashTraceFindsLosses(t *testing.T) {
	for name, wrong := range map[string]func(*acknowledged){
		"a value":            func(a *acknowledged) { a.applied = append(slices.Clone(a.applied), "lost") },
		"a peer":             func(a *acknowledged) { a.peers = map[NodeID]uint64{99: 1} },
		"the directory":      func(a *acknowledged) { a.directory |= 1 << 40; a.directory ^= 2 },
		"that it has begun":  func(a *acknowledged) { a.begun = true },
		"a term that it had": func(a *acknowledged) { a.term += 1 << 20 },
	} {
		if _, err := crashTrace(t, 3, 120, wrong); err == nil {
			t.Errorf("a loss of %s was not found", name)
		}
	}
}
