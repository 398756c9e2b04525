package transport

import (
	"testing"

	"github.com/conch-lock/conch/internal/cost"
	"go.etcd.io/raft/v3/raftpb"
	"storj.io/drpc/drpcstream"
	"storj.io/drpc/drpcwire"
)

// What a message between nodes may allocate. Whoever needs more says why, and
// whoever needs less lowers the figure.
const (
	allocsOfSending   = 0
	allocsOfHeartbeat = 6  // that arrives
	allocsOfAppend    = 77 // that arrives, with 16 entries
)

// TestCostOfMessages: who writes messages uses the memory of the one before, and
// who reads them takes what they hold.
func TestCostOfMessages(t *testing.T) {
	entries := appendOf(1, 2, 1, make([]byte, 200))
	for len(entries.Entries) < 16 {
		entries.Entries = append(entries.Entries, entries.Entries[0])
	}
	c := &codec{max: 8 << 20}
	for _, m := range []struct {
		what string
		msg  *raftpb.Message
		most float64
	}{{"a heartbeat", heartbeat(1, 2, 1), allocsOfHeartbeat}, {"an append of 16 entries", entries, allocsOfAppend}} {
		written := 0
		w := newFrameWriter(drpcstream.New(t.Context(), 1, drpcwire.NewWriter(counter{&written}, 0)), c)
		f := &frame{kind: kindRaft, group: 1, msg: m.msg}
		cost.AtMost(t, "allocations of "+m.what+" that is sent", testing.AllocsPerRun(100, func() {
			if err := w.send(f); err != nil {
				t.Fatal(err)
			}
		}), allocsOfSending)
		b, err := c.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if written < 101*len(b) {
			t.Errorf("%d bytes were written", written)
		}
		var back frame
		cost.AtMost(t, "allocations of "+m.what+" that arrives", testing.AllocsPerRun(100, func() {
			if err := c.Unmarshal(b, &back); err != nil || len(back.msg.GetEntries()) != len(m.msg.GetEntries()) {
				t.Fatal(err)
			}
		}), m.most)
	}
}

type counter struct{ n *int }

func (c counter) Write(p []byte) (int, error) { *c.n += len(p); return len(p), nil }
