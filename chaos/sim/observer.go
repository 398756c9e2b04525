package sim

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/elections"
	"github.com/conch-lock/conch/locks"
)

// tenure is a leader as its record tells it.
type tenure struct {
	create   uint64 // revision of the first leader of the election's life
	revision uint64
	term     uint64
	token    locks.Token
	value    string // what it proclaimed last
	over     bool
}

// leaders are all leaders that elections had, in order.
type leaders map[locks.Name][]tenure

// observe takes the next change of an election and holds it against the one
// before it: one leader at a time and a revision, whose terms rise by one, and
// who is told its predecessor. It says what is wrong, "" for nothing.
func (l leaders) observe(e *store.Event) (wrong string) {
	r, err := elections.ReadRecord([]byte(e.Record.Value))
	if err != nil {
		return err.Error()
	}
	return l.record(e.Record, r)
}

// record takes what the record says.
func (l leaders) record(as store.Record, r elections.Record) (wrong string) {
	n := locks.Name(as.Key)
	list := l[n]
	var last *tenure
	if len(list) > 0 && list[len(list)-1].create == as.Create {
		last = &list[len(list)-1]
	}
	if r.Ended {
		if last == nil || last.over || r.Last.Token != last.token || string(r.Last.Value) != last.value {
			return "a tenure ended that nobody saw last"
		}
		last.over = true
	}
	switch {
	case r.Leader == nil:
		if !r.Ended {
			return "nobody leads, and no tenure ended"
		}
		return ""
	case last != nil && last.term == r.Term: // a proclamation
		if last.over || r.Token != last.token || r.Leader.Revision != last.revision {
			return "two leaders have one term"
		}
		last.value = string(r.Leader.Value)
		return ""
	case r.Leader.Revision != as.Mod:
		return "a leader was not seen when it began"
	case last != nil && (r.Term != last.term+1 || r.Token <= last.token || !last.over || r.Last.Token != last.token):
		return "a leader did not follow the one before"
	case last == nil && (r.Term != 1 || as.Create != as.Mod):
		return "the first leader has another term than 1"
	case last == nil && len(list) > 0 && !list[len(list)-1].over:
		return "an election was forgotten while it was led"
	}
	l[n] = append(list, tenure{
		create: as.Create, revision: as.Mod, term: r.Term, token: r.Token, value: string(r.Leader.Value),
	})
	return ""
}

// observer follows all changes from node to node, as a watch that reconnects,
// and looks at elections as one who observes them.
type observer struct {
	w    *world
	id   int
	rng  *rand.Rand
	node int
	from uint64
	term uint64 // of the cell, when it read last
	seen leaders
	at   map[locks.Name]int // how many of an election's leaders it has seen or, being late, missed knowingly
}

func newObserver(w *world, id int) *observer {
	o := &observer{w: w, id: id, rng: w.stream(streamObserver, uint64(id)), from: 2, seen: leaders{}, at: map[locks.Name]int{}}
	w.after(between(o.rng, 0, time.Second), o.look)
	return o
}

// look reads on at its node, or moves to another.
func (o *observer) look() {
	if o.rng.IntN(10) == 0 {
		o.node = o.rng.IntN(len(o.w.nodes))
	}
	if n := o.w.nodes[o.node]; n.up && o.w.now >= n.paused {
		o.read(n)
	}
	wait := o.w.set.pace * between(o.rng, 20*time.Millisecond, 300*time.Millisecond)
	if o.rng.IntN(50) == 0 { // long enough for the history to be gone
		wait += between(o.rng, time.Second, 15*time.Second)
	}
	o.w.after(wait, o.look)
}

func (o *observer) read(n *node) {
	s := n.cell.Machine().Store()
	if s.Revision() < o.from {
		return
	}
	events, next, err := s.Since(o.from, 50, 1<<20)
	if errors.Is(err, store.ErrCompacted) {
		o.restart(s)
		return
	}
	if err != nil {
		o.w.fail(Watches, "observer %d, from revision %d: %v", o.id, o.from, err)
		return
	}
	if err := o.w.witness.changes.watched(o.from, next, events); err != nil {
		o.w.fail(Watches, "observer %d, at node %v: %v", o.id, n.id, err)
		return
	}
	if term := o.w.witness.log.newest(); next > o.from {
		if term >= o.term+2 && o.term > 0 {
			o.w.sometimes(observedAcrossLeaders)
		}
		o.term = term
	}
	for i := range events {
		if events[i].Space == store.Elections {
			o.take(&events[i])
		}
	}
	o.from = next
}

// take holds a change against what the observer saw before, and a new leader
// against all that there were.
func (o *observer) take(e *store.Event) {
	n := locks.Name(e.Record.Key)
	before := len(o.seen[n])
	if wrong := o.seen.observe(e); wrong != "" {
		o.w.fail(Observed, "observer %d, %s at revision %d: %s", o.id, n, e.Revision(), wrong)
		return
	}
	if len(o.seen[n]) == before {
		return
	}
	got, all := o.seen[n][before], o.w.witness.leaders[n]
	if o.at[n] >= len(all) || all[o.at[n]].token != got.token || all[o.at[n]].term != got.term {
		o.w.fail(Observed, "observer %d saw the leader with term %d and token %d of %s after %d of its %d leaders", o.id, got.term, got.token, n, o.at[n], len(all))
		return
	}
	o.at[n]++
	o.w.sometimes(leaderObserved)
}

// restart begins again from what is there now, as the observer was told that it
// came too late.
func (o *observer) restart(s *store.Store) {
	o.w.sometimes(observerLate)
	o.from = s.Revision() + 1
	o.seen = leaders{}
	for n, all := range o.w.witness.leaders {
		o.at[n] = 0
		for _, t := range all {
			if t.revision < o.from {
				o.at[n]++
			}
		}
	}
	s.Visit(store.Query{Space: store.Elections, End: store.Everything}, func(rec store.Record) bool {
		r, err := elections.ReadRecord([]byte(rec.Value))
		if err != nil {
			o.w.fail(Observed, "observer %d: %v", o.id, err)
			return false
		}
		t := tenure{create: rec.Create, term: r.Term, token: r.Token, over: true}
		if r.Leader != nil {
			t.revision, t.value, t.over = r.Leader.Revision, string(r.Leader.Value), false
		}
		o.seen[locks.Name(rec.Key)] = []tenure{t}
		return true
	})
}

// finished says whether it has seen every leader that there was; it is asked
// when a node that has applied everything can be read.
func (o *observer) finished(n *node) bool {
	for s := n.cell.Machine().Store(); o.from <= s.Revision() && o.w.failed == nil; {
		o.read(n)
	}
	for name, all := range o.w.witness.leaders {
		if o.at[name] != len(all) {
			return false
		}
	}
	return true
}
