package raftnode

import "encoding/binary"

// appendString appends a string with its length before it.
func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoder takes variable-length numbers and strings off the front of rest. After anything that does not fit it is bad,
// and gives zeros.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || d.bad {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count takes a number of at most limit.
func (d *decoder) count(limit uint64) uint64 {
	v := d.number()
	if v > limit {
		d.bad = true
		return 0
	}
	return v
}

func (d *decoder) text(limit uint64) string {
	n := d.count(limit)
	if n > uint64(len(d.rest)) {
		d.bad = true
	}
	if d.bad {
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}
