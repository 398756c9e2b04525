package coordinator

import (
	"time"

	"github.com/conch-lock/conch/coordinator/cell"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/record"
)

// member is what the consensus drives: the cell, and beside it what the servers
// of a cell say to each other.
type member struct {
	*cell.Cell
	loop *loop
}

var _ raftnode.Machine = (*member)(nil)

// What the servers say to each other: a kind and its content. The kinds of the
// cell's own messages are below 0x80. A message of an unknown kind, or that
// cannot be read, is dropped.
const (
	messageNews     byte = iota + 0x80 // how the sender is
	messageHash                        // a hash that the sender took
	messageWantHash                    // the receiver is to send a hash once more
	messageTransfer                    // the receiver, who leads, is to hand over
	messageRefusal                     // that it did not work
)

// Receive implements [raftnode.Machine].
func (m *member) Receive(from raftnode.NodeID, payload []byte) {
	l := m.loop
	defer l.settle()
	if len(payload) == 0 || payload[0] < 0x80 {
		m.Cell.Receive(from, payload)
		return
	}
	if l.group == nil {
		return // it comes again
	}
	r := record.NewReader(payload[1:])
	l.guard(func() {
		switch payload[0] {
		case messageNews:
			l.takeNews(from, r)
		case messageHash:
			l.takeHash(from, r)
		case messageWantHash:
			l.resendHash(from, r)
		case messageTransfer:
			l.takeTransfer(from, r)
		case messageRefusal:
			l.takeRefusal(r)
		}
	})
}

// Propose implements [raftnode.Machine].
func (m *member) Propose(now time.Duration, maxBytes int) [][]byte {
	payloads := m.Cell.Propose(now, maxBytes)
	m.loop.proposed += uint64(len(payloads))
	return payloads
}

// output tells sessions and watchers what applying entries gave. It must not
// stop the process: it is not part of the state.
func (l *loop) output(out machine.Output) {
	defer l.settle()
	for i := range out.Hashes {
		l.guard(func() { l.tookHash(out.Hashes[i]) })
	}
	l.guard(func() { l.events(out.Events) })
	if len(out.Changes) > 0 {
		l.guard(func() { l.changes(out.Changes) })
	}
	l.guard(l.compacted)
}

// leadership takes in that another node, or none, leads.
func (l *loop) leadership(leader raftnode.NodeID) {
	defer l.settle()
	if l.group == nil {
		return
	}
	l.guard(func() {
		l.pushHint()
		l.tellNews(l.now())
		l.sweepTransfers(l.now())
	})
}

// restored: the state was replaced by a snapshot. What happened in between was
// told to nobody, so that all clients have to ask again.
func (l *loop) restored() {
	defer l.settle()
	for st := range l.streams {
		st.out.end(refuseStream("the node took over the state of another one: connect again"))
	}
	l.loseWaits()
}
