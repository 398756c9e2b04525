package sdk

import (
	"net"
	"time"

	"storj.io/drpc/drpcmigrate"
	"storj.io/drpc/drpcwire"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/internal/nowait"
	"github.com/conch-lock/conch/internal/onestream"
)

const (
	maxMessage = 4 << 20
	// keptBuffer is how large a buffer may be to be kept for the next message.
	keptBuffer = 256 << 10
	// writeTimeout ends a connection whose peer does not read.
	writeTimeout = 10 * time.Second
	streamMethod = "/conch.v1.Conch/Stream"
)

// wire is a connection that carries one DRPC stream from its beginning to its
// end, and nothing else. So it needs nobody beside the one who sends and the one
// who receives: see package onestream.
type wire struct {
	conn net.Conn
	*nowait.Writer
	shapes *api.Shapes

	// Of whoever sends.
	number uint64 // of the last message
	frame  []byte
	out    []byte

	in *onestream.Reader // of whoever receives
}

// newWire begins a stream on a connection. It goes out with the first message.
func newWire(conn net.Conn, shapes *api.Shapes) *wire {
	w := &wire{
		conn: conn, shapes: shapes, Writer: nowait.New(conn, timedConn{conn}, func(int) {}),
		in: onestream.NewReader(conn, maxMessage),
	}
	w.out = append(w.out, drpcmigrate.DRPCHeader...)
	w.append(drpcwire.KindInvoke, []byte(streamMethod))
	return w
}

// append adds a message to what is to be written, in pieces.
func (w *wire) append(kind drpcwire.Kind, data []byte) {
	w.number++
	for done := false; !done; {
		var piece []byte
		piece, data = drpcwire.SplitData(data, 0)
		done = len(data) == 0
		w.out = drpcwire.AppendFrame(w.out, drpcwire.Frame{
			Data: piece, ID: drpcwire.ID{Stream: 1, Message: w.number}, Kind: kind, Done: done,
		})
	}
}

// send writes one message.
func (w *wire) send(frames *api.ClientFrames) error {
	n := frames.SizeVT()
	if cap(w.frame) < n {
		w.frame = make([]byte, n)
	}
	w.frame = w.frame[:n]
	if _, err := frames.MarshalToSizedBufferVT(w.frame); err != nil {
		return err
	}
	w.append(drpcwire.KindMessage, w.frame)
	_, err := w.Write(w.out)
	w.out = w.out[:0]
	if n > keptBuffer {
		w.frame, w.out = nil, nil
	}
	return err
}

// receive waits for the next message. io.EOF and [context.Canceled] say that the
// other side ended the stream.
func (w *wire) receive() (*api.ServerFrames, error) {
	b, err := w.in.Next()
	if err != nil {
		return nil, err
	}
	frames := new(api.ServerFrames)
	return frames, decode(w.shapes, b, frames)
}

// decode decodes a message of the server, and refuses one that would take too
// much memory or stack to decode.
func decode(shapes *api.Shapes, b []byte, frames *api.ServerFrames) error {
	if err := shapes.Measure(frames, b, api.MaxServerParts); err != nil {
		return err
	}
	return frames.UnmarshalVT(b)
}

// close ends the stream with its connection.
func (w *wire) close() error { return w.conn.Close() }

// timedConn bounds every write, so that a peer that does not read cannot
// block the writer for ever.
type timedConn struct{ net.Conn }

func (t timedConn) Write(p []byte) (int, error) {
	if err := t.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return t.Conn.Write(p)
}
