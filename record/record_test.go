package record

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		u, i := rapid.Uint64().Draw(rt, "u"), rapid.Int64().Draw(rt, "i")
		s, v := rapid.String().Draw(rt, "s"), rapid.Bool().Draw(rt, "v")
		b := AppendBool(AppendString(AppendInt(AppendUint(nil, u), i), s), v)
		r := NewReader(b)
		if gu, gi, gs, gv := r.Uint(), r.Int(), r.String(), r.Bool(); gu != u || gi != i || gs != s || gv != v || r.Done() != nil {
			rt.Fatalf("%d %d %q %v became %d %d %q %v: %v", u, i, s, v, gu, gi, gs, gv, r.Err())
		}
		for cut := range b {
			r.Reset(b[:cut])
			r.Uint()
			r.Int()
			_ = r.String()
			r.Bool()
			if r.Done() == nil {
				rt.Fatalf("%d of %d bytes are enough", cut, len(b))
			}
		}
	})
}

func TestErrors(t *testing.T) {
	for _, x := range []struct {
		b    []byte
		read func(*Reader)
		want string
	}{
		{nil, func(r *Reader) { r.Byte() }, "record: byte 0 of 0: a byte is missing"},
		{[]byte{2}, func(r *Reader) { r.Bool() }, "record: byte 1 of 1: 2 is not a bool"},
		{[]byte{5, 1}, func(r *Reader) { r.Bytes() }, "record: byte 1 of 2: 5 bytes wanted, 1 left"},
		{[]byte{9, 1}, func(r *Reader) { r.Count() }, "record: byte 1 of 2: 9 elements wanted, 1 bytes left"},
		{[]byte{0x80, 0x80, 0x80, 0x80, 0x10}, func(r *Reader) { r.Uint32() }, "record: byte 5 of 5: 4294967296 is over 32 bits"},
		{bytes.Repeat([]byte{0xff}, 11), func(r *Reader) { r.Uint() }, "record: byte 0 of 11: not a varint"},
		{[]byte{1, 2}, func(r *Reader) { r.Uint() }, "record: byte 1 of 2: 1 bytes too many"},
	} {
		r := NewReader(x.b)
		x.read(r)
		if err := r.Done(); err == nil || err.Error() != x.want {
			t.Errorf("%x: %v, %q is wanted", x.b, err, x.want)
		}
		if r.Uint() != 0 || r.Int() != 0 || r.String() != "" || r.Byte() != 0 || r.Bool() || r.Count() != 0 {
			t.Errorf("%x: something was read after the error", x.b)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{1, 2, 3}, []byte{0, 1, 2, 3, 4, 5, 6})
	f.Fuzz(func(t *testing.T, b, how []byte) {
		r := NewReader(b)
		for _, h := range how {
			before := r.Len()
			switch h % 7 {
			case 0:
				r.Uint()
			case 1:
				r.Int()
			case 2:
				r.Byte()
			case 3:
				r.Bool()
			case 4:
				if n := len(r.Bytes()); n > before {
					t.Fatalf("%d bytes of %d", n, before)
				}
			case 5:
				if n := r.Count(); n > before {
					t.Fatalf("%d elements in %d bytes", n, before)
				}
			case 6:
				r.Uint32()
			}
			if r.Len() > before || r.Err() != nil && r.Len() > 0 {
				t.Fatalf("%d bytes left of %d, %v", r.Len(), before, r.Err())
			}
		}
	})
}
