package shell

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
)

// What operators take away. Who has it may believe in it until told, as nobody
// else may, and the token alone protects meanwhile. Its sessions have nothing else.
const (
	brittle   = "brittle"   // a lock
	contested = "contested" // an election
)

// operated says whether a run has operators: most have, and what they do hides
// in some what happens without them.
func (w *cell) operated() bool { return w.Seed%3 != 1 }

// operate has an operator take away what somebody holds, again and again, until
// the context ends.
func (w *cell) operate(ctx context.Context) {
	rng := rand.New(rand.NewPCG(w.Seed, 7))
	for ctx.Err() == nil {
		pause(ctx, time.Duration(50+rng.IntN(700))*time.Millisecond)
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		w.takeAway(short, rng)
		cancel()
	}
}

// takeAway takes the lock or the lead from who has it, who may be cut off
// meanwhile, now and then with a token that is not the one.
func (w *cell) takeAway(ctx context.Context, rng *rand.Rand) {
	admin := w.admin.sdk
	x := check.Intervention{Kind: check.BreakLock, Name: brittle}
	var holder, heir sdk.SessionID
	if rng.IntN(2) == 0 {
		info, err := admin.ShowLock(ctx, brittle)
		if err != nil || len(info.Holders) == 0 {
			return
		}
		holder, x.Token = info.Holders[0].Session, uint64(info.Holders[0].Token)
	} else {
		info, err := admin.ShowElection(ctx, contested)
		if err != nil || info.Leader == nil {
			return
		}
		x.Name, holder, x.Token = contested, info.Leader.Session, uint64(info.Leader.Token)
		x.Kind = []check.Kind{check.Resign, check.Transfer, check.ResignAs}[rng.IntN(3)]
		if n := len(info.Candidates); n > 0 {
			heir = info.Candidates[rng.IntN(n)].Session
		} else if x.Kind == check.Transfer {
			x.Kind = check.Resign
		}
	}
	switch rng.IntN(6) {
	case 0:
		x = check.Intervention{Kind: check.EndSession}
	case 1: // the token of nobody, or of somebody else's
		x.Token += uint64(1 + rng.IntN(3))
	}
	switch x.Kind {
	case check.Transfer:
		x.Session = uint64(heir)
	case check.ResignAs, check.EndSession:
		x.Session = uint64(holder)
	}
	who := w.history.clientOf(holder)
	if who == "" || rng.IntN(3) > 0 {
		w.intervene(ctx, x)
		return
	}
	// The ways of the holder alone are cut, before and for a while after.
	heal, over := w.net.cut(both(who, w.names())...), w.suffers("silence client", "", who)
	pause(ctx, time.Duration(rng.IntN(100))*time.Millisecond)
	if w.intervene(ctx, x) {
		w.history.count("taken away while its holder was cut off")
	}
	time.Sleep(time.Duration(20+rng.IntN(1500)) * time.Millisecond)
	heal()
	over()
}

// intervene asks for it and writes down what was said.
func (w *cell) intervene(ctx context.Context, x check.Intervention) (done bool) {
	admin, name, token := w.admin.sdk, x.Name, sdk.Token(x.Token)
	const why = "it is late"
	x.Invoke = now()
	id := w.history.asks(x)
	var err error
	switch x.Kind {
	case check.BreakLock:
		err = admin.BreakLock(ctx, name, token, why)
	case check.EndSession:
		err = admin.EndSession(ctx, sdk.SessionID(x.Session), why)
	case check.Resign:
		err = admin.ResignElection(ctx, name, token, why)
	case check.ResignAs:
		err = admin.ResignAs(ctx, name, sdk.SessionID(x.Session), token, why)
	case check.Transfer:
		_, err = admin.TransferElection(ctx, name, token, sdk.SessionID(x.Session), why)
	}
	x.Outcome, x.Code = recorder.Outcome(err)
	if x.Return = now(); x.Outcome == check.Unknown {
		x.Return = check.Forever
	}
	w.history.answered(id, x)
	switch x.Outcome {
	case check.Done:
		w.history.count(operatorDid + string(x.Kind))
	case check.Refused:
		w.history.count("operators refused: " + x.Code)
	default:
		w.history.count("operators told nothing for certain")
	}
	return x.Outcome == check.Done
}

// operatorDid is how what operators did is counted.
const operatorDid = "operators: "

// risk takes what operators take away, holds it for a while and writes to what it
// protects, also once more when it has lost it.
func risk(ctx context.Context, c *client, at *sitting) {
	s := at.session(ctx)
	if s == nil {
		return
	}
	c.history.opened(s.ID(), c.name)
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 8*time.Second)
	defer cancel()
	hold := c.millis(20, 1500)
	if c.chance(3) == 0 { // until somebody takes it away, and says so
		hold = time.Minute
	}
	if c.chance(2) == 0 {
		l, err := c.calls.Campaign(ctx, s, contested, c.value())
		if err != nil {
			c.history.untrue(c.name, s, 0, err)
			return
		}
		c.calls.Believed(l.ID(), c.keep(ctx, l, hold))
		if !c.lostIt(l) {
			_ = c.calls.Resign(release, l)
		}
		return
	}
	g, err := c.calls.Lock(ctx, s, false, []check.Item{{Name: brittle}})
	if err != nil {
		c.history.untrue(c.name, s, 0, err)
		return
	}
	c.calls.Believed(g.ID(), c.keep(ctx, g, hold))
	if !c.lostIt(g) {
		_ = c.calls.Unlock(release, g)
	}
}

// lostIt says whether somebody took it away, and then writes with the old token
// as a process does that was paused: the resource lets it through only as long as
// it has seen no newer one.
func (c *client) lostIt(h held) bool {
	err := h.Err()
	if err == nil {
		return false
	}
	c.history.untrue(c.name, h.Session(), h.Token(), err)
	switch {
	case errors.Is(err, sdk.ErrBroken), errors.Is(err, sdk.ErrTransferred), errors.Is(err, sdk.ErrResigned), errors.Is(err, sdk.ErrSessionEnded):
		c.history.count("told that it was taken away")
	}
	if !c.history.store(h.Name(), h.Token()) {
		c.history.count("late writes refused for their token")
	}
	return true
}

// untrue notes a reason for the end of a grant, or of a claim when there is no
// token, that is not true: nobody has asked for that.
func (h *history) untrue(client string, s *sdk.Session, token sdk.Token, err error) {
	var kinds []check.Kind
	switch {
	case errors.Is(err, sdk.ErrSessionEnded):
		kinds = []check.Kind{check.EndSession}
	case errors.Is(err, sdk.ErrBroken):
		kinds = []check.Kind{check.BreakLock, check.Resign}
	case errors.Is(err, sdk.ErrTransferred):
		kinds = []check.Kind{check.Transfer}
	case errors.Is(err, sdk.ErrResigned):
		kinds = []check.Kind{check.ResignAs}
	default:
		return
	}
	if !h.asked(uint64(s.ID()), uint64(token), kinds...) {
		h.violation("session %d of %s is told of its grant with token %d that %v, and no operator had asked for that", s.ID(), client, token, err)
	}
}

// doomed says whether somebody may have taken a grant away.
func (h *history) doomed(s *sdk.Session, token sdk.Token) bool {
	return h.asked(uint64(s.ID()), uint64(token), check.BreakLock, check.Resign, check.Transfer, check.ResignAs, check.EndSession)
}

// asked says whether an operator asked for one of these, for a session or a token;
// token 0: any.
func (h *history) asked(session, token uint64, kinds ...check.Kind) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range h.interventions {
		for _, kind := range kinds {
			if x.Kind != kind || x.Outcome == check.Refused {
				continue
			}
			if kind == check.EndSession && x.Session == session || kind != check.EndSession && (token == 0 || x.Token == token) {
				return true
			}
		}
	}
	return false
}

// asks notes what an operator asks for, before it does.
func (h *history) asks(x check.Intervention) (id int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x.Outcome, x.Return = check.Unknown, check.Forever
	h.interventions = append(h.interventions, x)
	return len(h.interventions) - 1
}

// answered notes what it was told.
func (h *history) answered(id int, x check.Intervention) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.interventions[id] = x
}

// opened notes whose a session is.
func (h *history) opened(id sdk.SessionID, client string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.owners[id] = client
}

func (h *history) clientOf(id sdk.SessionID) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.owners[id]
}
