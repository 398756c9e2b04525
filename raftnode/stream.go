package raftnode

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/conch-lock/conch/raftnode/disk"
	"github.com/conch-lock/conch/raftnode/snapshot"
)

// A snapshot travels as its content followed by a SHA-256 of what it is of and of the content. The file on the sending
// side is checked as it is read, the hash is checked before the receiving side commits its file, and both files are the
// same to the byte.

// openStream opens a snapshot for sending.
func openStream(fs disk.FS, path string, meta snapshot.Meta) (io.ReadCloser, error) {
	f, err := snapshot.Open(fs, path)
	if err != nil {
		return nil, fmt.Errorf("raftnode: open a snapshot to send: %w", err)
	}
	return &stream{file: f, hash: streamHash(meta)}, nil
}

type stream struct {
	file *snapshot.Reader
	hash hash.Hash
	sum  []byte // what is left of the hash to send, once the content has ended
	end  bool
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if !s.end {
		n, err := s.file.Read(p)
		s.hash.Write(p[:n])
		if err != io.EOF {
			return n, err
		}
		s.end, s.sum = true, s.hash.Sum(nil)
		if n > 0 {
			return n, nil
		}
	}
	if len(s.sum) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.sum)
	s.sum = s.sum[n:]
	return n, nil
}

// Close implements io.Closer.
func (s *stream) Close() error { return s.file.Close() }

func streamHash(m snapshot.Meta) hash.Hash {
	h := sha256.New()
	var b []byte
	for _, n := range []uint64{m.Cluster, m.Group, m.Index, m.Term, uint64(len(m.Conf))} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	h.Write(b)
	h.Write(m.Conf)
	return h
}

// errStream says that a snapshot did not arrive as it was sent.
var errStream = errors.New("raftnode: the snapshot did not arrive whole")

// Spool writes a snapshot that comes with the message m into a file, checks it, and makes it durable. The replica's own
// turns may go on meanwhile. The path it returns goes into a ReceivedSnapshot; after an error nothing is left that anybody
// uses, at most a temporary file that the next start removes.
func Spool(fs disk.FS, dir string, cluster uint64, group GroupID, m *raftpb.Message, r io.Reader) (path string, err error) {
	s := m.GetSnapshot()
	members, err := decodeMembership(s.GetData())
	if err != nil {
		return "", fmt.Errorf("%w: snapshot: %w", ErrBadMessage, err)
	}
	if err := members.conf.Equivalent(s.GetMetadata().GetConfState()); err != nil {
		return "", fmt.Errorf("%w: a snapshot that names its members in two ways: %w", ErrBadMessage, err)
	}
	meta := metaOf(cluster, group, s)
	w, err := snapshot.Receive(fs, snapshotDir(dir), meta)
	if err != nil {
		return "", fmt.Errorf("raftnode: receive a snapshot: %w", err)
	}
	if err := copyChecked(w, r, streamHash(meta)); err != nil {
		w.Abort()
		return "", err
	}
	if path, err = w.Commit(); err != nil {
		return "", fmt.Errorf("raftnode: receive a snapshot: %w", err)
	}
	return path, nil
}

// copyChecked copies all but the last bytes of r, which must be the hash of what came before.
func copyChecked(w io.Writer, r io.Reader, h hash.Hash) error {
	buf := make([]byte, snapshotPiece+sha256.Size)
	held := 0 // bytes at the front of buf that may be the hash
	for {
		n, err := r.Read(buf[held:])
		held += n
		if content := held - sha256.Size; content > 0 {
			h.Write(buf[:content])
			if _, err := w.Write(buf[:content]); err != nil {
				return fmt.Errorf("raftnode: receive a snapshot: %w", err)
			}
			held = copy(buf, buf[content:held])
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errStream, err)
		}
	}
	if held != sha256.Size || string(h.Sum(nil)) != string(buf[:held]) {
		return fmt.Errorf("%w: its hash is another one", errStream)
	}
	return nil
}
