package api

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Bounds of a message, to be looked at before it is decoded: two bytes on the
// wire can stand for a hundred in memory, and four for another level of the
// decoder's stack.
const (
	// MaxNesting is how deep messages may lie within one another. The deepest
	// transaction takes 12.
	MaxNesting = 32
	// MaxClientParts is how many messages may lie within one of a client: the
	// most that one which keeps to the bounds of requests has in a frame of 1 MiB,
	// which is 1024 transactions of 128 puts. Decoded they take some 40 MiB.
	MaxClientParts = 264 << 10
	// MaxServerParts is the same for a message of a server.
	MaxServerParts = 1 << 20

	// unmeasured is up to what size a message is not looked at: there is no room
	// for much in so little.
	unmeasured = 512
)

// BoundsError refuses an encoded message that is out of bounds, or none at all.
type BoundsError struct{ Reason string }

// Error says what is wrong with the message.
func (e *BoundsError) Error() string { return e.Reason }

func outOfBounds(format string, args ...any) error {
	return &BoundsError{Reason: fmt.Sprintf(format, args...)}
}

// Shapes knows which fields of the contract's messages are messages themselves.
// It is safe for concurrent use.
type Shapes struct {
	byName map[protoreflect.FullName]*shape
}

type shape struct {
	fields []*shape // by number; nil: not a message
}

// NewShapes learns the contract.
func NewShapes() *Shapes {
	s := &Shapes{byName: map[protoreflect.FullName]*shape{}}
	list := File_conch_proto.Messages()
	for i := range list.Len() {
		s.add(list.Get(i))
	}
	return s
}

func (s *Shapes) add(d protoreflect.MessageDescriptor) *shape {
	if known := s.byName[d.FullName()]; known != nil {
		return known
	}
	x := &shape{}
	s.byName[d.FullName()] = x
	fields := d.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Message() == nil {
			continue
		}
		for len(x.fields) <= int(f.Number()) {
			x.fields = append(x.fields, nil)
		}
		x.fields[f.Number()] = s.add(f.Message()) // an entry of a map is a message, too
	}
	return x
}

// Measure walks through an encoded message of m's type and returns a
// [*BoundsError] when it nests too deep or has more than maxParts messages in it,
// or is no message at all. It allocates nothing for one that passes.
func (s *Shapes) Measure(m any, b []byte, maxParts int) error {
	if len(b) <= unmeasured {
		return nil
	}
	p, ok := m.(proto.Message)
	if !ok {
		return fmt.Errorf("a %T is no message", m)
	}
	x := s.byName[p.ProtoReflect().Descriptor().FullName()]
	if x == nil {
		return errors.New("a message that is not of the contract")
	}
	parts := maxParts
	err := x.walk(b, MaxNesting, &parts)
	if err == nil && parts < 0 {
		err = outOfBounds("a message of more than %d parts, which is the limit", maxParts)
	}
	return err
}

// walk stops when there are more parts than are left.
func (x *shape) walk(b []byte, depth int, left *int) error {
	if depth == 0 {
		return outOfBounds("messages within messages, more than %d deep, which is the limit", MaxNesting)
	}
	for len(b) > 0 && *left >= 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return outOfBounds("a message that cannot be read: %v", protowire.ParseError(n))
		}
		b = b[n:]
		if kind != protowire.BytesType {
			// The contract has no groups; one would be skipped with a stack of its own.
			if kind == protowire.StartGroupType {
				return outOfBounds("a message that cannot be read: field %d is a group", number)
			}
			if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
				return outOfBounds("a message that cannot be read: field %d: %v", number, protowire.ParseError(n))
			}
			b = b[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return outOfBounds("a message that cannot be read: field %d: %v", number, protowire.ParseError(n))
		}
		b = b[n:]
		if int(number) >= len(x.fields) || x.fields[number] == nil {
			continue
		}
		*left--
		if err := x.fields[number].walk(value, depth-1, left); err != nil {
			return err
		}
	}
	return nil
}
