package elections

import (
	"fmt"
	"testing"

	"github.com/conch-lock/conch/locks"
)

// The oldest tenures go first, and the newest stays whatever its size.
func TestHistoryTrims(t *testing.T) {
	for _, x := range []struct {
		bytes, left int
	}{{0, 1}, {99, 1}, {100, 1}, {199, 1}, {200, 2}, {399, 3}, {400, 4}, {1 << 20, 4}} {
		h := NewHistory(10)
		for term := range uint64(4) {
			r := Record{Term: term + 1, Token: locks.Token(term + 1), Leader: &Leader{Revision: term + 1, Value: make([]byte, 100)}}
			h.Add(&r, term+1, 0)
		}
		h.Trim(x.bytes)
		list := h.Tenures()
		if len(list) != x.left || list[len(list)-1].Term != 4 || list[0].Term != uint64(5-x.left) {
			t.Errorf("Trim(%d) leaves %s, want the newest %d of 4", x.bytes, fmt.Sprint(list), x.left)
		}
	}
	NewHistory(1).Trim(0) // of none
}
