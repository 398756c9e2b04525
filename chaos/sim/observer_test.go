package sim

import (
	"testing"
	"time"

	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/elections"
	"github.com/conch-lock/conch/locks"
)

// threeLeaders are the changes of an election that three led, one after the other.
func threeLeaders() (out []store.Event) {
	for term := uint64(1); term <= 3; term++ {
		r := elections.Record{Term: term, Token: locks.Token(10 * term), Leader: &elections.Leader{Revision: term + 1, Value: []byte{byte(term)}, Terms: elections.Terms{Aging: elections.DefaultAging}}}
		if term > 1 {
			r.Ended, r.Last = true, locks.Tenure{Token: locks.Token(10 * (term - 1)), Value: []byte{byte(term - 1)}}
		}
		out = append(out, store.Event{Space: store.Elections, Record: store.Record{Key: "e", Value: string(r.Append(nil)), Create: 2, Mod: term + 1, Version: term}})
	}
	return out
}

// observed is what an observer finds that is told of changes one by one, when the
// election has had these leaders.
func observed(t *testing.T, told []store.Event, had []tenure) *Violation {
	t.Helper()
	w := &world{}
	w.witness = &witness{w: w, leaders: leaders{"e": had}}
	o := &observer{w: w, seen: leaders{}, at: map[locks.Name]int{}}
	for i := range told {
		o.take(&told[i])
	}
	return w.failed
}

// TestObserverTakesLeadersInOrder: whoever is told of leaders out of order, twice,
// not at all or with another token finds it.
func TestObserverTakesLeadersInOrder(t *testing.T) {
	all, had := threeLeaders(), leaders{}
	for i := range all {
		if wrong := had.observe(&all[i]); wrong != "" {
			t.Fatal(wrong)
		}
	}
	other := func(at int, change func(*tenure)) []tenure {
		list := append([]tenure(nil), had["e"]...)
		change(&list[at])
		return list
	}
	for _, c := range []struct {
		what   string
		told   []store.Event
		had    []tenure
		broken bool
	}{
		{"all of them", all, had["e"], false},
		{"the first two, so far", all[:2], had["e"], false},
		{"one left out", []store.Event{all[0], all[2]}, had["e"], true},
		{"the first left out", all[1:], had["e"], true},
		{"out of order", []store.Event{all[0], all[2], all[1]}, had["e"], true},
		{"one twice", []store.Event{all[0], all[1], all[1]}, had["e"], true},
		{"more than there were", all, had["e"][:2], true},
		{"one with another token", all, other(1, func(x *tenure) { x.token = 21 }), true},
		{"one with another term", all, other(2, func(x *tenure) { x.term = 4 }), true},
		{"one that was not the first", all[:1], had["e"][1:], true},
	} {
		switch failed := observed(t, c.told, c.had); {
		case (failed != nil) != c.broken:
			t.Errorf("%s: %v", c.what, failed)
		case failed != nil && failed.Property != Observed:
			t.Errorf("%s is taken for a violation of %s", c.what, failed.Property)
		}
	}
}

// TestObserverReads: an observer of a sound cell finds nothing, and has seen every
// leader in the end. It finds it when what a node tells is not what was changed, and
// that it has not seen all, when there was one more.
func TestObserverReads(t *testing.T) {
	w := newQuietWith(t, Config{Seed: 4, Work: Campaigns})
	w.until(t, "some leaders of elections", time.Minute, func() bool {
		n := 0
		for _, all := range w.witness.leaders {
			n += len(all)
		}
		return n >= 3 && w.leader() != nil
	})
	n := w.leader()
	from := n.cell.Machine().Store().WatchableFrom()
	if from > 2 {
		t.Fatalf("history begins at revision %d: nobody can read it from the first", from)
	}
	fresh := func() *observer {
		return &observer{w: w, seen: leaders{}, at: map[locks.Name]int{}, from: 2}
	}
	for _, o := range w.observers { // by themselves
		w.until(t, "an observer sees leaders", time.Minute, func() bool { return len(o.seen) > 0 })
	}
	w.until(t, "the leader has applied everything", time.Minute, func() bool {
		index, _ := n.cell.Applied()
		return index == w.witness.index
	})
	if o := fresh(); !o.finished(n) || w.failed != nil {
		t.Fatalf("it has not seen every leader: %v", w.failed)
	}

	var name locks.Name
	for name = range w.witness.leaders {
		break
	}
	was := w.witness.leaders[name]
	w.witness.leaders[name] = append(was[:len(was):len(was)], tenure{})
	if fresh().finished(n) || w.failed != nil {
		t.Errorf("a leader that it was not told of has not been missed: %v", w.failed)
	}
	w.witness.leaders[name] = was

	sums := w.witness.changes.sums
	for _, i := range []int{0, len(sums) / 2, len(sums) - 1} {
		sums[i]++
		if fresh().finished(n); w.failed == nil || w.failed.Property != Watches {
			t.Errorf("revision %d changed something else, and found is %v", i+2, w.failed)
		}
		sums[i]--
		w.failed = nil
	}
}
