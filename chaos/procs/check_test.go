//go:build linux

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/sdk"
)

const ms = time.Millisecond

// sound is a history in which nothing is wrong.
func sound() []grant {
	return []grant{
		{Client: "a", Session: 1, Names: []string{"x"}, Token: 1, Revision: 2, Asked: 0, From: 10 * ms, To: 20 * ms, Released: true},
		{Client: "b", Session: 2, Names: []string{"x"}, Token: 2, Revision: 3, Asked: 5 * ms, From: 25 * ms, To: 30 * ms, Released: true},
		{Client: "a", Session: 1, Names: []string{"x", "y"}, Token: 3, Revision: 5, Asked: 21 * ms, From: 35 * ms, To: 40 * ms},
		{Client: "c", Session: 3, Names: []string{"s"}, Shared: true, Token: 4, Revision: 6, Asked: 21 * ms, From: 36 * ms, To: 60 * ms},
		{Client: "d", Session: 4, Names: []string{"s"}, Shared: true, Token: 5, Revision: 7, Asked: 21 * ms, From: 40 * ms, To: 50 * ms},
		{Client: "e", Session: 5, Names: []string{"s"}, Token: 6, Revision: 8, Asked: 21 * ms, From: 60 * ms, To: 70 * ms},
	}
}

func told() sdk.History {
	return sdk.History{Revision: 9, CompactedRevision: 1, Tenures: []sdk.Tenure{
		{Token: 1, Session: 1, FromRevision: 2, ToRevision: 3, Ended: sdk.ReasonReleased},
		{Token: 2, Session: 2, FromRevision: 3, ToRevision: 4, Ended: sdk.ReasonReleased},
		{Token: 3, Session: 1, FromRevision: 5, ToRevision: 0},
	}}
}

// want fails unless what was found is of the kind wanted; empty: nothing.
func want(t *testing.T, found []string, kind string) {
	t.Helper()
	if kind == "" && len(found) > 0 {
		t.Errorf("found in a sound history: %q", found)
	}
	if kind != "" && (len(found) != 1 || !strings.Contains(found[0], kind)) {
		t.Errorf("found %q: want one with %q in it", found, kind)
	}
}

func TestCheckBeliefs(t *testing.T) {
	want(t, checkBeliefs(sound()), "")
	for name, breakIt := range map[string]func(g []grant){
		"the next is granted a moment too early": func(g []grant) { g[1].From = 20*ms - 1 },
		"one that lasts over several": func(g []grant) {
			g[0].To = 31 * ms
			g[1].From, g[1].To = 32*ms, 33*ms
			g[2].From = 30 * ms
			g[2].To = 31 * ms
		},
		"the second lock of a claim": func(g []grant) { g[3] = grant{Client: "z", Names: []string{"y"}, From: 39 * ms, To: 41 * ms} },
		"exclusive beside shared":    func(g []grant) { g[5].From = 55 * ms },
		"shared beside exclusive":    func(g []grant) { g[5].From, g[5].To = 30*ms, 37*ms; g[4].From = 38 * ms },
	} {
		g := sound()
		breakIt(g)
		if found := checkBeliefs(g); len(found) == 0 || !strings.Contains(found[0], "mutual exclusion") {
			t.Errorf("%s: found %q", name, found)
		}
	}
}

func TestCheckTokens(t *testing.T) {
	want(t, checkTokens(sound()), "")
	for name, breakIt := range map[string]func(g []grant){
		"a token twice":                  func(g []grant) { g[4].Token = 4 },
		"back in the order of revisions": func(g []grant) { g[3].Token, g[4].Token = 5, 4 },
		"smaller though asked for later": func(g []grant) {
			g[2].Asked = 27 * ms
			g[2].Token = 2
			g[1].Token = 3
			g[1].Revision, g[2].Revision = 5, 3
		},
		"the same in two entries of time": func(g []grant) { g[5].Token = 1 },
	} {
		g := sound()
		breakIt(g)
		if len(checkTokens(g)) == 0 {
			t.Errorf("%s: nothing found", name)
		}
	}
}

func TestCheckHistory(t *testing.T) {
	want(t, checkHistory("x", byName(sound())["x"], told(), true), "")
	for kind, breakIt := range map[string]func(g []grant, h *sdk.History){
		"nothing of token 2": func(_ []grant, h *sdk.History) {
			h.Tenures = append(h.Tenures[:1:1], h.Tenures[2])
		},
		"was granted to session 7":   func(_ []grant, h *sdk.History) { h.Tenures[1].Session = 7 },
		"revision 3, and b was told": func(g []grant, _ *sdk.History) { g[1].Revision = 4 },
		`have ended as "expired"`:    func(_ []grant, h *sdk.History) { h.Tenures[0].Ended = sdk.ReasonExpired },
		`the release of token 3 was`: func(g []grant, _ *sdk.History) { g[2].Released = true },
		"and token 3 from 5 on":      func(_ []grant, h *sdk.History) { h.Tenures[1].ToRevision = 6 },
		"held from revision 3 to 0":  func(_ []grant, h *sdk.History) { h.Tenures[1].ToRevision = 0 },
		"token 2 stands twice": func(g []grant, h *sdk.History) {
			h.Tenures = append(h.Tenures[:2:2], h.Tenures[1:]...)
			h.Tenures[1].ToRevision = 3
		},
	} {
		g, h := sound(), told()
		breakIt(g, &h)
		want(t, checkHistory("x", byName(g)["x"], h, true), kind)
	}
	compacted := told()
	compacted.Tenures, compacted.CompactedRevision = compacted.Tenures[2:], 4
	want(t, checkHistory("x", byName(sound())["x"], compacted, true), "")
}

func TestCheckLosses(t *testing.T) {
	lost := loss{Client: "c", Session: 1, TTL: 5 * time.Second, At: 100 * time.Second}
	node := func(n string, from, to int) outage {
		return outage{what: "killed", nodes: []string{n}, from: time.Duration(from) * time.Second, to: time.Duration(to) * time.Second}
	}
	for name, c := range map[string]struct {
		change  func(*loss)
		outages []outage
		excused bool
	}{
		"nothing was wrong":                        {nil, nil, false},
		"one node of three":                        {nil, []outage{node("n1", 90, 99)}, false},
		"two nodes of three":                       {nil, []outage{node("n1", 90, 99), node("n2", 98, 120)}, true},
		"two, one after the other":                 {nil, []outage{node("n1", 80, 90), node("n2", 97, 99)}, false},
		"two, long ago":                            {nil, []outage{node("n1", 50, 60), node("n2", 50, 60)}, false},
		"two, of which one has not ended":          {nil, []outage{node("n1", 50, 0), node("n2", 97, 99)}, true},
		"packets were lost, at the leader perhaps": {nil, []outage{{nodes: []string{"n1"}, cell: true, from: 95 * time.Second, to: 99 * time.Second}}, true},
		"its client was stopped":                   {nil, []outage{{client: "c", from: 95 * time.Second, to: 99 * time.Second}}, true},
		"another client was stopped":               {nil, []outage{{client: "d", from: 95 * time.Second, to: 99 * time.Second}}, false},
		"the only node that it goes to":            {func(l *loss) { l.Pinned = "n1" }, []outage{node("n1", 90, 99)}, true},
		"another one than its only node":           {func(l *loss) { l.Pinned = "n2" }, []outage{node("n1", 90, 99)}, false},
		"a short one, with one node of three":      {func(l *loss) { l.TTL = time.Second }, []outage{node("n1", 90, 99)}, true},
		"a short one, with everything sound":       {func(l *loss) { l.TTL = time.Second }, []outage{node("n1", 80, 90)}, false},
	} {
		l := lost
		if c.change != nil {
			c.change(&l)
		}
		if got := len(checkLosses([]loss{l}, c.outages, 3)) == 0; got != c.excused {
			t.Errorf("%s: excused=%v: want %v", name, got, c.excused)
		}
	}
}
