package raftnode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/conch-lock/conch/raftnode/disk"
)

// forger makes messages out of bytes: mostly ones that nearly fit the replica
// they are for, since those get furthest.
type forger struct {
	b []byte
	n *simNode
}

func (f *forger) byte() byte {
	if len(f.b) == 0 {
		return 0
	}
	v := f.b[0]
	f.b = f.b[1:]
	return v
}

// near is a number close to v, or, rarely, a wild one.
func (f *forger) near(v uint64) *uint64 {
	switch d := f.byte(); {
	case d < 0x70:
		return new(v + uint64(d%8))
	case d < 0xe0:
		return new(v - min(v, uint64(d%8)))
	case d < 0xe8:
		return nil
	case d < 0xf0:
		return new(uint64(1) << (f.byte() % 64))
	default:
		return new(^uint64(0) - uint64(f.byte()))
	}
}

func (f *forger) message() PeerMessage {
	r := f.n.replica
	from := NodeID(f.byte()%4 + 1)
	m := &raftpb.Message{
		Type: raftpb.MessageType(f.byte() % 25).Enum(),
		From: new(uint64(from)), To: new(uint64(f.n.id)), Term: f.near(r.hard.GetTerm()),
		Index: f.near(r.log.last()), LogTerm: f.near(r.hard.GetTerm()), Commit: f.near(r.hard.GetCommit()),
	}
	flags := f.byte()
	if flags&1 != 0 {
		m.Reject, m.RejectHint = new(true), f.near(r.log.last())
	}
	if flags&2 != 0 {
		m.Context = binary.LittleEndian.AppendUint64(nil, *cmpOr(f.near(r.heartbeat)))
	}
	if flags&4 != 0 {
		m.Context = []byte(transferContext)
	}
	for i := range uint64(f.byte() % 4) {
		e := &raftpb.Entry{Index: new(m.GetIndex() + 1 + i), Term: f.near(m.GetLogTerm()), Data: []byte{f.byte()}}
		switch f.byte() % 8 {
		case 0:
			e.Index = f.near(m.GetIndex())
		case 1:
			kind := raftpb.EntryType(f.byte() % 4)
			e.Type = &kind
		case 2: // a change of members that can be read
			kind := raftpb.EntryConfChangeV2
			e.Type = &kind
			cc := &raftpb.ConfChangeV2{Changes: []*raftpb.ConfChangeSingle{{
				Type: raftpb.ConfChangeType(f.byte() % 4).Enum(), NodeId: new(uint64(f.byte() % 6)),
			}}}
			e.Data, _ = proto.Marshal(cc)
		}
		m.Entries = append(m.Entries, e)
	}
	if flags&8 != 0 {
		m.Entries = []*raftpb.Entry{{Data: make([]byte, readContextBytes)}}
		m.Term = nil
	}
	if flags&16 != 0 {
		m.Snapshot = raftSnapshot(*cmpOr(f.near(r.log.last())), *cmpOr(f.near(r.hard.GetTerm())), r.members)
	}
	if flags&32 != 0 && len(f.b) > 0 { // what was left out, and lists with nothing in them
		n := int(f.byte())
		_ = proto.UnmarshalOptions{Merge: true}.Unmarshal(f.b[:min(len(f.b), n)], m)
	}
	return PeerMessage{From: from, Message: m}
}

// cmpOr is p, or a pointer to 0.
func cmpOr(p *uint64) *uint64 {
	if p == nil {
		return new(uint64)
	}
	return p
}

// FuzzStep: whatever a node of the cluster says to a leader or a follower,
// through the check and raft itself, nothing panics or hangs, and the replica
// goes on unless it is told to end by its own disk. It is allowed to believe
// lies: nodes are trusted not to tell any.
func FuzzStep(f *testing.F) {
	f.Add([]byte{0})
	for kind := range byte(25) {
		for _, flags := range []byte{0, 1, 2, 4, 8, 16} {
			f.Add([]byte{1, kind, 0, 0, 0, 0, flags, 1, 0, 'x', 3, 2, kind, 1, 0, 0, 0, flags, 2, 0, 'y', 2, 0, 1, 4})
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1024 {
			return
		}
		c := newCluster(t, 77, 3, snapshotTuning())
		l := c.leader()
		l.propose("a", "b", "c")
		c.everywhere("c")
		n := l
		if len(b) > 0 && b[0]&1 != 0 {
			n = c.node(l.id%3 + 1)
			b = b[1:]
		}
		n.machine.onApply = nil // entries may be forged
		forge := &forger{b: b, n: n}
		turns := 0
		for len(forge.b) > 0 && n.up() {
			var in Inputs
			for range forge.byte()%3 + 1 {
				in.Messages = append(in.Messages, forge.message())
			}
			c.now += time.Duration(forge.byte()) * time.Millisecond
			for range 50 {
				out, err := n.replica.Turn(c.now, in)
				if err != nil {
					t.Fatalf("the replica ended: %v", err)
				}
				in = Inputs{}
				if turns++; !out.Busy {
					break
				}
				if turns > 10_000 {
					t.Fatal("it never comes to rest")
				}
			}
		}
		if !n.up() {
			return
		}
		// It comes up again with what it took in.
		n.fs.Crash(disk.DropUnsynced())
		n.start()
		if n.err != nil {
			t.Fatalf("it does not start with what it took in: %v", n.err)
		}
		_ = n.replica.Close()
	})
}

// FuzzSpool: a snapshot that arrives as any bytes under any message is refused or
// is whole; an incomplete one leaves no file.
func FuzzSpool(f *testing.F) {
	c := newCluster(f, 16, 1, snapshotTuning())
	n := c.leader()
	n.propose(numbered("value", 40)...)
	c.until("a snapshot", 5*time.Second, func() bool { return n.replica.Status().Snapshot > 20 })
	m, content := n.stream(f)
	message, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(message, content)
	f.Add(message, content[:len(content)/2])
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, message, content []byte) {
		m := &raftpb.Message{}
		if proto.Unmarshal(message, m) != nil {
			return
		}
		fs := disk.NewMem()
		var path string
		var err error
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		path, err = Spool(fs, "/g", 7, 1, m, strings.NewReader(string(content)))
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > uint64(128*(len(message)+len(content))+4<<20) {
			t.Fatalf("%d bytes took %d", len(message)+len(content), used)
		}
		names, _ := fs.List("/g/snapshots")
		if err != nil {
			if len(names) > 0 {
				t.Fatalf("%v, and it left %v", err, names)
			}
			return
		}
		r, err := openStream(fs, path, metaOf(7, 1, m.GetSnapshot()))
		if err != nil {
			t.Fatal(err)
		}
		again, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(again, content) {
			t.Fatalf("what was taken is another one: %v", err)
		}
	})
}

// FuzzDataDir: a data directory whose small files hold any bytes is refused with
// a reason or used; none panics.
func FuzzDataDir(f *testing.F) {
	fs := disk.NewMem()
	_ = fs.MkdirAll("/d")
	self := Identity{Cluster: 7, Node: 1, Name: "n1"}
	d, err := claimDir(fs, "/d", self)
	if err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(d.begin("default"), (&admission{fs: fs, dir: "/d", known: map[NodeID]uint64{}}).admit(2, 99)); err != nil {
		f.Fatal(err)
	}
	identity, _ := fs.ReadFile("/d/identity")
	peers, _ := fs.ReadFile("/d/peers")
	f.Add(identity, peers, false)
	f.Add([]byte(`{"version":1,"cluster":"7","node":"1","name":"n1","directory":"zz"}`), []byte(`{"version":1,"directories":{"2":"x"}}`), true)
	f.Add([]byte("null"), []byte("[]"), true)
	f.Fuzz(func(t *testing.T, identity, peers []byte, right bool) {
		if right { // with the checksum that it ought to have
			identity = []byte(string(identity) + "\n" + checksum(string(identity)) + "\n")
			peers = []byte(string(peers) + "\n" + checksum(string(peers)) + "\n")
		}
		fs := disk.NewMem()
		if err := errors.Join(fs.MkdirAll("/d"), fs.WriteFile("/d/identity", identity), fs.WriteFile("/d/peers", peers)); err != nil {
			t.Fatal(err)
		}
		if d, err := claimDir(fs, "/d", self); err == nil {
			_ = d.begun("default")
			if d.self.Directory == 0 && !right {
				t.Fatal("a directory without a number")
			}
		}
		if a, err := openAdmission(fs, "/d"); err == nil {
			if err := a.admit(3, 5); err != nil && !errors.Is(err, ErrOtherDirectory) {
				t.Fatal(err)
			}
		}
	})
}
