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
	open   map[locks.ClaimID][]locks.Name // that are neither granted nor over
	queues map[locks.Name][]locks.ClaimID
}

func newFirstCome() firstCome {
	return firstCome{
		known: map[locks.ClaimID]bool{}, open: map[locks.ClaimID][]locks.Name{}, queues: map[locks.Name][]locks.ClaimID{},
	}
}

// accepted takes a claim when it is accepted, be it granted at once or not.
func (f *firstCome) accepted(id locks.ClaimID, items []locks.Item) {
	if f.known[id] {
		return // it is repeated
	}
	f.known[id] = true
	names := make([]locks.Name, len(items))
	for i, x := range items {
		names[i] = x.Name
		f.queues[x.Name] = append(f.queues[x.Name], id)
	}
	f.open[id] = names
}

// granted takes a grant, in the order of tokens: nobody may stand before it at
// any of its locks.
func (f *firstCome) granted(id locks.ClaimID) error {
	names, ok := f.open[id]
	if !ok {
		return nil // it is told again, or over by the end of the entry
	}
	defer f.over(id)
	for _, n := range names {
		if first := f.queues[n][0]; first != id {
			return fmt.Errorf("lock %q was granted to claim %v, and %v was accepted before it and waits", n, id, first)
		}
	}
	return nil
}

// over takes out a claim that does not wait any more.
func (f *firstCome) over(id locks.ClaimID) {
	for _, n := range f.open[id] {
		q := f.queues[n]
		if i := slices.Index(q, id); i >= 0 {
			f.queues[n] = slices.Delete(q, i, i+1)
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
