package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
)

// ailment is what befalls one node of a cell that is well otherwise.
type ailment uint8

const (
	followerDown ailment = iota
	followerSlow
	leaderSlow

	ailments
)

var ailmentNames = [ailments]string{"a follower is down", "a follower's disk is slow", "the leader's disk is slow"}

// The times of such a run.
const (
	ailsFrom     = 20 * time.Second // until then all is well,
	ailingLength = 45 * time.Second // and this is the end
	ailingSettle = 8 * time.Second  // in which a cell comes up, or finds out what is wrong: not measured
	slowSync     = 100 * time.Millisecond
	// ailingClients make enough requests for the slowest hundredth to be a figure.
	ailingClients = 12
	enough        = 200
)

// ailing is a run in which one node is down or slow, and nothing else goes
// wrong: it measures how long clients of the other nodes wait for the answer to
// an acquire.
type ailing struct {
	w             *world
	kind          ailment
	node          *node // nil while all are well
	before, after []time.Duration
}

func newAiling(w *world) *ailing {
	a := &ailing{w: w, kind: w.set.ailment}
	// What one node forwards to another does not overtake on a connection.
	w.net.steady, w.net.loss, w.net.double = true, 0, 0
	w.after(ailsFrom, a.begin)
	return a
}

func (a *ailing) begin() {
	n := a.w.leader()
	if n == nil {
		a.w.fail(Prompt, "nobody leads a cell to which nothing was done")
		return
	}
	if a.kind != leaderSlow {
		n = a.w.nodes[int(n.id)%len(a.w.nodes)]
	}
	a.w.tell("%s: node %v", ailmentNames[a.kind], n.id)
	a.node = n
	if a.kind == followerDown {
		n.off = true
		n.crash("for the rest of the run")
		a.w.sometimes(oneDown)
		return
	}
	n.fast, n.slow = slowSync, slowSync
	if a.kind == leaderSlow {
		a.w.sometimes(slowLeader)
	} else {
		a.w.sometimes(slowFollower)
	}
}

// answered takes note of the first answer to a request. Who asked the node that
// ails waits for it, and there is no help.
func (a *ailing) answered(q *asked) {
	if _, acquires := q.op.(*machine.Acquire); a == nil || !acquires || q.polls {
		return
	}
	took := a.w.now - q.invoked
	switch {
	case a.node == nil && q.invoked > ailingSettle:
		a.before = append(a.before, took)
	case a.node != nil && q.node != a.node.id && q.invoked > ailsFrom+ailingSettle:
		a.after = append(a.after, took)
	}
}

// finish judges it.
func (a *ailing) finish() {
	if a == nil || a.w.failed != nil {
		return
	}
	for _, c := range a.w.clients {
		for _, q := range sortedKeys(c.open) {
			a.answered(c.open[q]) // it has waited for so long at least
		}
	}
	if len(a.before) < enough || len(a.after) < enough {
		a.w.fail(Harness, "%d acquires were answered while all were well, and %d then: too few to tell", len(a.before), len(a.after))
		return
	}
	if err := slowdown(a.before, a.after); err != nil {
		a.w.fail(Degraded, "%s: %v", ailmentNames[a.kind], err)
	}
	a.w.tell("%s: %d acquires, then %d", ailmentNames[a.kind], len(a.before), len(a.after))
}

// slowdown holds that the slowest hundredth of the acquires is no more than three
// times as slow as it was.
func slowdown(before, after []time.Duration) error {
	slices.Sort(before)
	slices.Sort(after)
	was, is := before[len(before)*99/100], after[len(after)*99/100]
	if is > 3*was {
		return fmt.Errorf("of %d acquires 99 %% were answered within %v while all were well, and of %d then within %v: at most three times as much is allowed",
			len(before), was, len(after), is)
	}
	return nil
}
