// Package record spells the parts of a record in bytes: what Conch keeps in
// its store, its log and its snapshots.
//
// Numbers are unsigned varints, strings carry their length. A Reader never
// panics and never allocates more than it was given: the first thing that does
// not fit is kept as its error, and every later read gives zero values.
package record

import (
	"encoding/binary"
	"fmt"
)

// AppendString appends the length of s and s.
func AppendString[T ~string | ~[]byte](b []byte, s T) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// AppendUint appends n as an unsigned varint.
func AppendUint[T ~uint8 | ~uint16 | ~uint32 | ~uint64](b []byte, n T) []byte {
	return binary.AppendUvarint(b, uint64(n))
}

// AppendInt appends n as a signed varint.
func AppendInt[T ~int64](b []byte, n T) []byte { return binary.AppendVarint(b, int64(n)) }

// AppendBool appends one byte, 0 or 1.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// Reader reads what the Append functions wrote.
type Reader struct {
	b   []byte
	n   int // length of all input, to tell where an error is
	err error
}

// NewReader reads from b, which must not change while parts of it are in use.
func NewReader(b []byte) *Reader { return &Reader{b: b, n: len(b)} }

// Reset makes the Reader read from b, as a new one would.
func (r *Reader) Reset(b []byte) { *r = Reader{b: b, n: len(b)} }

// Err is the first error, nil while everything fitted.
func (r *Reader) Err() error { return r.err }

// Len is how many bytes are left.
func (r *Reader) Len() int { return len(r.b) }

// Done is Err, or an error when bytes are left over.
func (r *Reader) Done() error {
	if r.err == nil && len(r.b) > 0 {
		r.Fail("%d bytes too many", len(r.b))
	}
	return r.err
}

// Fail records an error of the caller's, unless there is one already.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("record: byte %d of %d: %s", r.n-len(r.b), r.n, fmt.Sprintf(format, args...))
	}
	r.b = nil
}

// Uint reads an unsigned varint.
func (r *Reader) Uint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 { // the common case, inlined
		v := r.b[0]
		r.b = r.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.Fail("not a varint")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Uint32 reads an unsigned varint that must fit 32 bits.
func (r *Reader) Uint32() uint32 {
	v := r.Uint()
	if v > 1<<32-1 {
		r.Fail("%d is over 32 bits", v)
		return 0
	}
	return uint32(v)
}

// Int reads a signed varint.
func (r *Reader) Int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.Fail("not a varint")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.b) == 0 {
		r.Fail("a byte is missing")
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// Bool reads a byte that must be 0 or 1.
func (r *Reader) Bool() bool {
	switch v := r.Byte(); v {
	case 0:
		return false
	case 1:
		return true
	default:
		r.Fail("%d is not a bool", v)
		return false
	}
}

// Bytes reads a length and as many bytes; they share memory with the input.
func (r *Reader) Bytes() []byte {
	n := r.Uint()
	if n > uint64(len(r.b)) {
		r.Fail("%d bytes wanted, %d left", n, len(r.b))
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// String reads a length and as many bytes, copied.
func (r *Reader) String() string { return string(r.Bytes()) }

// Count reads the number of elements to follow, each at least one byte long,
// so that a wrong number cannot ask for more memory than the input has.
func (r *Reader) Count() int {
	n := r.Uint()
	if n > uint64(len(r.b)) {
		r.Fail("%d elements wanted, %d bytes left", n, len(r.b))
		return 0
	}
	return int(n)
}
