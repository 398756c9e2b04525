package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/elections"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/raftnode/disk"
	"github.com/conch-lock/conch/raftnode/wal"
	"github.com/conch-lock/conch/sessions"
)

func wantBroken(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: nothing was found", what)
	}
}

func wantSound(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func TestLogCheck(t *testing.T) {
	c := &logCheck{}
	apply := func(n raftnode.NodeID, index, term, sum uint64) error {
		_, err := c.apply(n, index, term, sum)
		return err
	}
	wantSound(t, "the first", apply(1, 2, 1, 7))
	wantSound(t, "the next", apply(1, 3, 2, 8))
	wantSound(t, "again", apply(2, 2, 1, 7))
	wantBroken(t, "another entry at an index", apply(2, 3, 2, 9))
	wantBroken(t, "another term at an index", apply(2, 3, 1, 8))
	wantBroken(t, "a gap", apply(2, 5, 2, 9))
	wantBroken(t, "a term that goes back", apply(2, 4, 1, 9))
	wantBroken(t, "a leader that lacks what was applied", complete(c, 3, 4, 2))
	wantSound(t, "a leader that has it", complete(c, 3, 4, 3))
	wantSound(t, "a leader that was voted for before", complete(c, 3, 2, 2))
}

func TestRaftCheck(t *testing.T) {
	c := newRaftCheck()
	wantSound(t, "a leader", c.lead(1, 5))
	wantSound(t, "it again", c.lead(1, 5))
	wantBroken(t, "two leaders in a term", c.lead(2, 5))
	three := []raftnode.Member{{ID: 1}, {ID: 2}, {ID: 3}}
	wantSound(t, "three", c.members(5, 10, three))
	wantSound(t, "one removed", c.members(5, 12, three[:2]))
	wantSound(t, "what an old leader knows", c.members(4, 11, three))
	wantBroken(t, "one that comes back", c.members(6, 14, three))
	wantSound(t, "a promise", c.promised(1, 5, 0))
	wantSound(t, "a vote", c.promised(1, 5, 2))
	wantSound(t, "the vote again", c.promised(1, 5, 2))
	wantSound(t, "another promise", c.promised(1, 5, 0))
	wantBroken(t, "a second vote", c.promised(1, 5, 3))
	wantSound(t, "a vote in a later term", c.promised(1, 7, 3))
	wantBroken(t, "a promise in an earlier one", c.promised(1, 6, 0))
}

func TestSnapshotCheck(t *testing.T) {
	c := snapshotCheck{map[uint64]uint64{}}
	wantSound(t, "the first", c.taken(1, 10, 77))
	wantSound(t, "the same", c.taken(2, 10, 77))
	wantBroken(t, "other bytes", c.taken(3, 10, 78))
}

func TestTokenCheck(t *testing.T) {
	c := tokenCheck{of: map[locks.ClaimID]locks.Token{}}
	a, b := locks.ClaimID{Session: 1, Sequence: 1}, locks.ClaimID{Session: 1, Sequence: 2}
	wantSound(t, "the first", c.granted(a, 5))
	wantSound(t, "it again", c.granted(a, 5))
	wantBroken(t, "another token for a claim", c.granted(a, 6))
	wantBroken(t, "a token that was used", c.granted(b, 5))
	wantBroken(t, "a smaller token", c.granted(b, 4))
	wantSound(t, "a larger one", c.granted(b, 6))
}

// TestStaleMessages: what elections and writes wait for, and comes late, is told from all else.
func TestStaleMessages(t *testing.T) {
	n := newNetwork(rand.New(rand.NewPCG(1, 2)))
	well := func(id raftnode.NodeID) bool { return id == 1 }
	vote, read := &raftpb.Message{Type: raftpb.MsgVoteResp.Enum()}, &raftpb.Message{Type: raftpb.MsgReadIndex.Enum()}
	n.stale(time.Second, time.Millisecond, vote)
	n.stale(time.Second, 3*time.Second, read)
	if got := n.lastStale(2*time.Second, time.Minute, well); got != 2*time.Second {
		t.Errorf("nothing was stale, and the last came at %v", got)
	}
	for i := range 1000 {
		n.stale(time.Duration(i)*time.Millisecond, 2*time.Second, vote)
	}
	n.stale(time.Second, 20*time.Second, vote)
	if got := n.lastStale(2*time.Second, 10*time.Second, well); got != 2999*time.Millisecond {
		t.Errorf("the last one before a leader came at %v, want 2.999s", got)
	}
	n.stale(time.Second, 6*time.Second, &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), From: new(uint64(2))})
	n.stale(time.Second, 7*time.Second, &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), From: new(uint64(1))})
	if got := n.lastStale(2*time.Second, 10*time.Second, well); got != 7*time.Second {
		t.Errorf("the last one of a leader that is gone came at %v, want 7s", got)
	}
}

func TestPrompt(t *testing.T) {
	const election = 950 * time.Millisecond // a second by the slowest clock
	wantSound(t, "a leader from before", prompt(-time.Hour, 10*time.Millisecond, election, 0))
	wantSound(t, "both just in time", prompt(3*time.Second, 4*time.Second, election, 0))
	wantBroken(t, "a late leader", prompt(3001*time.Millisecond, 3500*time.Millisecond, election, 0))
	wantBroken(t, "a late write", prompt(2*time.Second, 4001*time.Millisecond, election, 0))
	wantBroken(t, "a late write of an old leader", prompt(-time.Hour, 4001*time.Millisecond, election, 0))
	wantSound(t, "a leader after a split vote", prompt(5*time.Second, 6*time.Second, election, 1))
	wantBroken(t, "a late one", prompt(5001*time.Millisecond, 6*time.Second, election, 1))
	wantBroken(t, "a leader after many terms", prompt(8*time.Second, 8*time.Second, election, 9))
}

func TestFirstCome(t *testing.T) {
	id := func(n int) locks.ClaimID { return locks.ClaimID{Session: sessions.ID(n), Sequence: 1} }
	a, b := locks.Item{Name: "a"}, locks.Item{Name: "b"}
	begin := func() firstCome {
		f := newFirstCome()
		f.accepted(id(1), []locks.Item{a})
		wantSound(t, "at once", f.granted(id(1)))
		f.accepted(id(2), []locks.Item{a, b})
		f.accepted(id(3), []locks.Item{b})
		f.accepted(id(4), []locks.Item{a})
		f.accepted(id(2), []locks.Item{a, b}) // repeated
		return f
	}
	f := begin()
	wantSound(t, "the first", f.granted(id(2)))
	wantSound(t, "another lock", f.granted(id(4)))
	wantSound(t, "the last", f.granted(id(3)))
	wantSound(t, "told again", f.granted(id(2)))
	f = begin()
	wantBroken(t, "the second of one lock", f.granted(id(3)))
	f = begin()
	wantBroken(t, "the second of the other", f.granted(id(4)))
	f = begin()
	f.accepted(id(5), []locks.Item{b})
	wantBroken(t, "at once, past others", f.granted(id(5)))
	f = begin()
	f.over(id(2))
	wantSound(t, "after a cancellation", f.granted(id(3)))
	f = begin()
	f.ended(2)
	wantSound(t, "after the end of a session", f.granted(id(4)))
}

// TestForgotten: who is the first and could be granted its locks is not kept
// waiting.
func TestForgotten(t *testing.T) {
	id := func(n int) locks.ClaimID { return locks.ClaimID{Session: sessions.ID(n), Sequence: 1} }
	shared := locks.Item{Name: "a", Mode: locks.Shared}
	permits := locks.Item{Name: "a", Mode: locks.Permits, Permits: 2, Capacity: 5}
	holder := func(x locks.Item) locks.Holder {
		return locks.Holder{Mode: x.Mode, Permits: x.Permits, Capacity: x.Capacity}
	}
	for name, c := range map[string]struct {
		waiting [][]locks.Item
		holders map[locks.Name][]locks.Holder
		delayed locks.Name
		sound   bool
	}{
		"nobody":                      {nil, nil, "", true},
		"a free lock":                 {[][]locks.Item{{{Name: "a"}}}, nil, "", false},
		"one that is held":            {[][]locks.Item{{{Name: "a"}}}, map[locks.Name][]locks.Holder{"a": {{}}}, "", true},
		"one that is delayed":         {[][]locks.Item{{{Name: "a"}}}, nil, "a", true},
		"shared beside shared":        {[][]locks.Item{{shared}}, map[locks.Name][]locks.Holder{"a": {holder(shared)}}, "", false},
		"shared beside exclusive":     {[][]locks.Item{{shared}}, map[locks.Name][]locks.Holder{"a": {{}}}, "", true},
		"permits that there are":      {[][]locks.Item{{permits}}, map[locks.Name][]locks.Holder{"a": {holder(permits)}}, "", false},
		"permits that there are not":  {[][]locks.Item{{permits}}, map[locks.Name][]locks.Holder{"a": {holder(permits), holder(permits)}}, "", true},
		"one of two is held":          {[][]locks.Item{{{Name: "a"}, {Name: "b"}}}, map[locks.Name][]locks.Holder{"b": {{}}}, "", true},
		"both are free":               {[][]locks.Item{{{Name: "a"}, {Name: "b"}}}, nil, "", false},
		"behind one that waits for b": {[][]locks.Item{{{Name: "a"}, {Name: "b"}}, {{Name: "a"}}}, map[locks.Name][]locks.Holder{"b": {{}}}, "", true},
	} {
		f := newFirstCome()
		for i, items := range c.waiting {
			f.accepted(id(i+1), items)
		}
		err := f.forgotten(func(n locks.Name) []locks.Holder { return c.holders[n] }, func(n locks.Name) bool { return n == c.delayed })
		if c.sound {
			wantSound(t, name, err)
		} else {
			wantBroken(t, name, err)
		}
	}
}

func TestLifeCheck(t *testing.T) {
	c := lifeCheck{sessions: map[sessions.ID]*life{1: {ttl: time.Second, safe: 900 * time.Millisecond}}}
	c.alive(1, 1900*time.Millisecond, time.Second)
	wantBroken(t, "an early end", c.expired(1, 1800*time.Millisecond))
	wantSound(t, "an end in time", c.expired(1, 1900*time.Millisecond))
	wantBroken(t, "a session nobody opened", c.expired(2, time.Hour))
	c.acknowledged(1, 2500*time.Millisecond)
	wantBroken(t, "an end after an acknowledgement that was not applied", c.expired(1, 2400*time.Millisecond))
	c.sessions[1].safe = 1900 * time.Millisecond
	wantSound(t, "an end soon after", c.overdue(1, 3*time.Second, 0, 600*time.Millisecond, true))
	wantBroken(t, "an end long after", c.overdue(1, 5*time.Second, 0, 600*time.Millisecond, true))
	wantSound(t, "an end after an outage", c.overdue(1, 5*time.Second, 3*time.Second, 600*time.Millisecond, true))
	wantSound(t, "an end that waited for a leader", c.overdue(1, 6*time.Second, 0, 600*time.Millisecond, false))
	wantBroken(t, "one that waited too long", c.overdue(1, 7*time.Second, 0, 600*time.Millisecond, false))
}

func TestSlowdown(t *testing.T) {
	took := func(most int) []time.Duration {
		var l []time.Duration
		for i := range 1000 {
			l = append(l, time.Duration(i*most)*time.Microsecond)
		}
		return l
	}
	wantSound(t, "thrice as slow", slowdown(took(10), took(30)))
	wantBroken(t, "slower", slowdown(took(10), took(31)))
}

func TestOnceCheck(t *testing.T) {
	c := onceCheck{map[locks.ClaimID]answer{}}
	id, claim := locks.ClaimID{Session: 1, Sequence: 1}, locks.ClaimID{Session: 1, Sequence: 2}
	answered := func(id locks.ClaimID, origin uint64, p machine.Reply) (bool, error) {
		return c.answered(id, origin, id == claim, p)
	}
	_, err := answered(id, 1, machine.Reply{Revision: 7})
	wantSound(t, "an answer", err)
	if again, err := answered(id, 2, machine.Reply{Revision: 7}); err != nil || !again {
		t.Errorf("the same through another node: %v, %v", again, err)
	}
	_, err = answered(id, 1, machine.Reply{Revision: 8})
	wantBroken(t, "a second effect", err)
	_, err = answered(id, 1, machine.Reply{Code: machine.NotHolder, Revision: 7})
	wantBroken(t, "another outcome", err)
	_, err = answered(id, 1, machine.Reply{Code: machine.SequenceTooOld, Revision: 9})
	wantSound(t, "forgotten", err)

	granted := machine.Reply{Claim: &machine.Claimed{ID: claim, Granted: true, Token: 4, Revision: 7}}
	_, err = answered(claim, 1, machine.Reply{Claim: &machine.Claimed{ID: claim}})
	wantSound(t, "a claim that waits", err)
	_, err = answered(claim, 1, granted)
	wantSound(t, "and is granted", err)
	other := *granted.Claim
	other.Token = 5
	_, err = answered(claim, 1, machine.Reply{Claim: &other})
	wantBroken(t, "another token", err)
	_, err = answered(claim, 1, machine.Reply{Code: machine.ClaimCancelled, Revision: 9})
	wantSound(t, "and ends", err)
	_, err = answered(claim, 1, granted)
	wantBroken(t, "and comes back", err)
}

func TestFloorCheck(t *testing.T) {
	c := floorCheck{}
	c.tell(9)
	c.tell(4)
	wantBroken(t, "a stale answer", c.answered("a read", 8, c.told))
	wantSound(t, "a fresh one", c.answered("a read", 9, c.told))
}

// changesOf is three revisions, the second with two changes.
func changesOf() []store.Event {
	return []store.Event{
		{Record: store.Record{Key: "a", Value: "1", Create: 2, Mod: 2, Version: 1}},
		{Record: store.Record{Key: "a", Value: "2", Create: 2, Mod: 3, Version: 2}, Prev: store.Record{Key: "a", Value: "1", Create: 2, Mod: 2, Version: 1}},
		{Record: store.Record{Key: "b", Value: "3", Create: 3, Mod: 3, Version: 1}},
		{Deleted: true, Record: store.Record{Key: "a", Mod: 4}, Prev: store.Record{Key: "a", Value: "2", Create: 2, Mod: 3, Version: 2}},
	}
}

func TestChangeCheck(t *testing.T) {
	c := &changeCheck{}
	all := changesOf()
	wantSound(t, "three revisions", c.newRevisions(all))
	wantBroken(t, "a gap of revisions", c.newRevisions([]store.Event{{Record: store.Record{Mod: 9}}}))
	wantSound(t, "all of it", c.watched(2, 5, all))
	wantSound(t, "the end of it", c.watched(4, 5, all[3:]))
	wantBroken(t, "half a revision", c.watched(2, 5, append(changesOf()[:2], all[3])))
	wantBroken(t, "a revision left out", c.watched(2, 5, append(changesOf()[:1], all[3])))
	wantBroken(t, "one twice", c.watched(2, 5, append(changesOf(), all[3])))
	wantBroken(t, "out of order", c.watched(2, 5, []store.Event{all[0], all[2], all[1], all[3]}))
	wantBroken(t, "more than there is", c.watched(2, 6, all))
	lie := changesOf()
	lie[1].Prev.Value = "0"
	wantBroken(t, "another value before", c.watched(2, 5, lie))
}

func TestCompatible(t *testing.T) {
	h := func(mode locks.Mode, permits, of uint32) locks.Holder {
		return locks.Holder{Mode: mode, Permits: permits, Capacity: of}
	}
	for _, x := range []struct {
		what   string
		holds  []locks.Holder
		broken bool
	}{
		{"one", []locks.Holder{h(locks.Exclusive, 0, 0)}, false},
		{"two", []locks.Holder{h(locks.Exclusive, 0, 0), h(locks.Exclusive, 0, 0)}, true},
		{"readers", []locks.Holder{h(locks.Shared, 0, 0), h(locks.Shared, 0, 0)}, false},
		{"a reader and a writer", []locks.Holder{h(locks.Shared, 0, 0), h(locks.Exclusive, 0, 0)}, true},
		{"permits", []locks.Holder{h(locks.Permits, 2, 4), h(locks.Permits, 2, 4)}, false},
		{"too many permits", []locks.Holder{h(locks.Permits, 2, 4), h(locks.Permits, 3, 4)}, true},
		{"two capacities", []locks.Holder{h(locks.Permits, 1, 4), h(locks.Permits, 1, 5)}, true},
	} {
		if err := compatible(locks.Record{Holders: x.holds}); (err != nil) != x.broken {
			t.Errorf("%s: %v", x.what, err)
		}
	}
}

func TestClash(t *testing.T) {
	b := func(mode locks.Mode, permits uint32, names ...locks.Name) *belief {
		b := &belief{}
		for _, n := range names {
			b.items = append(b.items, locks.Item{Name: n, Mode: mode, Permits: permits, Capacity: capacity})
		}
		return b
	}
	if !clash(b(locks.Exclusive, 0, "a", "b"), b(locks.Exclusive, 0, "b", "c")) || !clash(b(locks.Shared, 0, "a"), b(locks.Exclusive, 0, "a")) ||
		!clash(b(locks.Permits, 3, "a"), b(locks.Permits, 2, "a")) {
		t.Error("two that clash were not seen")
	}
	if clash(b(locks.Exclusive, 0, "a"), b(locks.Exclusive, 0, "b")) || clash(b(locks.Shared, 0, "a"), b(locks.Shared, 0, "a")) ||
		clash(b(locks.Permits, 2, "a"), b(locks.Permits, 2, "a")) {
		t.Error("two that do not clash were taken for it")
	}
}

func TestBroken(t *testing.T) {
	failed := broken{file: "log/1.wal", op: disk.OpSync}
	wantBroken(t, "a promise after a failed sync", failed.promise())
	wantBroken(t, "a second sync", failed.again(disk.Op{Kind: disk.OpSync, Name: "log/1.wal"}))
	wantSound(t, "another file", failed.again(disk.Op{Kind: disk.OpSync, Name: "log/2.wal"}))
	wantSound(t, "a snapshot that failed", broken{file: "1.snap.tmp", op: disk.OpSync}.promise())
	wantSound(t, "nothing failed", broken{}.promise())
}

func TestSilent(t *testing.T) {
	log := func(base uint64, entries ...uint64) wal.Contents {
		c := wal.Contents{State: []byte("s"), Base: base, BaseTerm: 1}
		for _, i := range entries {
			c.Entries = append(c.Entries, wal.Entry{Index: i, Term: 1, Data: []byte{byte(i)}})
		}
		return c
	}
	was := log(3, 3, 4, 5)
	wantSound(t, "the same", silent(was, log(3, 3, 4, 5)))
	wantSound(t, "what a snapshot replaces is gone", silent(was, log(3, 4, 5)))
	wantBroken(t, "the last is gone", silent(was, log(3, 3, 4)))
	wantBroken(t, "another mark", silent(was, log(2, 3, 4, 5)))
	other := log(3, 3, 4, 5)
	other.State = []byte("t")
	wantBroken(t, "another vote", silent(was, other))
	other = log(3, 3, 4, 5)
	other.Entries[2].Data = []byte("x")
	wantBroken(t, "another entry", silent(was, other))
}

func TestLeaders(t *testing.T) {
	as := func(create, mod uint64) store.Record { return store.Record{Key: "e", Create: create, Mod: mod} }
	lead := func(term, token, since uint64) elections.Record {
		return elections.Record{Term: term, Token: locks.Token(token), Leader: &elections.Leader{Revision: since}}
	}
	next := lead(2, 8, 6)
	next.Ended, next.Last = true, locks.Tenure{Token: 5}
	for _, x := range []struct {
		what   string
		second elections.Record
		broken bool
	}{
		{"the next leader", next, false},
		{"two leaders", lead(2, 8, 6), true},
		{"the same term", func() elections.Record { r := next; r.Term = 1; return r }(), true},
		{"a term left out", func() elections.Record { r := next; r.Term = 3; return r }(), true},
		{"a smaller token", func() elections.Record { r := next; r.Token = 4; return r }(), true},
		{"another predecessor", func() elections.Record { r := next; r.Last.Token = 3; return r }(), true},
	} {
		l := leaders{}
		if wrong := l.record(as(5, 5), lead(1, 5, 5)); wrong != "" {
			t.Fatalf("the first: %s", wrong)
		}
		if wrong := l.record(as(5, 6), x.second); (wrong != "") != x.broken {
			t.Errorf("%s: %q", x.what, wrong)
		}
	}
}
