package transport

import (
	"storj.io/drpc/drpcstream"
	"storj.io/drpc/drpcwire"
)

// keptBytes is the largest buffer that is kept for the next message.
const keptBytes = 1 << 20

// frameWriter writes frames to a stream. It is used by one goroutine.
//
// It writes below DRPC's messages, where flushing is its own affair. DRPC's
// manual flush would do as much, but then everybody who receives from the
// stream flushes first, and when the other side has ended the stream gets
// io.EOF from that in place of the reason.
type frameWriter struct {
	stream *drpcstream.Stream
	codec  *codec
	buf    []byte
}

func newFrameWriter(s *drpcstream.Stream, c *codec) *frameWriter {
	return &frameWriter{stream: s, codec: c}
}

// write puts a frame behind those that were not flushed yet. After a sizeError
// the stream is as good as before.
func (w *frameWriter) write(f *frame) error {
	buf, err := w.codec.MarshalAppend(w.buf[:0], f)
	if err != nil {
		return err
	}
	if cap(buf) <= keptBytes {
		w.buf = buf
	}
	return w.stream.RawWrite(drpcwire.KindMessage, buf)
}

func (w *frameWriter) flush() error { return w.stream.RawFlush() }

// send writes a frame and flushes.
func (w *frameWriter) send(f *frame) error {
	if err := w.write(f); err != nil {
		return err
	}
	return w.flush()
}
