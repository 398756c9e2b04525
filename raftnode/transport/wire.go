package transport

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/conch-lock/conch/raftnode"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"storj.io/drpc"
)

// The two methods of a node. Either is a DRPC stream that starts with a hello
// from the dialing node and a welcome from the other; see handshake.go.
const (
	rpcMessages = "/conch.peer.v1.Peer/Messages" // then messages, apps, pings; pongs come back
	rpcSnapshot = "/conch.peer.v1.Peer/Snapshot" // then header, chunks, end; a result comes back
)

// kind is the first byte of every DRPC message between nodes. Integers are
// big-endian unless they are called varints. Numbers are append-only; a change
// that old nodes cannot read raises protocolVersion.
type kind byte

const (
	kindHello   kind = 1  // see handshake.go
	kindWelcome kind = 2  // see handshake.go
	kindRaft    kind = 3  // varint group, raftpb.Message
	kindApp     kind = 4  // varint group, payload
	kindPing    kind = 5  // 8 bytes that come back
	kindPong    kind = 6  // the same 8 bytes
	kindHeader  kind = 7  // varint group, raftpb.Message: announces a snapshot
	kindChunk   kind = 8  // bytes of a snapshot
	kindEnd     kind = 9  // 8 bytes length, 4 bytes CRC32C of all chunks
	kindResult  kind = 10 // nothing: the snapshot was taken; failure is a DRPC error
)

// frame is one DRPC message between nodes, and one place in a queue.
type frame struct {
	kind  kind
	group raftnode.GroupID
	msg   *raftpb.Message // kindRaft, kindHeader
	data  []byte          // the others
	cost  int             // bytes it is counted with in a queue
}

// atLeast bounds the size of the frame on the wire from below, cheaply.
func (f *frame) atLeast() int {
	n := 1 + len(f.data)
	for _, e := range f.msg.GetEntries() {
		n += len(e.GetData())
	}
	return n
}

// sizeError is a message that was not written because of its size. The stream
// is as good as before.
type sizeError struct{ size, max int }

func (e *sizeError) Error() string {
	return fmt.Sprintf("message of %d bytes: at most %d are allowed", e.size, e.max)
}

func (e *sizeError) Unwrap() error { return ErrTooLarge }

// codec is the DRPC encoding of frames. Decoding copies: DRPC takes its buffer
// back. It reuses data of the frame for all kinds but kindApp, which is given
// away.
type codec struct {
	max int // bytes of one message
}

var _ drpc.Encoding = (*codec)(nil)

func (c *codec) Marshal(m drpc.Message) ([]byte, error) { return c.MarshalAppend(nil, m) }

// MarshalAppend is what DRPC calls when it is there.
func (c *codec) MarshalAppend(buf []byte, m drpc.Message) ([]byte, error) {
	f, ok := m.(*frame)
	if !ok {
		return nil, fmt.Errorf("transport: cannot marshal a %T", m)
	}
	start := len(buf)
	buf = append(buf, byte(f.kind))
	switch f.kind {
	case kindRaft, kindHeader:
		buf = binary.AppendUvarint(buf, uint64(f.group))
		var err error
		if buf, err = (proto.MarshalOptions{}).MarshalAppend(buf, f.msg); err != nil {
			return nil, fmt.Errorf("transport: marshal raft message: %w", err)
		}
	case kindApp:
		buf = binary.AppendUvarint(buf, uint64(f.group))
		buf = append(buf, f.data...)
	default:
		buf = append(buf, f.data...)
	}
	if n := len(buf) - start; n > c.max {
		return nil, &sizeError{size: n, max: c.max}
	}
	return buf, nil
}

var errShort = errors.New("transport: message cut short")

func (c *codec) Unmarshal(buf []byte, m drpc.Message) error {
	f, ok := m.(*frame)
	if !ok {
		return fmt.Errorf("transport: cannot unmarshal into a %T", m)
	}
	if len(buf) == 0 {
		return errShort
	}
	f.kind, f.group, f.msg, f.data = kind(buf[0]), 0, nil, f.data[:0]
	buf = buf[1:]
	switch f.kind {
	case kindRaft, kindHeader, kindApp:
		group, n := binary.Uvarint(buf)
		if n <= 0 {
			return errShort
		}
		f.group, buf = raftnode.GroupID(group), buf[n:]
		if f.kind == kindApp {
			f.data = append([]byte(nil), buf...)
			return nil
		}
		if err := measure(buf); err != nil {
			return err
		}
		f.msg = new(raftpb.Message)
		if err := proto.Unmarshal(buf, f.msg); err != nil {
			return fmt.Errorf("transport: unmarshal raft message: %w", err)
		}
		return nil
	case kindHello, kindWelcome, kindPing, kindPong, kindChunk, kindEnd, kindResult:
		f.data = append(f.data, buf...)
		return nil
	default:
		return fmt.Errorf("transport: unknown kind %d of message", f.kind)
	}
}

// maxEntries bounds the entries of one message: each takes much more memory than
// the two bytes that it has at least on the wire. A leader sends up to 256 KiB
// of them, and none that is shorter than 4 bytes.
const maxEntries = 64 << 10

// Fields of raftpb.Message.
const (
	fieldEntries   = 7
	fieldResponses = 14
)

// measure refuses a Raft message that is no message, or has more in it than one
// that a node sends. None has messages within.
func measure(b []byte) error {
	entries := 0
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("transport: unmarshal raft message: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return fmt.Errorf("transport: unmarshal raft message: %w", protowire.ParseError(n))
		}
		b = b[n:]
		switch {
		case number == fieldEntries:
			entries++
		case number == fieldResponses:
			return errors.New("transport: a raft message with messages within")
		}
		if entries > maxEntries {
			return fmt.Errorf("transport: a raft message with more than %d entries", maxEntries)
		}
	}
	return nil
}

// costOf estimates the bytes of a message without walking it as its marshaling
// does: entries are nearly all of a large one.
func costOf(m *raftpb.Message) int {
	n := 64 + len(m.GetContext())
	for _, e := range m.GetEntries() {
		n += 32 + len(e.GetData())
	}
	if s := m.GetSnapshot(); s != nil {
		n += len(s.GetData())
	}
	return n
}
