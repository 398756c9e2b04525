package shell

import (
	"io"
	"sync"
	"syscall"
	"time"
)

// half is one direction of a connection, at the side that receives it.
type half struct {
	to       *conn
	cond     *sync.Cond // on network.mu
	sent     []segment  // under way
	last     time.Time  // when the latest of them is due
	pump     *time.Timer
	resend   time.Duration // the pause after which lost ones are sent again
	arrived  []byte
	ended    error // what follows what has arrived: io.EOF or worse
	unread   int   // bytes sent that were not read, as far as the sender knows
	unheard  int   // bytes read of which the sender does not know
	finished bool  // the sender has said that it sends no more
	aborted  bool  // or has been reset
}

// segment is bytes under way, or the end of them.
type segment struct {
	data []byte
	end  error
	due  time.Time
}

// ways are from the sender to the receiver of a half, and back.
func (h *half) ways() (from, to string) { return h.to.peer.host.name, h.to.host.name }

// put sends a segment. Needs mu.
func (h *half) put(data []byte, end error) {
	n := h.to.net()
	from, to := h.ways()
	due := time.Now().Add(n.latency(from, to))
	if rate := n.condition(from, to).rate; rate > 0 {
		if h.last.After(due) {
			due = h.last
		}
		due = due.Add(time.Duration(len(data)) * time.Second / time.Duration(rate))
	}
	if h.last.After(due) {
		due = h.last
	}
	h.last = due
	h.sent = append(h.sent, segment{data, end, due})
	if len(h.sent) == 1 {
		h.schedule(time.Until(due))
	}
}

// abort tells the receiver that the sender is gone: not what was sent before
// it, but all that has arrived. Needs mu.
func (h *half) abort(err error) {
	if h.aborted {
		return
	}
	h.aborted = true
	h.sent = nil
	h.put(nil, err)
}

func (h *half) schedule(d time.Duration) {
	if h.pump == nil {
		h.pump = time.AfterFunc(d, func() {
			n := h.to.net()
			n.mu.Lock()
			defer n.mu.Unlock()
			h.deliver()
		})
		return
	}
	h.pump.Reset(d)
}

// deliver takes in what is due. Needs mu.
func (h *half) deliver() {
	n := h.to.net()
	from, to := h.ways()
	for len(h.sent) > 0 {
		s := h.sent[0]
		if wait := time.Until(s.due); wait > 0 {
			h.schedule(wait)
			return
		}
		if n.hosts[to] == nil || n.condition(from, to).cuts > 0 {
			h.again()
			return
		}
		h.resend = resendFirst
		h.sent = h.sent[1:]
		switch {
		case h.to.failed != nil:
			// There is nobody: the kernel says so.
			if s.end == nil && h.to.peer.failed == nil {
				h.to.peer.in.abort(syscall.ECONNRESET)
			}
		case s.end != nil && s.end != io.EOF:
			h.to.die(s.end)
			return
		case s.end != nil:
			h.ended = s.end
		default:
			h.arrived = append(h.arrived, s.data...)
		}
		h.cond.Broadcast()
	}
}

// again sends what was lost once more, later. Needs mu.
func (h *half) again() {
	h.schedule(h.resend)
	h.resend = min(2*h.resend, resendMost)
}

// credit tells the sender that there is room. Needs mu.
func (h *half) credit() {
	n := h.to.net()
	from, to := h.ways()
	if h.unheard == 0 || h.to.peer.failed != nil {
		return
	}
	if n.open(to, from) {
		h.unread -= h.unheard
		h.unheard = 0
		h.to.peer.writing.cond.Broadcast()
		return
	}
	time.AfterFunc(resendFirst, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		h.credit()
	})
}
