package recorder

import (
	"context"
	"math/rand/v2"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/sdk"
)

// Operator takes away what others hold, and writes down what it asked for and was
// told. It is for one goroutine.
type Operator struct {
	SDK     *sdk.Client
	Journal *Journal
	Now     func() check.Time
	Rand    *rand.Rand
}

// Choose draws what to do to who holds a lock, or leads an election: to break, to
// unseat, to hand over, or to end the session, now and then with a token that is
// not the one. Holder 0: nobody has it.
func (p *Operator) Choose(ctx context.Context, lock, election string) (x check.Intervention, holder sdk.SessionID) {
	x = check.Intervention{Kind: check.BreakLock, Name: lock}
	var heir sdk.SessionID
	if p.Rand.IntN(2) == 0 {
		info, err := p.SDK.ShowLock(ctx, lock)
		if err != nil || len(info.Holders) == 0 {
			return x, 0
		}
		holder, x.Token = info.Holders[0].Session, uint64(info.Holders[0].Token)
	} else {
		info, err := p.SDK.ShowElection(ctx, election)
		if err != nil || info.Leader == nil {
			return x, 0
		}
		x.Name, holder, x.Token = election, info.Leader.Session, uint64(info.Leader.Token)
		x.Kind = []check.Kind{check.Resign, check.Transfer, check.ResignAs}[p.Rand.IntN(3)]
		if n := len(info.Candidates); n > 0 {
			heir = info.Candidates[p.Rand.IntN(n)].Session
		} else if x.Kind == check.Transfer {
			x.Kind = check.Resign
		}
	}
	switch p.Rand.IntN(6) {
	case 0:
		x = check.Intervention{Kind: check.EndSession}
	case 1: // the token of nobody, or of somebody else's
		x.Token += uint64(1 + p.Rand.IntN(3))
	}
	switch x.Kind {
	case check.Transfer:
		x.Session = uint64(heir)
	case check.ResignAs, check.EndSession:
		x.Session = uint64(holder)
	}
	return x, holder
}

// Intervene asks for it. What it gives back has the outcome.
func (p *Operator) Intervene(ctx context.Context, x check.Intervention) check.Intervention {
	name, token := x.Name, sdk.Token(x.Token)
	const why = "it is late"
	x.Invoke = p.Now()
	id := p.Journal.asks(x)
	var err error
	switch x.Kind {
	case check.BreakLock:
		err = p.SDK.BreakLock(ctx, name, token, why)
	case check.EndSession:
		err = p.SDK.EndSession(ctx, sdk.SessionID(x.Session), why)
	case check.Resign:
		err = p.SDK.ResignElection(ctx, name, token, why)
	case check.ResignAs:
		err = p.SDK.ResignAs(ctx, name, sdk.SessionID(x.Session), token, why)
	case check.Transfer:
		_, err = p.SDK.TransferElection(ctx, name, token, sdk.SessionID(x.Session), why)
	}
	x.Outcome, x.Code = Outcome(err)
	if x.Return = p.Now(); x.Outcome == check.Unknown {
		x.Return = check.Forever
	}
	p.Journal.answered(id, x)
	return x
}

// OperatorDid is how what operators did is counted, with the kind.
const OperatorDid = "operators: "

// Did is how what came of an intervention is counted.
func Did(x check.Intervention) string {
	switch x.Outcome {
	case check.Done:
		return OperatorDid + string(x.Kind)
	case check.Refused:
		return "operators refused: " + x.Code
	}
	return "operators told nothing for certain"
}
