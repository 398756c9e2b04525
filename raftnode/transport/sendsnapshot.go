package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/conch-lock/conch/raftnode"
	"go.etcd.io/raft/v3/raftpb"
	"storj.io/drpc/drpcerr"
)

// chunkBytes is the size of the pieces in which a snapshot travels.
const chunkBytes = 128 << 10

// sendSnapshot runs in a goroutine of its own and tells the receiver the end.
func (t *Transport) sendSnapshot(group raftnode.GroupID, m *raftpb.Message, open func() (io.ReadCloser, error)) {
	to := raftnode.NodeID(m.GetTo())
	var err error
	if p := t.peer(to); p == nil {
		err = fmt.Errorf("transport: snapshot for node %v: %w", to, ErrUnknownPeer)
	} else if panicked := t.guard(to, func() { err = p.sendSnapshot(group, m, open) }); panicked != nil {
		err = panicked
	}
	_ = t.guard(to, func() {
		t.receiver.SnapshotSent(group, to, m.GetSnapshot().GetMetadata().GetIndex(), err)
	})
}

func (p *peer) sendSnapshot(group raftnode.GroupID, m *raftpb.Message, open func() (io.ReadCloser, error)) error {
	if !p.beginSnapshot(p.sending, group) {
		return fmt.Errorf("transport: snapshot of group %v for node %v: %w", group, p.id, ErrBusy)
	}
	defer p.endSnapshot(p.sending, group)
	address := p.address()
	if address == "" {
		return fmt.Errorf("transport: snapshot for node %v, whose address is not known: %w", p.id, ErrUnknownPeer)
	}
	content, err := open()
	if err != nil {
		return fmt.Errorf("transport: snapshot of group %v for node %v: %w", group, p.id, err)
	}
	defer func() { _ = content.Close() }()
	start := time.Now()
	o, err := p.dial(p.ctx, address, rpcSnapshot)
	var sent uint64
	if err == nil {
		sent, err = p.stream(o, group, m, content)
		o.close()
	}
	if err != nil {
		p.snapshotsFailed.Add(1)
		p.log.Warn().Err(err).Stringer("group", group).Uint64("bytes", sent).Msg("snapshot not sent")
		return fmt.Errorf("transport: snapshot of group %v for node %v: %w", group, p.id, err)
	}
	p.snapshotsSent.Add(1)
	p.log.Info().Stringer("group", group).Uint64("bytes", sent).Dur("took", time.Since(start)).Msg("snapshot sent")
	return nil
}

// stream sends header, chunks and end, and waits for the result.
func (p *peer) stream(o *outgoing, group raftnode.GroupID, m *raftpb.Message, content io.Reader) (sent uint64, err error) {
	o.conn.setWriteTimeout(p.t.cfg.SnapshotStallTimeout)
	if err := o.send(&frame{kind: kindHeader, group: group, msg: m}); err != nil {
		return 0, p.snapshotError(o, err)
	}
	sum := crc32.New(castagnoli)
	chunk := frame{kind: kindChunk, data: make([]byte, chunkBytes)}
	for {
		n, readErr := io.ReadFull(content, chunk.data[:chunkBytes])
		if n > 0 {
			chunk.data = chunk.data[:n]
			_, _ = sum.Write(chunk.data)
			if err := o.send(&chunk); err != nil {
				return sent, p.snapshotError(o, err)
			}
			sent += uint64(n)
		}
		if readErr == io.EOF || readErr == io.ErrUnexpectedEOF {
			break
		}
		if readErr != nil {
			_ = o.stream.SendError(refuse(RefusedFailed, "node %v cannot read its snapshot: %v", p.t.self.Node, readErr))
			return sent, fmt.Errorf("%w: cannot read it: %w", ErrAborted, readErr)
		}
	}
	end := binary.BigEndian.AppendUint64(nil, sent)
	end = binary.BigEndian.AppendUint32(end, sum.Sum32())
	if err := o.send(&frame{kind: kindEnd, data: end}); err != nil {
		return sent, p.snapshotError(o, err)
	}
	if err := o.conn.SetReadDeadline(time.Now().Add(p.t.cfg.SnapshotFinishTimeout)); err != nil {
		return sent, p.snapshotError(o, err)
	}
	var result frame
	if err := o.stream.MsgRecv(&result, p.t.codec); err != nil {
		return sent, p.snapshotError(o, err)
	}
	if result.kind != kindResult {
		return sent, fmt.Errorf("%w: answered by a message of kind %d", ErrAborted, result.kind)
	}
	return sent, nil
}

// snapshotError returns what the receiving side said, or else what happened to
// the connection. A stream that the other side ended, or is just ending, fails
// to send with io.EOF; the reason is there to be received.
func (p *peer) snapshotError(o *outgoing, err error) error {
	if drpcerr.Code(err) == 0 && (errors.Is(err, io.EOF) || o.stream.IsTerminated()) {
		if _, last := o.stream.RawRecv(); last != nil {
			err = last
		}
	}
	blamed := o.blame(p, err)
	if refused := (*RefusedError)(nil); errors.As(blamed, &refused) {
		return refused
	}
	return fmt.Errorf("%w: %w", ErrAborted, blamed)
}

// beginSnapshot reports whether there is room for one more in the peer's set,
// which is p.sending or p.receiving.
func (p *peer) beginSnapshot(set map[raftnode.GroupID]struct{}, group raftnode.GroupID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, under := set[group]; under || len(set) >= p.t.cfg.MaxSnapshots {
		return false
	}
	set[group] = struct{}{}
	return true
}

func (p *peer) endSnapshot(set map[raftnode.GroupID]struct{}, group raftnode.GroupID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(set, group)
}
