package sim

import (
	"fmt"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// tokenCheck holds that a claim has one token for ever, and a new grant a larger
// one than all before.
type tokenCheck struct {
	newest locks.Token
	of     map[locks.ClaimID]locks.Token
}

func (c *tokenCheck) granted(id locks.ClaimID, t locks.Token) error {
	if old, ok := c.of[id]; ok {
		if old != t {
			return fmt.Errorf("claim %v was granted with token %d and with token %d", id, old, t)
		}
		return nil
	}
	if t <= c.newest {
		return fmt.Errorf("claim %v was granted with token %d after token %d", id, t, c.newest)
	}
	c.of[id], c.newest = t, t
	return nil
}

// lifeCheck holds that no session ends before its client's own safe deadline,
// nor long after its time.
type lifeCheck struct {
	sessions map[sessions.ID]*life
}

type life struct {
	client *client
	safe   time.Duration // by the client's clock: until then it may believe
	ttl    time.Duration
	heard  time.Duration // true time when it was heard last
}

// slack is how much a session may end too early for the sake of rounding.
const slack = 5 * time.Millisecond

// alive notes a keep-alive that was applied.
func (c *lifeCheck) alive(id sessions.ID, safe, now time.Duration) {
	if s := c.sessions[id]; s != nil {
		s.safe, s.heard = max(s.safe, safe), max(s.heard, now)
	}
}

// acknowledged: a client was told so, and believes in its session until then,
// whatever was applied.
func (c *lifeCheck) acknowledged(id sessions.ID, safe time.Duration) {
	if s := c.sessions[id]; s != nil {
		s.safe = max(s.safe, safe)
	}
}

// expired judges the end of a session; local is what its client's clock shows.
func (c *lifeCheck) expired(id sessions.ID, local time.Duration) error {
	s := c.sessions[id]
	if s == nil {
		return fmt.Errorf("session %d expired and was never opened", id)
	}
	if early := s.safe - local; early > slack {
		return fmt.Errorf("session %d expired %v before its client's own safe deadline", id, early)
	}
	return nil
}

// overdue judges how late a session ended: since, the time from which on the
// cell was able to count. led: somebody leads. If not, what ends the session was
// decided by an earlier leader, and could not be applied before there was a new
// one, which may take as long as the probe allows.
func (c *lifeCheck) overdue(id sessions.ID, now, since, election time.Duration, led bool) error {
	s := c.sessions[id]
	if s == nil {
		return nil
	}
	most := time.Duration(float64(s.ttl)/(1-maxSkew)) + 2*election + time.Second
	if !led {
		most += 2*election + time.Second
	}
	if late := now - max(s.heard, since); late > most {
		return fmt.Errorf("session %d with a TTL of %v expired %v after it was heard last, at most %v are allowed", id, s.ttl, late, most)
	}
	return nil
}

// onceCheck holds that a request that is repeated gets the answer that it got,
// whichever node it goes through.
type onceCheck struct {
	answers map[locks.ClaimID]answer
}

type answer struct {
	origin uint64
	code   machine.Code
	token  locks.Token
	at     uint64 // revision
	sum    uint64 // of a transaction's results
}

// answered takes an answer in the order of the log. again says that there was
// one before.
func (c *onceCheck) answered(id locks.ClaimID, origin uint64, claim bool, p machine.Reply) (again bool, err error) {
	a := answer{origin: origin, code: p.Code, token: p.Token, at: p.Revision, sum: txnSum(p.Txn)}
	switch p.Code {
	case machine.SessionNotFound, machine.SequenceTooOld, machine.LimitReached:
		return false, nil // it says that it knows nothing of the request, or not any more
	}
	if p.Claim != nil {
		if !p.Claim.Granted {
			return false, nil // its answer is yet to come
		}
		a.token, a.at = p.Claim.Token, p.Claim.Revision
	}
	old, known := c.answers[id]
	if !known {
		c.answers[id] = a
		return false, nil
	}
	same := old.code == a.code && old.token == a.token && old.at == a.at && old.sum == a.sum
	if claim && old.code == machine.OK && a.code != machine.OK {
		c.answers[id] = a // the claim has ended meanwhile
		return true, nil
	}
	if !same {
		return true, fmt.Errorf("request %v was answered %+v and then %+v", id, old, a)
	}
	return old.origin != origin, nil
}

// floorCheck holds that who asks after something was told sees it.
type floorCheck struct{ told uint64 }

// tell notes a revision that a client was told of.
func (c *floorCheck) tell(revision uint64) { c.told = max(c.told, revision) }

// answered judges the revision of an answer to what was asked when revision
// floor had been told.
func (c *floorCheck) answered(what string, revision, floor uint64) error {
	if revision < floor {
		return fmt.Errorf("%s, asked after revision %d was told, was answered at revision %d", what, floor, revision)
	}
	return nil
}
