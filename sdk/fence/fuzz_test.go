package fence

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/conch-lock/conch/sdk"
)

// FuzzGuard: whatever tokens come in whatever order for whatever resources, a
// write happens with no smaller token than one that was let through before.
func FuzzGuard(f *testing.F) {
	f.Add("r", "s", []byte{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2})
	f.Add("", "\xff", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, one, other string, tokens []byte) {
		g := NewGuard(1)
		last := map[string]sdk.Token{}
		for i := 0; len(tokens) >= 8; i++ {
			token := sdk.Token(binary.BigEndian.Uint64(tokens))
			tokens = tokens[8:]
			r := one
			if i%3 == 2 {
				r = other
			}
			wrote := false
			err := g.Do(r, token, func() error { wrote = true; return nil })
			if wrote != (err == nil) {
				t.Fatalf("%q %d: %v, wrote %v", r, token, err, wrote)
			}
			if wrote && (token < last[r] || token == 0 || token > maxToken) {
				t.Fatalf("%q: %d was let through after %d", r, token, last[r])
			}
			if wrote {
				last[r] = token
			}
			if stale := (*StaleError)(nil); errors.As(err, &stale) && stale.Seen <= token {
				t.Fatalf("%q: %d is called stale after %d", r, token, stale.Seen)
			}
			if g.Seen(r) != last[r] {
				t.Fatalf("%q: it has seen %d, let through was %d", r, g.Seen(r), last[r])
			}
		}
		if len(last) > 1 {
			t.Fatalf("a guard of one resource knows %d", len(last))
		}
	})
}
