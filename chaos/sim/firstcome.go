package sim

import (
	"fmt"
	"slices"

	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// firstCome holds that locks are granted in the order in which claims were
// accepted. It has queues of its own, made of what the log asks for and what is
// answered: it does not look at those of the state machine.
type firstCome struct {
	known  map[locks.ClaimID]bool         // that were accepted at some time
	open   map[locks.ClaimID][]locks.Item // that are neither granted nor over
	queues map[locks.Name][]locks.ClaimID
}

func newFirstCome() firstCome {
	return firstCome{
		known: map[locks.ClaimID]bool{}, open: map[locks.ClaimID][]locks.Item{}, queues: map[locks.Name][]locks.ClaimID{},
	}
}

// accepted takes a claim when it is accepted, be it granted at once or not.
func (f *firstCome) accepted(id locks.ClaimID, items []locks.Item) {
	if f.known[id] {
		return // it is repeated
	}
	f.known[id] = true
	for _, x := range items {
		f.queues[x.Name] = append(f.queues[x.Name], id)
	}
	f.open[id] = items
}

// granted takes a grant, in the order of tokens: nobody may stand before it at
// any of its locks.
func (f *firstCome) granted(id locks.ClaimID) error {
	items, ok := f.open[id]
	if !ok {
		return nil // it is told again, or over by the end of the entry
	}
	defer f.over(id)
	for _, x := range items {
		if first := f.queues[x.Name][0]; first != id {
			return fmt.Errorf("lock %q was granted to claim %v, and %v was accepted before it and waits", x.Name, id, first)
		}
	}
	return nil
}

// over takes out a claim that does not wait any more.
func (f *firstCome) over(id locks.ClaimID) {
	for _, x := range f.open[id] {
		q := f.queues[x.Name]
		if i := slices.Index(q, id); i >= 0 {
			f.queues[x.Name] = slices.Delete(q, i, i+1)
		}
	}
	delete(f.open, id)
}

// ended takes out all claims of a session.
func (f *firstCome) ended(id sessions.ID) {
	for c := range f.open {
		if c.Session == id {
			f.over(c)
		}
	}
}

// forgotten says who waits for nobody: a claim that is the first at all of its
// locks, none of which is kept from it by who holds it or by a delay. holders are
// those of a lock by its record, and delayed says that nobody may be granted it.
func (f *firstCome) forgotten(holders func(locks.Name) []locks.Holder, delayed func(locks.Name) bool) error {
	for _, q := range f.queues {
		if len(q) == 0 {
			continue
		}
		waits := func(x locks.Item) bool {
			return f.queues[x.Name][0] != q[0] || delayed(x.Name) || !beside(x, holders(x.Name))
		}
		if items := f.open[q[0]]; !slices.ContainsFunc(items, waits) {
			return fmt.Errorf("claim %v waits for %+v, of which it is the first and nothing is kept from it", q[0], items)
		}
	}
	return nil
}

// beside says whether a lock can be granted beside those who hold it.
func beside(x locks.Item, holders []locks.Holder) bool {
	used := x.Permits
	for _, h := range holders {
		if h.Mode != x.Mode || x.Mode == locks.Exclusive || h.Capacity != x.Capacity {
			return false
		}
		used += h.Permits
	}
	return x.Mode != locks.Permits || used <= x.Capacity
}
