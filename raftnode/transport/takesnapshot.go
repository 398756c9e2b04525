package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"go.etcd.io/raft/v3/raftpb"
)

// takeSnapshot hands a snapshot to the receiver and answers with the result.
func (p *peer) takeSnapshot(in *incoming) {
	err := p.readSnapshot(in)
	if err == nil {
		p.snapshotsReceived.Add(1)
		if err := newFrameWriter(in.stream, p.t.codec).send(&frame{kind: kindResult}); err != nil {
			p.log.Warn().Err(err).Msg("snapshot received, but its sender could not be told")
		}
		return
	}
	p.snapshotsFailed.Add(1)
	p.log.Warn().Err(err).Msg("snapshot not received")
	if refusal(p.id, err) == nil {
		err = refuse(RefusedFailed, "%v", err)
	}
	in.refuse(err)
}

func (p *peer) readSnapshot(in *incoming) error {
	if err := in.conn.setReadTimeout(p.t.cfg.SnapshotStallTimeout); err != nil {
		return err
	}
	r := &snapshotReader{peer: p, in: in, sum: crc32.New(castagnoli)}
	if err := r.receive(); err != nil {
		return err
	}
	if r.frame.kind != kindHeader {
		return refuse(RefusedMessage, "a snapshot starts with a header, this one with a message of kind %d", r.frame.kind)
	}
	group, msg := r.frame.group, r.frame.msg
	if err := p.checkMessage(msg); err != nil {
		return err
	}
	if msg.GetType() != raftpb.MsgSnap {
		return refuse(RefusedMessage, "a snapshot came with a %v", msg.GetType())
	}
	if !p.beginSnapshot(p.receiving, group) {
		return refuse(RefusedBusy, "a snapshot of group %v from node %v is being received already", group, p.id)
	}
	defer p.endSnapshot(p.receiving, group)
	if !p.t.beginReceiving() {
		return refuse(RefusedBusy, "node %v is receiving %d snapshots already", p.t.self.Node, p.t.cfg.MaxSnapshots)
	}
	defer p.t.endReceiving()
	var err error
	if panicked := p.t.guard(p.id, func() { err = p.t.receiver.ReceiveSnapshot(group, p.id, msg, r) }); panicked != nil {
		return panicked
	}
	if err != nil {
		return err
	}
	// A receiver that knows where its snapshot ends need not read up to io.EOF.
	if n, err := io.ReadFull(r, make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("transport: snapshot of group %v taken, but not to its end: %d bytes more (%v)", group, n, err)
	}
	return nil
}

func (t *Transport) beginReceiving() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.receiving >= t.cfg.MaxSnapshots {
		return false
	}
	t.receiving++
	return true
}

func (t *Transport) endReceiving() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.receiving--
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// snapshotReader is the content of a snapshot as it arrives.
type snapshotReader struct {
	peer  *peer
	in    *incoming
	frame frame
	rest  []byte // of the current chunk
	total uint64
	sum   hash.Hash32
	err   error // final
}

func (r *snapshotReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.err = r.next()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// next takes the next chunk, or the end, which is io.EOF.
func (r *snapshotReader) next() error {
	if err := r.receive(); err != nil {
		return err
	}
	data := r.frame.data
	switch r.frame.kind {
	case kindChunk:
		r.total += uint64(len(data))
		_, _ = r.sum.Write(data)
		r.rest = data
		return nil
	case kindEnd:
		// Nothing more is expected, however long the receiver takes from here.
		if err := r.in.conn.setReadTimeout(0); err != nil {
			return err
		}
		if len(data) != 12 {
			return refuse(RefusedMessage, "%w: its end has %d bytes, not 12", ErrAborted, len(data))
		}
		length, sum := binary.BigEndian.Uint64(data), binary.BigEndian.Uint32(data[8:])
		if length != r.total || sum != r.sum.Sum32() {
			return refuse(RefusedMessage, "%w: %d bytes with checksum %08x arrived, %d bytes with %08x were sent",
				ErrAborted, r.total, r.sum.Sum32(), length, sum)
		}
		return io.EOF
	default:
		return refuse(RefusedMessage, "message of kind %d in a snapshot", r.frame.kind)
	}
}

// receive reads a frame. A stream that ends here ends too early.
func (r *snapshotReader) receive() error {
	err := r.in.stream.MsgRecv(&r.frame, r.peer.t.codec)
	if err == nil {
		return nil
	}
	if refused := refusal(r.peer.id, err); refused != nil {
		return fmt.Errorf("%w by its sender: %s", ErrAborted, refused.Text)
	}
	if cause := r.in.conn.why(); cause != nil {
		if errors.Is(cause, io.EOF) {
			cause = io.ErrUnexpectedEOF // io.EOF would say that this is all
		}
		return fmt.Errorf("%w: connection lost: %w", ErrAborted, cause)
	}
	return fmt.Errorf("%w: %v", ErrAborted, err)
}
