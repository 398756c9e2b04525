//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
)

// acquired12 is what two clients were told of one lock, and a third of two.
func acquired12() acquired {
	grant := func(client string, session, token, revision uint64, names ...string) check.Operation {
		o := check.Operation{Client: client, Kind: check.Acquire, Outcome: check.Done, Session: session, Token: token, Revision: revision}
		for _, n := range names {
			o.Claim = append(o.Claim, check.Item{Name: n})
		}
		return o
	}
	release := func(token uint64) check.Operation {
		return check.Operation{Kind: check.Release, Outcome: check.Done, Token: token}
	}
	return acquiredIn([]check.Operation{
		grant("a", 1, 1, 2, "x"), release(1), grant("b", 2, 2, 3, "x"), release(2), grant("a", 1, 3, 5, "x", "y"),
		{Client: "c", Kind: check.Acquire, Outcome: check.Unknown, Claim: one("x")},
	})
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

func TestCheckHistory(t *testing.T) {
	want(t, checkHistory("x", acquired12(), told(), true), "")
	for kind, breakIt := range map[string]func(g acquired, h *sdk.History){
		"nothing of token 2": func(_ acquired, h *sdk.History) {
			h.Tenures = append(h.Tenures[:1:1], h.Tenures[2])
		},
		"was granted to session 7":   func(_ acquired, h *sdk.History) { h.Tenures[1].Session = 7 },
		"revision 3, and b was told": func(g acquired, _ *sdk.History) { g.byName["x"][1].Revision = 4 },
		`have ended as "expired"`:    func(_ acquired, h *sdk.History) { h.Tenures[0].Ended = sdk.ReasonExpired },
		`the release of token 3 was`: func(g acquired, _ *sdk.History) { g.released[3] = true },
		"and token 3 from 5 on":      func(_ acquired, h *sdk.History) { h.Tenures[1].ToRevision = 6 },
		"held from revision 3 to 0":  func(_ acquired, h *sdk.History) { h.Tenures[1].ToRevision = 0 },
		"token 2 stands twice": func(g acquired, h *sdk.History) {
			h.Tenures = append(h.Tenures[:2:2], h.Tenures[1:]...)
			h.Tenures[1].ToRevision = 3
		},
	} {
		g, h := acquired12(), told()
		breakIt(g, &h)
		want(t, checkHistory("x", g, h, true), kind)
	}
	compacted := told()
	compacted.Tenures, compacted.CompactedRevision = compacted.Tenures[2:], 4
	want(t, checkHistory("x", acquired12(), compacted, true), "")
}

func TestCheckLosses(t *testing.T) {
	lost := loss{Client: "c", Session: 1, TTL: 5 * time.Second, At: 100 * time.Second}
	node := func(n string, from, to int) outage {
		return outage{what: "killed", nodes: []string{n}, from: time.Duration(from) * time.Second, to: time.Duration(to) * time.Second}
	}
	stall := func(n string, from, to int) outage {
		o := outage{what: "starved", stall: true, from: time.Duration(from) * time.Millisecond, to: time.Duration(to) * time.Millisecond}
		if n != "" {
			o.nodes = []string{n}
		}
		return o
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
		"the only node at the other end of a link": {func(l *loss) { l.Pinned = "n2" }, []outage{{nodes: []string{"n1"}, toward: "n2", from: 95 * time.Second, to: 97 * time.Second}}, true},
		"the other end, for who can go elsewhere":  {nil, []outage{{nodes: []string{"n1"}, toward: "n2", from: 95 * time.Second, to: 97 * time.Second}}, false},
		"a node that did not run for long counts":  {nil, []outage{node("n1", 90, 99), stall("n2", 97000, 98100)}, true},
		"one node, and the machine for long":       {nil, []outage{node("n1", 90, 99), stall("", 96000, 96500), stall("", 96400, 96700)}, true},
		"one node, and the machine for a moment":   {nil, []outage{node("n1", 90, 99), stall("", 96000, 96500)}, false},
		"one node, and the machine before":         {nil, []outage{node("n1", 90, 99), stall("", 92000, 94900)}, false},
		"the machine alone, for a while":           {nil, []outage{stall("", 96000, 98000)}, false},
		"the machine alone, for all of its time":   {nil, []outage{stall("", 96000, 99000)}, true},
		"four seconds, a node and a stall":         {func(l *loss) { l.TTL = 4 * time.Second }, []outage{node("n1", 90, 99), stall("", 97000, 97160)}, true},
		"four seconds, and a node":                 {func(l *loss) { l.TTL = 4 * time.Second }, []outage{node("n1", 90, 99)}, false},
		"a short one, with everything sound":       {func(l *loss) { l.TTL = time.Second }, []outage{node("n1", 80, 90)}, false},
	} {
		l := lost
		if c.change != nil {
			c.change(&l)
		}
		bad, reasons := checkLosses([]loss{l}, c.outages, nil, 3)
		if got := len(bad) == 0; got != c.excused || got != (len(reasons) == 1) {
			t.Errorf("%s: excused=%v by %v: want %v", name, got, reasons, c.excused)
		}
	}
}

// TestLostInMoments: moments in which the machine was late are told of the loss of a
// session and do not excuse it.
func TestLostInMoments(t *testing.T) {
	var moments []outage // of each tenth of a second 40 ms at one node, of which 30 at another, too
	for at := 90 * time.Second; at < 100*time.Second; at += 100 * time.Millisecond {
		moments = append(moments, outage{stall: true, from: at, to: at + 40*time.Millisecond}, outage{stall: true, from: at, to: at + 30*time.Millisecond})
	}
	l := loss{Client: "c", Session: 1, TTL: 500 * time.Millisecond, At: 100 * time.Second}
	bad, reasons := checkLosses([]loss{l}, nil, moments, 3)
	if len(bad) != 1 || len(reasons) != 0 || !strings.Contains(bad[0], "held up for 200ms of its time") {
		t.Errorf("found %q, excused %v", bad, reasons)
	}
}

// TestStarvation: what the machine holds up counts, and what this program holds up
// itself does not, even when the kernel tells of it a little later.
func TestStarvation(t *testing.T) {
	var own spell
	const long = 600 * time.Millisecond
	for _, d := range []time.Duration{0, starved} {
		if x := starvation("n1", now(), d, &own); x != nil {
			t.Errorf("a wait of %v counts: %+v", d, x)
		}
	}
	if x := starvation("n1", now(), long, &own); x == nil || len(x.nodes) != 1 || !x.stall {
		t.Errorf("a wait of %v: %+v", long, x)
	}
	own.begin()
	if x := starvation("n1", now(), long, &own); x != nil {
		t.Errorf("during a quota of this program: %+v", x)
	}
	own.end()
	if x := starvation("n1", now()+long/2, long, &own); x != nil {
		t.Errorf("of a wait that began during it: %+v", x)
	}
	if x := starvation("n1", now()+2*long, long, &own); x == nil {
		t.Error("a wait long after it does not count")
	}
}

// TestStalled: what overlaps counts once, and only what lies within.
func TestStalled(t *testing.T) {
	list := []outage{
		{stall: true, from: 50, to: 60}, {stall: true, from: 10, to: 30}, {stall: true, from: 20, to: 25}, {stall: true, from: 25, to: 40},
		{from: 60, to: 90}, {stall: true, from: 0, to: 5}, {stall: true, from: 95, to: 200},
	}
	for _, c := range []struct{ from, to, want instant }{{0, 100, 50}, {4, 5, 1}, {5, 10, 0}, {15, 55, 30}, {100, 300, 100}, {60, 95, 0}, {300, 400, 0}} {
		if got := stalled(list, c.from, c.to); got != c.want {
			t.Errorf("between %d and %d: %d: want %d", c.from, c.to, got, c.want)
		}
	}
}

// TestThreadWaits: the kernel counts how long a thread waits for a processor.
func TestThreadWaits(t *testing.T) {
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		t.Skip("this kernel does not count that")
	}
	if waits := threadWaits(os.Getpid()); len(waits) == 0 {
		t.Error("nothing is told of the threads of this process")
	}
	if waits := threadWaits(0); len(waits) != 0 {
		t.Errorf("of no process: %v", waits)
	}
}

// TestWithoutEnded: a session is not lost for no reason when an operator may have
// ended it, and only then.
func TestWithoutEnded(t *testing.T) {
	h := newHistory(newStore(true), &recorder.Journal{})
	h.History().Interventions = []check.Intervention{
		{Kind: check.EndSession, Session: 7, Outcome: check.Done}, {Kind: check.EndSession, Session: 8, Outcome: check.Unknown},
		{Kind: check.EndSession, Session: 9, Outcome: check.Refused}, {Kind: check.ResignAs, Session: 10, Token: 4, Outcome: check.Done},
	}
	others, ended := h.withoutEnded([]loss{{Session: 7}, {Session: 8}, {Session: 9}, {Session: 10}})
	if ended != 2 || len(others) != 2 || others[0].Session != 9 || others[1].Session != 10 {
		t.Errorf("%d sessions were ended, and %+v lost", ended, others)
	}
}

// TestTakenIsToldOn: what a client process is told of an operator reaches the judges.
func TestTakenIsToldOn(t *testing.T) {
	j := &recorder.Journal{}
	p := &process{worker: &worker{to: newHistory(newStore(true), j)}}
	var line bytes.Buffer
	(&teller{out: json.NewEncoder(&line)}).Told(check.Told{Client: "a", Session: 7, Name: "x", Token: 4, Ended: "broken", At: 5})
	var m message
	if err := json.Unmarshal(line.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	p.take(m, nil)
	bad := check.Judge(j.History()).Violations
	if len(bad) != 1 || bad[0].Checker != "interventions" {
		t.Errorf("a client is told of what nobody did, and found is %v", bad)
	}
}
