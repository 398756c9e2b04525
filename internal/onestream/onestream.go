// Package onestream reads a DRPC connection that carries one stream from its
// beginning to its end, and nothing else.
//
// DRPC's own connections have streams one after the other. So they read in a
// goroutine of their own, which hands each message over to another one and waits
// until that is done with it: two wakings a message. Where there is one stream,
// whoever serves it can read it.
package onestream

import (
	"context"
	"fmt"
	"io"

	"storj.io/drpc/drpcwire"
)

const (
	// keptBuffer is how large a buffer may be to be kept for the next message,
	// and calmMessages after how many small ones a large one is given up.
	keptBuffer   = 256 << 10
	calmMessages = 10
)

// Reader reads the messages of stream 1. It is used by one goroutine.
type Reader struct {
	reader *drpcwire.Reader
	buf    []byte
	small  int // messages since a large one
}

// NewReader reads from r messages of at most so many bytes.
func NewReader(r io.Reader, maximum int) *Reader {
	return &Reader{reader: drpcwire.NewReaderWithOptions(r, drpcwire.ReaderOptions{MaximumBufferSize: maximum})}
}

// Next waits for the next message, which is valid until the next call. io.EOF and
// [context.Canceled] say that the other side ended the stream; an error that it
// gave as its reason has its code ([storj.io/drpc/drpcerr.Code]).
func (r *Reader) Next() ([]byte, error) {
	for {
		packet, err := r.reader.ReadPacketUsing(r.buf[:0])
		if err != nil {
			return nil, err
		}
		if packet.ID.Stream != 1 {
			return nil, fmt.Errorf("a message of stream %d, which was not opened", packet.ID.Stream)
		}
		switch packet.Kind {
		case drpcwire.KindMessage:
			r.keep(packet.Data)
			return packet.Data, nil
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
func (r *Reader) keep(b []byte) {
	r.small++
	if len(b) > cap(b)/4 {
		r.small = 0
	}
	if r.buf = b; r.small > calmMessages && cap(b) > keptBuffer {
		r.buf, r.small = nil, 0
	}
}
