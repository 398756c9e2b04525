package coordinator

import (
	"context"
	"time"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/record"
)

// transferPatience is how long a hand-over of leadership is waited for.
const transferPatience = 5 * time.Second

// transfer is a hand-over that a client asked this node for. The node that leads
// does it; this one sees from who leads that it is done.
type transfer struct {
	call     *call
	to       raftnode.NodeID
	deadline time.Duration
}

func (l *loop) prepareTransferLeader(c *call, q *api.TransferLeaderRequest) (item, *api.Error) {
	if err := checkNodeName(q.GetNode()); err != nil {
		return item{}, invalid("node: %v", err)
	}
	return item{call: c, run: func() { l.transferLeader(c, q.GetNode()) }}, nil
}

func (l *loop) transferLeader(c *call, name string) {
	var to *raftnode.Member
	for _, m := range l.group.Status().Members {
		if m.Name == name {
			to = &m
		}
	}
	switch {
	case to == nil:
		l.refuse(c, refuse(api.Code_NOT_FOUND, "node %q: it is no member of the cell", name))
		return
	case to.Learner:
		l.refuse(c, invalid("node: %q has no vote and cannot lead", name))
		return
	case l.cell.Leader() == 0:
		e := refuse(api.Code_NO_LEADER, "the cell has no leader now that could hand over")
		e.RetryAfterMs = retryElection
		l.refuse(c, e)
		return
	case len(l.transfers) >= 16:
		l.refuse(c, overloaded("16 hand-overs are under way, which is the limit"))
		return
	}
	l.transfers = append(l.transfers, &transfer{call: c, to: to.ID, deadline: l.now() + transferPatience})
	if l.cell.Leading() {
		l.handOver(l.self, to.ID)
	} else {
		l.group.Send(l.cell.Leader(), record.AppendUint([]byte{messageTransfer}, uint64(to.ID)))
	}
	l.sweepTransfers(l.now())
}

// handOver has the group hand leadership over, and tells whoever asked when that
// does not work.
func (l *loop) handOver(asked, to raftnode.NodeID) {
	if to == l.self {
		return
	}
	l.server.background(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, transferPatience)
		defer cancel()
		err := l.server.group.TransferLeader(ctx, to)
		if err == nil {
			return
		}
		text := err.Error()
		l.submit(item{run: func() {
			if asked == l.self {
				l.refuseTransfers(to, text)
				return
			}
			b := record.AppendUint([]byte{messageRefusal}, uint64(to))
			l.group.Send(asked, record.AppendString(b, text))
		}})
	})
}

// takeTransfer does for another node what its client asked.
func (l *loop) takeTransfer(from raftnode.NodeID, r *record.Reader) {
	to := raftnode.NodeID(r.Uint())
	if r.Err() == nil && l.cell.Leading() {
		l.handOver(from, to)
	}
}

func (l *loop) takeRefusal(r *record.Reader) {
	to, text := raftnode.NodeID(r.Uint()), r.String()
	if r.Err() == nil && len(text) < 1024 {
		l.refuseTransfers(to, text)
	}
}

func (l *loop) refuseTransfers(to raftnode.NodeID, text string) {
	for _, t := range l.transfers {
		if t.to == to {
			l.refuse(t.call, refuse(api.Code_UNAVAILABLE, "leadership was not handed to %q: %s", l.nameOf(to), text))
		}
	}
	l.sweepTransfers(l.now())
}

// sweepTransfers answers the hand-overs that are done or wait too long.
func (l *loop) sweepTransfers(now time.Duration) {
	kept := l.transfers[:0]
	for _, t := range l.transfers {
		switch {
		case l.cell.Leader() == t.to:
			l.reply(t.call, &api.Response{Result: &api.Response_TransferLeader{
				TransferLeader: &api.TransferLeaderResponse{Leader: l.nameOf(t.to)},
			}})
		case now >= t.deadline:
			l.refuse(t.call, &api.Error{
				Code: api.Code_UNKNOWN_OUTCOME, Message: "the hand-over was begun, and the node did not lead in time: look who leads",
			})
		case !t.call.over.Load():
			kept = append(kept, t)
		}
	}
	clear(l.transfers[len(kept):])
	l.transfers = kept
}
