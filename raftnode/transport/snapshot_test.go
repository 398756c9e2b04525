package transport

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/raftnode"
	"go.etcd.io/raft/v3/raftpb"
)

// content is n pseudo-random bytes that fail with err, or end, after them.
type content struct {
	left   int
	err    error
	rng    *rand.ChaCha8
	sum    hash.Hash
	closed chan struct{}
}

func newContent(n int, err error) *content {
	return &content{left: n, err: err, rng: rand.NewChaCha8([32]byte{1}), sum: sha256.New(), closed: make(chan struct{})}
}

func (c *content) Read(p []byte) (int, error) {
	if c.left == 0 {
		if c.err != nil {
			return 0, c.err
		}
		return 0, io.EOF
	}
	n, _ := c.rng.Read(p[:min(len(p), c.left)])
	c.left -= n
	_, _ = c.sum.Write(p[:n])
	return n, nil
}

func (c *content) Close() error { close(c.closed); return nil }

func (c *content) open() (io.ReadCloser, error) { return c, nil }

// taken is what a receiving node saw of a snapshot.
type taken struct {
	group raftnode.GroupID
	from  raftnode.NodeID
	index uint64
	bytes int64
	sum   []byte
	err   error
}

func takeInto(out chan<- taken) func(raftnode.GroupID, raftnode.NodeID, *raftpb.Message, io.Reader) error {
	return func(g raftnode.GroupID, from raftnode.NodeID, m *raftpb.Message, r io.Reader) error {
		sum := sha256.New()
		n, err := io.Copy(sum, r)
		out <- taken{g, from, m.GetSnapshot().GetMetadata().GetIndex(), n, sum.Sum(nil), err}
		return err
	}
}

func TestSnapshotArrivesWhole(t *testing.T) {
	checkLeaks(t)
	a, b := pair(t, nil)
	got := make(chan taken, 1)
	b.onSnapshot(takeInto(got))
	for _, size := range []int{0, 1, chunkBytes, chunkBytes + 1, 50 << 20} {
		c := newContent(size, nil)
		a.SendSnapshot(8, snapshotOf(1, 2, 42), c.open)
		s := receive(t, got, "the snapshot")
		if s.group != 8 || s.from != 1 || s.index != 42 || s.bytes != int64(size) || s.err != nil || !bytes.Equal(s.sum, c.sum.Sum(nil)) {
			t.Errorf("%d bytes: got %+v", size, s)
		}
		if end := receive(t, a.ended, "the end"); end != (snapshotEnd{8, 2, 42, nil}) {
			t.Errorf("%d bytes: ended %+v", size, end)
		}
		receive(t, c.closed, "the source to be closed")
	}
	if s, _ := a.statsOf(2); s.SnapshotsSent != 5 || s.SnapshotsFailed != 0 || s.Connects != 1 {
		t.Errorf("stats: %+v", s)
	}
}

func TestMessagesPassASnapshot(t *testing.T) {
	a, b := pair(t, nil)
	begun, release := make(chan struct{}), make(chan struct{})
	b.onSnapshot(func(_ raftnode.GroupID, _ raftnode.NodeID, _ *raftpb.Message, r io.Reader) error {
		close(begun)
		<-release
		_, err := io.Copy(io.Discard, r)
		return err
	})
	a.SendSnapshot(8, snapshotOf(1, 2, 42), newContent(20<<20, nil).open)
	receive(t, begun, "the snapshot")
	a.Send(8, heartbeat(1, 2, 1))
	receive(t, b.got, "a heartbeat while a snapshot stands still")

	// One snapshot of a group at a time.
	a.SendSnapshot(8, snapshotOf(1, 2, 43), func() (io.ReadCloser, error) { t.Error("opened"); return nil, io.EOF })
	if end := receive(t, a.ended, "the refusal"); end.index != 43 || !errors.Is(end.err, ErrBusy) {
		t.Errorf("ended %+v", end)
	}
	close(release)
	if end := receive(t, a.ended, "the end"); end.index != 42 || end.err != nil {
		t.Errorf("ended %+v", end)
	}
}

func TestAbortedSnapshotFailsOnBothSides(t *testing.T) {
	broken := errors.New("the disk is broken")
	for name, c := range map[string]struct {
		sender error            // of the source, in the middle
		during func(a, b *node) // called in the middle
		refuse error            // of the receiver, in the middle
		sent   []string         // in the sender's error
		got    []string         // in the receiver's
	}{
		"source fails":    {sender: broken, sent: []string{"the disk is broken"}, got: []string{"aborted by its sender", "the disk is broken"}},
		"receiver fails":  {refuse: broken, sent: []string{"node 2 refused: the disk is broken"}},
		"sender ends":     {during: func(a, b *node) { go a.Close() }, got: []string{"aborted: connection lost"}},
		"receiver ends":   {during: func(a, b *node) { go b.Close() }, sent: []string{"aborted"}, got: []string{"aborted: connection lost"}},
		"receiver panics": {during: func(a, b *node) { panic("no snapshots today") }, sent: []string{"node 2 refused", "failed on a message"}},
		"sender removed":  {during: func(a, b *node) { b.SetPeers(map[raftnode.NodeID]string{9: a.addr}) }, sent: []string{"aborted"}, got: []string{"aborted"}},
	} {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			a, b := pair(t, nil)
			got := make(chan error, 1)
			b.onSnapshot(func(_ raftnode.GroupID, _ raftnode.NodeID, _ *raftpb.Message, r io.Reader) error {
				if _, err := io.CopyN(io.Discard, r, 1<<20); err != nil {
					t.Errorf("failed early: %v", err)
				}
				if c.during != nil {
					c.during(a, b)
				}
				if c.refuse != nil {
					return c.refuse
				}
				_, err := io.Copy(io.Discard, r)
				got <- err
				return err
			})
			a.SendSnapshot(8, snapshotOf(1, 2, 42), newContent(64<<20, c.sender).open)
			if len(c.got) > 0 {
				err := receive(t, got, "the receiver's error")
				if !errors.Is(err, ErrAborted) || errors.Is(err, io.EOF) {
					t.Errorf("receiver saw %v, want an ErrAborted", err)
				}
				for _, want := range c.got {
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("receiver saw %v, want %q", err, want)
					}
				}
			}
			end := receive(t, a.ended, "the end")
			if end.err == nil {
				t.Error("the sender was told that the snapshot arrived")
			}
			for _, want := range c.sent {
				if end.err == nil || !strings.Contains(end.err.Error(), want) {
					t.Errorf("sender saw %v, want %q", end.err, want)
				}
			}
		})
	}
}

func TestSnapshotThatStandsStillIsGivenUp(t *testing.T) {
	a, b := pair(t, func(c *Config) { c.SnapshotStallTimeout = 100 * time.Millisecond })
	got := make(chan taken, 1)
	b.onSnapshot(takeInto(got))
	r, w := io.Pipe() // gives nothing
	a.SendSnapshot(8, snapshotOf(1, 2, 42), func() (io.ReadCloser, error) { return r, nil })
	if s := receive(t, got, "the receiver's error"); !errors.Is(s.err, ErrAborted) {
		t.Errorf("receiver saw %v", s.err)
	}
	go func() { _, _ = w.Write(make([]byte, 1)); _ = w.Close() }()
	if end := receive(t, a.ended, "the end"); end.err == nil {
		t.Error("the sender was told that the snapshot arrived")
	}
}

func TestSlowRestoreIsWaitedFor(t *testing.T) {
	a, b := pair(t, func(c *Config) { c.SnapshotStallTimeout = 50 * time.Millisecond })
	b.onSnapshot(func(_ raftnode.GroupID, _ raftnode.NodeID, _ *raftpb.Message, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		time.Sleep(200 * time.Millisecond) // the time it takes, not a wait for something
		return err
	})
	a.SendSnapshot(8, snapshotOf(1, 2, 42), newContent(100, nil).open)
	if end := receive(t, a.ended, "the end"); end.err != nil {
		t.Errorf("ended %+v", end)
	}
}

func TestSnapshotThatCannotBeSent(t *testing.T) {
	a := start(t, 1, nil)
	gone := listen(t, "127.0.0.1:0")
	_ = gone.Close()
	a.SetPeers(map[raftnode.NodeID]string{2: gone.Addr().String()})
	broken := errors.New("no such snapshot")

	a.SendSnapshot(8, snapshotOf(1, 3, 1), nil)
	if end := receive(t, a.ended, "the end"); end.to != 3 || !errors.Is(end.err, ErrUnknownPeer) {
		t.Errorf("unknown peer: %+v", end)
	}
	a.SendSnapshot(8, snapshotOf(1, 2, 1), func() (io.ReadCloser, error) { return nil, broken })
	if end := receive(t, a.ended, "the end"); !errors.Is(end.err, broken) {
		t.Errorf("source that does not open: %+v", end)
	}
	c := newContent(1, nil)
	a.SendSnapshot(8, snapshotOf(1, 2, 1), c.open)
	if end := receive(t, a.ended, "the end"); end.err == nil {
		t.Errorf("nobody there: %+v", end)
	}
	receive(t, c.closed, "the source to be closed")
}

func TestReceiverMayStopAtTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		read int64
		ok   bool
	}{
		"after the last byte":  {read: 300_000, ok: true},
		"before the last byte": {read: 299_999},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, nil)
			b.onSnapshot(func(_ raftnode.GroupID, _ raftnode.NodeID, _ *raftpb.Message, r io.Reader) error {
				_, err := io.CopyN(io.Discard, r, c.read)
				return err
			})
			a.SendSnapshot(8, snapshotOf(1, 2, 42), newContent(300_000, nil).open)
			if end := receive(t, a.ended, "the end"); (end.err == nil) != c.ok {
				t.Errorf("ended %+v", end)
			}
		})
	}
}
