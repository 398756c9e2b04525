package cell

import (
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/internal/planted"
)

// request is one that this node took.
type request struct {
	number   uint64
	op       machine.Op
	done     func(machine.Reply, error)
	size     int           // of its command
	deadline time.Duration // when it is given up
	asked    time.Duration // when it was placed last

	placed bool // it is with a leader, or on its way to one
	maybe  bool // an earlier copy of it may be in a log

	older, newer *request
}

// unknown says that the request may take effect, or may have.
func (r *request) unknown() bool { return r.placed || r.maybe }

// requests are those that await a reply, found by number and in the order in
// which they were taken, which is that of their deadlines.
type requests struct {
	byNumber       map[uint64]*request
	oldest, newest *request
	bytes          int // of their commands
}

func (l *requests) add(r *request) {
	if r.older = l.newest; r.older != nil {
		r.older.newer = r
	} else {
		l.oldest = r
	}
	l.newest = r
	l.bytes += r.size
	l.byNumber[r.number] = r
}

func (l *requests) remove(r *request) {
	delete(l.byNumber, r.number)
	if r.older != nil {
		r.older.newer = r.newer
	} else {
		l.oldest = r.newer
	}
	if r.newer != nil {
		r.newer.older = r.older
	} else {
		l.newest = r.older
	}
	r.older, r.newer = nil, nil
	l.bytes -= r.size
}

// has says whether a request still awaits its reply.
func (l *requests) has(r *request) bool { return l.byNumber[r.number] == r }

// all lists them, so that they can be ended one after the other.
func (l *requests) all() []*request {
	list := make([]*request, 0, len(l.byNumber))
	for r := l.oldest; r != nil; r = r.newer {
		list = append(list, r)
	}
	return list
}

// relief: requests that make the load smaller are not refused for load.
func relief(op machine.Op) bool {
	switch op.(type) {
	case *machine.Release, *machine.Cancel, *machine.EndSession, *machine.Resign, *machine.Transfer:
		return true
	}
	return false
}

// repeatable: taking effect twice is the same as once, or cannot happen.
func repeatable(op machine.Op) bool {
	switch o := op.(type) {
	case *machine.OpenSession, *machine.Acquire, *machine.Release, *machine.Cancel, *machine.Hash, *machine.Campaign:
		return true
	case *machine.Proclaim:
		return o.Sequence != 0
	case *machine.Resign:
		return o.Sequence != 0
	case *machine.Transfer:
		return o.Sequence != 0
	case *machine.Txn:
		return o.Sequence != 0 || planted.On(planted.RepeatedUnnumbered)
	}
	return false
}
