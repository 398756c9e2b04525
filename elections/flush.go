package elections

import (
	"github.com/conch-lock/conch/locks"
)

// Sink takes what a step changed.
type Sink interface {
	// Election is called for each election whose record changed, in the order of
	// the first change.
	Election(*Election)
	// Granted is called for each candidate that had waited and leads now.
	Granted(*Candidate)
	// Queue and Settle write and remove the rows of waiting candidates, by their
	// place in the order of acceptance. The row is used again afterwards.
	Queue(order uint64, row []byte)
	Settle(order uint64)
}

// Flush hands over what the step changed and forgets elections that nobody leads.
func (t *Table) Flush(to Sink) {
	if len(t.touched) == 0 {
		return
	}
	t.queues.Flush(flush{t, to})
	for _, e := range t.touched {
		e.touched = false
		if e.leader == nil {
			delete(t.byName, e.Name)
		}
	}
	clear(t.touched)
	t.touched, t.queued = t.touched[:0], nil
}

// flush tells the changes of the queues as changes of the elections.
type flush struct {
	t  *Table
	to Sink
}

func (f flush) Lock(l *locks.Lock)     { f.to.Election(f.t.byName[l.Name]) }
func (f flush) Granted(c *locks.Claim) { f.to.Granted(f.t.byID[c.ID]) }
func (f flush) Settle(order uint64)    { f.to.Settle(order) }

func (f flush) Queue(order uint64, claim []byte) {
	f.t.row = f.t.queued.appendRow(f.t.row[:0], claim)
	f.to.Queue(order, f.t.row)
}

// Order is the order of acceptance drawn last.
func (t *Table) Order() uint64 { return t.queues.Order() }
