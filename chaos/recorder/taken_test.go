package recorder

import (
	"testing"

	"github.com/conch-lock/conch/chaos/check"
)

// TestDoomed: what an operator was refused, or asked of others, excuses nothing.
func TestDoomed(t *testing.T) {
	j := &Journal{}
	id := j.asks(check.Intervention{Kind: check.BreakLock, Token: 4})
	if !j.Doomed(1, 4) {
		t.Error("what is not answered yet may have been done")
	}
	j.answered(id, check.Intervention{Kind: check.BreakLock, Token: 4, Outcome: check.Refused})
	j.asks(check.Intervention{Kind: check.Transfer, Token: 5, Session: 9})
	j.asks(check.Intervention{Kind: check.EndSession, Session: 7})
	for _, x := range []struct {
		session, token uint64
		doomed         bool
	}{{1, 4, false}, {1, 5, true}, {1, 0, false}, {9, 0, false}, {9, 6, false}, {7, 4, true}, {7, 0, true}, {0, 0, false}} {
		if j.Doomed(x.session, x.token) != x.doomed {
			t.Errorf("an operator may have taken token %d away, or have ended session %d: %v", x.token, x.session, !x.doomed)
		}
	}
}
