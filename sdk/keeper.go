package sdk

import (
	"container/heap"
	"fmt"
	"math"
	"time"

	"github.com/conch-lock/conch/api"
)

const (
	never = time.Duration(math.MaxInt64)
	// look is how often the clock is read while there are sessions. Timers
	// stand still while the machine is suspended and the clock does not, so
	// a timer for a far deadline alone would fire too late.
	look = time.Second
	// idlePing is after how much silence an idle connection is tested.
	idlePing = 5 * time.Second
	// answerTimeout is how long a request of a session may be unanswered on a
	// connection that is alive. A node answers within ten seconds, if only that
	// it does not know the outcome: this one has lost the request.
	answerTimeout = 20 * time.Second
)

// keep is the goroutine of everything that happens because time passes:
// keep-alives, jeopardy, deadlines, repetitions and silent connections.
func (c *Client) keep() {
	defer c.wg.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		c.mu.Lock()
		now := c.cfg.Now()
		c.wakeAt = never // so that what tend brings about pokes, too
		next := c.tend(now)
		c.wakeAt = min(next, c.wakeAt)
		c.mu.Unlock()
		timer.Reset(min(max(next-now, time.Millisecond), time.Hour))
		select {
		case <-c.ctx.Done():
			return
		case <-c.poke:
		case <-timer.C:
		}
	}
}

// wakeBy makes sure that the keeper looks again at that time. Needs mu.
func (c *Client) wakeBy(at time.Duration) {
	if at >= c.wakeAt {
		return
	}
	c.wakeAt = at
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// tend does what is due and returns when to look again. Needs mu.
func (c *Client) tend(now time.Duration) time.Duration {
	next := never
	// 1. Sessions: deadlines and jeopardy before anything else.
	c.agenda.tend(now)
	if len(c.agenda) > 0 {
		next = min(next, c.agenda[0].dueAt, now+look)
	}
	// 2. Refused calls whose pause is over.
	for len(c.delayed) > 0 {
		ca := c.delayed[0]
		if !ca.over && ca.due > now {
			next = min(next, ca.due)
			break
		}
		heap.Pop(&c.delayed)
		ca.delayed = false
		if !ca.over {
			c.send(ca)
		}
	}
	// 3. Calls in the background that have become pointless.
	kept := c.bounded[:0]
	for _, ca := range c.bounded {
		switch {
		case ca.over:
		case ca.until <= now:
			c.complete(ca, nil, &waitError{op: ca.op, name: ca.name, ctx: errGivenUp})
		default:
			next = min(next, ca.until)
			kept = append(kept, ca)
		}
	}
	clear(c.bounded[len(kept):])
	c.bounded = kept
	// 4. Watches that were refused.
	for w := range c.watches {
		if w.due != 0 && w.due <= now {
			w.due = 0
			c.place(w)
		} else if w.due != 0 {
			next = min(next, w.due)
		}
	}
	// 5. The connection.
	if l := c.link; l != nil {
		next = min(next, l.listen(now))
	}
	return next
}

// listen tests a silent connection and gives it up when it stays silent. It
// returns when to look again. Needs mu.
func (l *link) listen(now time.Duration) time.Duration {
	silence := l.c.cfg.SilenceTimeout
	if now-l.searched >= look && l.inFlight > 0 {
		l.searched = now
		for _, ca := range l.c.calls {
			if ca.link == l && ca.session != nil && now-ca.sentAt >= answerTimeout {
				l.fail(fmt.Errorf("no answer to %s %q for %v", ca.op, ca.name, now-ca.sentAt))
				return never
			}
		}
	}
	if l.refusedSince != 0 && l.c.hasOthers(l) {
		deadline := l.refusedSince + silence
		if now >= deadline {
			l.fail(fmt.Errorf("it has refused everything for %v: %w", now-l.refusedSince, l.refusal))
			return never
		}
		return min(deadline, l.probe(now))
	}
	return l.probe(now)
}

// probe is listen's test for silence. Needs mu.
func (l *link) probe(now time.Duration) time.Duration {
	silence := l.c.cfg.SilenceTimeout
	if l.pinged != 0 {
		if l.heard >= l.pinged {
			l.pinged = 0
		} else if deadline := l.pinged + silence*2/3; now >= deadline {
			l.fail(fmt.Errorf("nothing was heard of it for %v", (now - l.heard).Round(time.Millisecond)))
			return never
		} else {
			return deadline
		}
	}
	patience, since := idlePing, l.heard
	if l.inFlight > 0 {
		patience, since = silence/3, max(l.heard, l.waiting)
	} else if len(l.c.sessions) == 0 && len(l.c.watches) == 0 {
		return never
	}
	if due := since + patience; now < due {
		return due
	}
	l.ping(now)
	return now + silence*2/3
}

// ping asks for something that any node answers by itself at once. Needs mu.
func (l *link) ping(now time.Duration) {
	l.pinged = now
	l.c.enqueue(&call{
		op: "ping", kind: ofLink, finish: func(*api.Response, error) {},
		req: &api.Request{Op: &api.Request_Range{Range: &api.RangeRequest{
			Cell: l.c.cfg.Cell, Key: []byte{0}, Serializable: true, CountOnly: true, Limit: 1,
		}}},
	})
}
