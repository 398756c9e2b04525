package coordinator

import (
	"errors"

	"storj.io/drpc"
	"storj.io/drpc/drpcstream"

	"github.com/conch-lock/conch/api"
)

const (
	// largeMessage is from what size on decoding a message takes a place.
	largeMessage = 64 << 10
	// decodingPlaces is how many such messages are decoded at a time. What was
	// decoded is reckoned among the requests under way; only in between does it
	// count nowhere, so that there must not be much in between.
	decodingPlaces = 4
	// maxMarks bounds the objects, lists and names of a JSON body, and maxMarkDepth
	// how deep they lie within one another.
	maxMarks     = 16 << 10
	maxMarkDepth = 2 * api.MaxNesting
)

// decoding decodes what clients send, none of it before it is known to be
// within bounds.
type decoding struct {
	shapes *api.Shapes
	places chan struct{}
}

func newDecoding() *decoding {
	return &decoding{shapes: api.NewShapes(), places: make(chan struct{}, decodingPlaces)}
}

// bounded is a call of a client whose messages are looked at before they are
// decoded. One goroutine receives from it.
type bounded struct {
	drpc.Stream
	wire     *drpcstream.Stream
	conn     *conn // nil when the transport is not one of the client port
	decoding *decoding
	keep     bool // whoever receives calls done
	placed   bool // a place is taken
}

// MsgRecv implements drpc.Stream. The place that a large message takes is kept
// until done, or the next message.
func (b *bounded) MsgRecv(msg drpc.Message, enc drpc.Encoding) error {
	b.done()
	err := b.wire.MsgRecv(msg, measured{enc, b})
	if b.conn != nil {
		b.conn.complete()
	}
	if !b.keep {
		b.done()
	}
	return err
}

// done says that what was received is reckoned elsewhere now.
func (b *bounded) done() {
	if b.placed {
		b.placed = false
		<-b.decoding.places
	}
}

// measured is an encoding that refuses what is out of bounds.
type measured struct {
	drpc.Encoding
	call *bounded
}

// Unmarshal implements drpc.Encoding.
func (m measured) Unmarshal(buf []byte, msg drpc.Message) error {
	err := m.call.decoding.shapes.Measure(msg, buf, api.MaxClientParts)
	if e := (*api.BoundsError)(nil); errors.As(err, &e) {
		return &rpcError{invalid("%s", e.Reason)}
	}
	if err != nil {
		return err
	}
	if len(buf) > largeMessage {
		m.call.decoding.places <- struct{}{}
		m.call.placed = true
	}
	return m.Encoding.Unmarshal(buf, msg)
}

// measureJSON refuses a JSON text with more in it than any request has.
func (*decoding) measureJSON(b []byte) error {
	marks, depth, quoted := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			marks++
			depth++
		case c == ':':
			marks++
		case c == '}' || c == ']':
			depth--
		}
		if marks > maxMarks {
			return &rpcError{invalid("the body of the request has more than %d objects and names, which is the limit", maxMarks)}
		}
		if depth > maxMarkDepth {
			return &rpcError{invalid("the body of the request has objects within objects, more than %d deep, which is the limit", maxMarkDepth)}
		}
	}
	return nil
}
