package sim

import (
	"testing"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/elections"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

func TestWaitCheck(t *testing.T) {
	id := locks.ClaimID{Session: 1, Sequence: 1}
	at := func(ms int64) sessions.Time { return sessions.Time(ms) * sessions.Millisecond }
	// begin has a claim wait from 100 ms on, for 50 ms, and later entries at some times.
	begin := func(later ...int64) waitCheck {
		c := newWaitCheck()
		c.begin(at(100))
		c.waits(id, 50)
		for _, ms := range later {
			c.begin(at(ms))
			c.waits(id, 50) // repeated
		}
		return c
	}
	c := begin(120)
	wantSound(t, "within its time", c.overdue())
	wantSound(t, "granted within its time", c.over(id, true, machine.OK))
	c = begin(120, 160)
	wantBroken(t, "still waiting", c.overdue())
	wantSound(t, "granted by the entry that ends it", c.over(id, true, machine.OK))
	c = begin(160, 161)
	wantBroken(t, "granted after that", c.over(id, true, machine.OK))
	c = begin(120, 150)
	wantSound(t, "over in time", c.over(id, false, machine.WaitTimedOut))
	c = begin(120, 149)
	wantBroken(t, "over too early", c.over(id, false, machine.WaitTimedOut))
	c = begin(500, 501)
	wantSound(t, "withdrawn", c.over(id, false, machine.ClaimCancelled))
	c = newWaitCheck()
	c.waits(id, 0)
	c.begin(at(1 << 40))
	wantSound(t, "one that waits for ever", c.overdue())
	wantBroken(t, "the end of its time", c.over(id, false, machine.WaitTimedOut))
}

func TestDelayCheck(t *testing.T) {
	first, second := locks.ClaimID{Session: 1, Sequence: 1}, locks.ClaimID{Session: 2, Sequence: 1}
	after := func(why locks.Why, pause sessions.Duration, token locks.Token) error {
		c := newWaitCheck()
		c.asks(first, 100)
		c.asks(second, 0)
		c.granted(first, 5)
		c.granted(second, token)
		held := locks.Record{Holders: []locks.Holder{{Token: 5}}}
		wantSound(t, "the first grant", c.lock("a", held))
		wantSound(t, "it again", c.lock("a", held))
		c.begin(sessions.Time(sessions.Second))
		wantSound(t, "its end", c.lock("a", locks.Record{Ended: []locks.Tenure{{Token: 5, Ended: why}}}))
		c.begin(sessions.Time(sessions.Second + pause))
		return c.lock("a", locks.Record{Holders: []locks.Holder{{Token: token}}})
	}
	wantBroken(t, "a grant during the delay", after(locks.Expired, 99*sessions.Millisecond, 6))
	wantSound(t, "a grant after it", after(locks.Expired, 100*sessions.Millisecond, 6))
	wantSound(t, "a grant after a release", after(locks.Released, 0, 6))
	wantBroken(t, "the same token again", after(locks.Broken, 0, 5))
}

func TestCarriedOut(t *testing.T) {
	record := func(r elections.Record) []store.Event {
		if r.Leader != nil {
			r.Leader.Aging = sessions.Second
		}
		text := r.Append(nil)
		return []store.Event{{Space: store.Elections, Record: store.Record{Key: "e", Value: string(text), Create: 2, Mod: 3, Version: 2}}}
	}
	as := machine.Leadership{Name: "e", Token: 7}
	fine := machine.Reply{Revision: 3}
	said := record(elections.Record{Term: 1, Token: 7, Leader: &elections.Leader{Value: []byte("v"), Revision: 2}})
	gone := record(elections.Record{Term: 1, Token: 7, Ended: true, Last: locks.Tenure{Token: 7, Ended: locks.Released}})
	proclaim := func(value string) machine.Op { return &machine.Proclaim{Leadership: as, Value: []byte(value)} }
	for _, x := range []struct {
		what    string
		op      machine.Op
		p       machine.Reply
		changes []store.Event
		sound   bool
	}{
		{"a proclamation", proclaim("v"), fine, said, true},
		{"one that is lost", proclaim("v"), fine, nil, false},
		{"one of another revision", proclaim("v"), machine.Reply{Revision: 4}, said, false},
		{"another value", proclaim("w"), fine, said, false},
		{"one of somebody else", &machine.Proclaim{Leadership: machine.Leadership{Name: "e", Token: 6}, Value: []byte("v")}, fine, said, false},
		{"one of nobody", proclaim("v"), fine, gone, false},
		{"a resignation", &machine.Resign{Leadership: as}, fine, gone, true},
		{"one that did nothing", &machine.Resign{Leadership: as}, fine, said, false},
		{"a leader that handed over", &machine.Transfer{Leadership: as}, fine, gone, true},
		{"one that still leads", &machine.Transfer{Leadership: as}, fine, said, false},
	} {
		if wrong := carriedOut(x.op, x.p, x.changes); (wrong == "") != x.sound {
			t.Errorf("%s: %q", x.what, wrong)
		}
	}
}
