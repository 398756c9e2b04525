package shell

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/sdk"
)

// TestSlowClocksAreFound shows that a run can fail: clients whose clocks run at
// half the rate believe in their locks for too long when they are cut off.
func TestSlowClocksAreFound(t *testing.T) {
	found := map[string]bool{}
	for seed := uint64(1); seed <= 5; seed++ { // who holds a lock when it is cut off is chance
		s := settings{Seed: seed, Rate: 0.5}
		for i := range 18 {
			s.Faults = append(s.Faults, fault{
				at: time.Duration(2+i) * 500 * time.Millisecond, lasts: 4500 * time.Millisecond, kind: "silence client", client: i % 3,
			})
		}
		var h *check.History
		synctest.Test(t, func(*testing.T) { _, h = newCell(s).run() })
		for _, v := range check.Judge(h).Violations {
			found[v.Checker] = true
		}
		if found["beliefs"] && found["never early"] {
			return
		}
	}
	t.Errorf("beliefs too long and sessions ended early were not all found, but %v", found)
}

// TestWarned: only an operator who asked before, and was not refused, explains that
// a session was gone without warning.
func TestWarned(t *testing.T) {
	l := []loss{{client: "c4", session: 8, at: instant(3 * time.Second), reason: "no such session"}}
	ended := check.Intervention{Kind: check.EndSession, Session: 8, Invoke: check.Time(2 * time.Second), Outcome: check.Done}
	other, refused, later, broken, unknown := ended, ended, ended, ended, ended
	other.Session, refused.Outcome, later.Invoke, broken.Kind, unknown.Outcome = 9, check.Refused, check.Time(4*time.Second), check.BreakLock, check.Unknown
	for _, x := range []struct {
		what string
		was  []check.Intervention
		want int
	}{
		{"nobody", nil, 1},
		{"ended", []check.Intervention{ended}, 0},
		{"outcome unknown", []check.Intervention{unknown}, 0},
		{"others", []check.Intervention{other, refused, later, broken}, 1},
	} {
		if found := checkWarned(l, &check.History{Interventions: x.was}); len(found) != x.want {
			t.Errorf("%s: found %q", x.what, found)
		}
	}
}

func TestStore(t *testing.T) {
	h := newHistory()
	for _, x := range []struct {
		name  string
		token sdk.Token
		takes bool
	}{{"x", 5, true}, {"x", 5, true}, {"y", 2, true}, {"x", 4, false}, {"x", 6, true}} {
		if h.store(x.name, x.token) != x.takes {
			t.Errorf("the store of %q takes token %d: %v", x.name, x.token, !x.takes)
		}
	}
}

func TestCheckLosses(t *testing.T) {
	losses := []loss{{client: "c1", session: 7, ttl: time.Second, at: 30 * time.Second, reason: "why"}}
	if bad := checkLosses(losses, 29*time.Second); len(bad) != 1 || !strings.Contains(bad[0], "session 7 of c1") {
		t.Errorf("a session lost when all was well: %q", bad)
	}
	if bad := checkLosses(losses, 31*time.Second); len(bad) != 0 {
		t.Errorf("a session lost among faults: %q", bad)
	}
}

func TestCheckLoops(t *testing.T) {
	one := check.Operation{
		Kind: check.Campaign, Outcome: check.Done, Client: "c1", Return: 10, Until: 20, Token: 1, Revision: 5, Claim: []check.Item{{Name: "loop"}},
	}
	two := one
	two.Client, two.Invoke, two.Return, two.Until, two.Token, two.Revision = "c2", 12, 15, 30, 2, 6
	if bad := checkLoops(&check.History{Operations: []check.Operation{one, two}}); len(bad) == 0 {
		t.Error("two lead at a time, and nothing was found")
	}
	two.Return = 20
	if bad := checkLoops(&check.History{Operations: []check.Operation{one, two}}); len(bad) != 0 {
		t.Errorf("one leads after the other: %q", bad)
	}
}
