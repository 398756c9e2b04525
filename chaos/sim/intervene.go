package sim

import (
	"fmt"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/elections"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// brittle is a lock that people break. Like a leader in the loose election its
// holder may believe for a while after that, and only the token protects.
const brittle locks.Name = "brittle"

// breakable says whether somebody may end the tenure of what is claimed so.
func breakable(items []locks.Item) bool { return len(items) == 1 && items[0].Name == brittle }

// wantBreak has a person end what a client waits for now and then: the tenure of
// whoever holds the brittle lock or leads the loose election.
func (c *client) wantBreak(q sessions.Sequence, op machine.Op) {
	switch o := op.(type) {
	case *machine.Acquire:
		if !breakable(o.Items) {
			return
		}
	case *machine.Campaign:
		if !loose(o.Name) {
			return
		}
	default:
		return
	}
	if !c.chance(0.4) {
		return
	}
	c.later(between(c.rng, 50*time.Millisecond, 2*time.Second), func() {
		if c.waiting != q {
			return
		}
		if o, ok := op.(*machine.Campaign); ok {
			c.unseat(o.Name)
		} else {
			c.breakLock()
		}
	})
}

// breakLock breaks the brittle lock, with the token that it has or a wrong one.
func (c *client) breakLock() {
	holders := c.w.witness.held[brittle]
	if len(holders) == 0 {
		return
	}
	op := &machine.Break{Name: brittle, Token: holders[0].Token, Reason: "it is late"}
	if c.chance(0.2) {
		op.Token++
	}
	c.submit(op, func(machine.Reply, error) {})
}

// unseat ends a leadership, or hands it over, as an operator.
func (c *client) unseat(n locks.Name) {
	v, ok := c.w.witness.machine.Election(n, 0)
	if !ok || v.Record.Leader == nil {
		return
	}
	as := machine.Leadership{Name: n, Token: v.Record.Token}
	if c.chance(0.5) {
		c.submit(&machine.Resign{Leadership: as, Reason: "it is late"}, func(machine.Reply, error) {})
		return
	}
	if to := c.heir(n); to != 0 {
		c.submit(&machine.Transfer{Leadership: as, To: to, Reason: "it is late"}, func(machine.Reply, error) {})
	}
}

// leaveCell closes the session, believing in nothing, and opens another one.
func (c *client) leaveCell() {
	c.submit(&machine.EndSession{Session: c.session, Why: locks.Closed}, func(machine.Reply, error) {})
	c.begin()
}

// ousted is a tenure that somebody ended who is not its holder.
type ousted struct {
	name  locks.Name
	token locks.Token
	ended locks.Why
	told  machine.Code // to who had it
}

// endedBy is the tenure that an operator's command ends; ok is false when it is
// none.
func endedBy(op machine.Op) (t ousted, ok bool) {
	switch o := op.(type) {
	case *machine.Break:
		return ousted{o.Name, o.Token, locks.Broken, machine.ClaimBroken}, true
	case *machine.Resign:
		return ousted{o.Name, o.Token, locks.Broken, machine.ClaimBroken}, o.Session == 0
	case *machine.Transfer:
		return ousted{o.Name, o.Token, locks.Transferred, machine.ClaimTransferred}, o.Session == 0
	}
	return ousted{}, false
}

// situation is what it is called when a tenure was ended so.
func (t ousted) situation() Situation {
	switch {
	case t.ended == locks.Transferred:
		return leaderMoved
	case t.name == brittle:
		return lockBroken
	}
	return leaderUnseated
}

// forced says what is wrong with how a tenure ended that an operator was told has
// ended at a revision, "" for nothing: it did so, and its holder is told.
func forced(t ousted, revision uint64, out machine.Output) (wrong string) {
	var ended locks.Tenure
	for i := range out.Changes {
		e := &out.Changes[i]
		if e.Deleted || e.Revision() != revision || locks.Name(e.Record.Key) != t.name {
			continue
		}
		switch e.Space {
		case store.Locks:
			r, err := locks.ReadRecord([]byte(e.Record.Value))
			if err != nil {
				return err.Error()
			}
			for _, x := range r.Ended {
				if x.Token == t.token {
					ended = x
				}
			}
		case store.Elections:
			r, err := elections.ReadRecord([]byte(e.Record.Value))
			if err != nil {
				return err.Error()
			}
			if r.Ended && r.Last.Token == t.token {
				ended = r.Last
			}
		}
	}
	if ended.Token == 0 || ended.Ended != t.ended {
		return fmt.Sprintf("the tenure of %s with token %d was ended by an operator, and revision %d did not do it", t.name, t.token, revision)
	}
	for _, e := range out.Events {
		if e.Kind == machine.ClaimOver && e.Session == ended.Session && e.Reply.Token == t.token && e.Reply.Code == t.told {
			return ""
		}
	}
	return fmt.Sprintf("the tenure of %s with token %d was ended by an operator, and session %d, which had it, is not told", t.name, t.token, ended.Session)
}
