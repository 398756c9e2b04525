package transport

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// allocates is how many bytes f allocates.
func allocates(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// seedFrames are messages between nodes, one of each kind.
func seedFrames(tb testing.TB) [][]byte {
	c := &codec{max: maxMessageBytes}
	var list [][]byte
	for _, f := range []frame{
		{kind: kindHello, data: hello{version: protocolVersion, cluster: testCluster, from: 1, to: 2, directory: 3}.encode()},
		{kind: kindWelcome, data: []byte(helloMagic + "\x00\x01")},
		{kind: kindRaft, group: 1, msg: heartbeat(1, 2, 7)},
		{kind: kindRaft, group: 1, msg: appendOf(1, 2, 7, []byte("payload"))},
		{kind: kindApp, group: 300, data: []byte("payload")},
		{kind: kindPing, data: make([]byte, 8)},
		{kind: kindHeader, group: 1, msg: snapshotOf(1, 2, 42)},
		{kind: kindChunk, data: []byte("chunk")},
		{kind: kindEnd, data: make([]byte, 12)},
		{kind: kindResult},
	} {
		b, err := c.Marshal(&f)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

// FuzzFrame: bytes from another node are a message, which is spelt again as it
// was understood, or an error; reading them takes memory in proportion.
func FuzzFrame(f *testing.F) {
	for _, b := range seedFrames(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &codec{max: maxMessageBytes}
		var got frame
		var err error
		if n := allocates(func() { err = c.Unmarshal(b, &got) }); n > 128*len(b)+64<<10 {
			t.Fatalf("%d bytes took %d", len(b), n)
		}
		_, _ = decodeHello(&got)
		if err != nil {
			return
		}
		again, err := c.Marshal(&got)
		if err != nil {
			t.Fatal(err)
		}
		var twice frame
		if err := c.Unmarshal(again, &twice); err != nil {
			t.Fatalf("%x became %x: %v", b, again, err)
		}
		if got.kind != twice.kind || got.group != twice.group || !bytes.Equal(got.data, twice.data) || !proto.Equal(got.msg, twice.msg) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

// TestLargeMessagesAreMeasured: what would take much more memory than it has
// bytes is refused before it is decoded, and what a leader sends is not.
func TestLargeMessagesAreMeasured(t *testing.T) {
	fields := (&raftpb.Message{}).ProtoReflect().Descriptor().Fields()
	if fields.ByNumber(fieldEntries).Name() != "entries" || fields.ByNumber(fieldResponses).Name() != "responses" {
		t.Fatal("the fields of a message have other numbers")
	}
	c := &codec{max: maxMessageBytes}
	header := binary.AppendUvarint([]byte{byte(kindRaft)}, 1)
	nested := []byte{}
	for range 20_000 {
		nested = append(binary.AppendUvarint([]byte{fieldResponses<<3 | 2}, uint64(len(nested))), nested...)
	}
	for name, x := range map[string]struct {
		body []byte
		want string
	}{
		"entries without anything": {bytes.Repeat([]byte{fieldEntries<<3 | 2, 0}, 4<<20-2), "more than 65536 entries"},
		"messages within":          {nested, "messages within"},
		"half a field":             {[]byte{fieldEntries<<3 | 2, 5}, "unexpected EOF"},
	} {
		var err error
		n := allocates(func() { err = c.Unmarshal(append(bytes.Clone(header), x.body...), &frame{}) })
		if err == nil || !strings.Contains(err.Error(), x.want) || n > len(x.body)+1<<20 {
			t.Errorf("%s: %v, and %d bytes", name, err, n)
		}
	}
	full := &raftpb.Message{Type: raftpb.MsgApp.Enum()}
	for i := range uint64(maxEntries) {
		full.Entries = append(full.Entries, &raftpb.Entry{Term: proto.Uint64(1), Index: proto.Uint64(i)})
	}
	b, err := c.Marshal(&frame{kind: kindRaft, group: 1, msg: full})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Unmarshal(b, &frame{}); err != nil {
		t.Errorf("the most that a leader sends: %v", err)
	}
}
