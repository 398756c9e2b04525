package recorder

import (
	"errors"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/sdk"
)

// TakenAway writes down what a client is told of the end of something that it did
// not give back: of a grant, of a claim (token 0), or of its session (no name). It
// says whether it is told that somebody took it away.
func (c *Client) TakenAway(s *sdk.Session, name string, token sdk.Token, err error) bool {
	ended := ""
	switch {
	case errors.Is(err, sdk.ErrSessionEnded):
		ended = string(sdk.ReasonEnded)
	case errors.Is(err, sdk.ErrBroken):
		ended = string(sdk.ReasonBroken)
	case errors.Is(err, sdk.ErrTransferred):
		ended = string(sdk.ReasonTransferred)
	case errors.Is(err, sdk.ErrResigned):
		ended = string(sdk.ReasonReleased)
	default:
		return false
	}
	c.Sink.Told(check.Told{Client: c.Name, Session: uint64(s.ID()), Name: name, Token: uint64(token), Ended: ended, At: c.Now()})
	return true
}

// asks writes down what an operator asks for, before it does.
func (j *Journal) asks(x check.Intervention) (id int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	x.Outcome, x.Return = check.Unknown, check.Forever
	j.h.Interventions = append(j.h.Interventions, x)
	return len(j.h.Interventions) - 1
}

// answered writes down what it was told.
func (j *Journal) answered(id int, x check.Intervention) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.h.Interventions[id] = x
}

// Doomed says whether an operator may have taken away the grant with a token, or
// have ended its session; without a token, the session alone.
func (j *Journal) Doomed(session, token uint64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, x := range j.h.Interventions {
		switch {
		case x.Outcome == check.Refused:
		case x.Kind == check.EndSession && x.Session == session, x.Kind != check.EndSession && token != 0 && x.Token == token:
			return true
		}
	}
	return false
}
