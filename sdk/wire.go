package sdk

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"storj.io/drpc/drpcmigrate"
	"storj.io/drpc/drpcwire"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/internal/nowait"
)

const (
	maxMessage = 4 << 20
	// keptBuffer is how large a buffer may be to be kept for the next message,
	// and calmMessages after how many small ones a large one is given up.
	keptBuffer   = 256 << 10
	calmMessages = 10
	// writeTimeout ends a connection whose peer does not read.
	writeTimeout = 10 * time.Second
	streamMethod = "/conch.v1.Conch/Stream"
)

// wire is a connection that carries one DRPC stream from its beginning to its
// end, and nothing else. So it needs nobody beside the one who sends and the one
// who receives: DRPC's own connection, which has streams one after the other,
// reads in a goroutine of its own, and each message would wake two.
type wire struct {
	conn net.Conn
	*nowait.Writer
	shapes *api.Shapes

	// Of whoever sends.
	number uint64 // of the last message
	frame  []byte
	out    []byte

	// Of whoever receives.
	reader *drpcwire.Reader
	in     []byte
	small  int // messages since a large one
}

// newWire begins a stream on a connection. It goes out with the first message.
func newWire(conn net.Conn, shapes *api.Shapes) *wire {
	w := &wire{
		conn: conn, shapes: shapes, Writer: nowait.New(conn, timedConn{conn}, func(int) {}),
		reader: drpcwire.NewReaderWithOptions(conn, drpcwire.ReaderOptions{MaximumBufferSize: maxMessage}),
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
	for {
		packet, err := w.reader.ReadPacketUsing(w.in[:0])
		if err != nil {
			return nil, err
		}
		if packet.ID.Stream != 1 {
			return nil, fmt.Errorf("a message of stream %d, which was not opened", packet.ID.Stream)
		}
		switch packet.Kind {
		case drpcwire.KindMessage:
			w.keep(packet.Data)
			frames := new(api.ServerFrames)
			return frames, decode(w.shapes, packet.Data, frames)
		case drpcwire.KindError:
			return nil, drpcwire.UnmarshalError(packet.Data)
		case drpcwire.KindClose, drpcwire.KindCloseSend:
			return nil, io.EOF
		case drpcwire.KindCancel:
			return nil, context.Canceled
		default:
			if !packet.Control { // what is and is not known may be ignored
				return nil, fmt.Errorf("a message of the unknown kind %d", packet.Kind)
			}
		}
	}
}

// keep keeps the buffer of a message for the next one.
func (w *wire) keep(b []byte) {
	w.small++
	if len(b) > cap(b)/4 {
		w.small = 0
	}
	if w.in = b; w.small > calmMessages && cap(b) > keptBuffer {
		w.in, w.small = nil, 0
	}
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
