package coordinator

import (
	"time"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/cell"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// maxUnaryWait is how long a unary acquire or campaign is waited for at most.
const maxUnaryWait = 10 * time.Minute

// waits are the unary calls that await an event: an acquire or campaign the
// decision over its claim, a keep-alive that its sessions were heard. They belong to the loop.
type waits struct {
	claims map[sessions.ID]map[sessions.Sequence][]*claimWait
	beats  map[sessions.ID][]*beatWait
}

type claimWait struct {
	call     *call
	deadline time.Duration
}

// beatWait is a keep-alive of one or many sessions. It stands in the list of
// each that has not been heard.
type beatWait struct {
	call     *call
	deadline time.Duration
	missing  map[sessions.ID]uint64 // numbers
	answer   api.KeepAliveResponse
}

func (w *waits) claim(now time.Duration, c *call, d *machine.Claimed) {
	of := w.claims[d.ID.Session]
	if of == nil {
		of = map[sessions.Sequence][]*claimWait{}
		w.claims[d.ID.Session] = of
	}
	of[d.ID.Sequence] = append(of[d.ID.Sequence], &claimWait{call: c, deadline: now + maxUnaryWait})
}

func (w *waits) keepAlive(now time.Duration, c *call, list []*api.KeepAlive) {
	b := &beatWait{call: c, deadline: now + 10*time.Second, missing: map[sessions.ID]uint64{}}
	for _, k := range list {
		id := sessions.ID(k.GetSession())
		if _, twice := b.missing[id]; !twice {
			w.beats[id] = append(w.beats[id], b)
		}
		b.missing[id] = max(b.missing[id], k.GetNumber())
	}
}

// alive answers keep-alives up to the number that was heard.
func (w *waits) alive(l *loop, e *machine.Event) {
	list := w.beats[e.Session]
	if len(list) == 0 {
		return
	}
	kept := list[:0]
	for _, b := range list {
		if b.missing[e.Session] > e.Number {
			kept = append(kept, b)
			continue
		}
		b.answer.Alive = append(b.answer.Alive, &api.KeepAlive{Session: uint64(e.Session), Number: e.Number})
		b.settle(l, e.Session)
	}
	w.keepBeats(e.Session, kept)
}

func (w *waits) keepBeats(id sessions.ID, kept []*beatWait) {
	if len(kept) == 0 {
		delete(w.beats, id)
	} else {
		w.beats[id] = kept
	}
}

func (b *beatWait) settle(l *loop, id sessions.ID) {
	delete(b.missing, id)
	if len(b.missing) == 0 {
		b.call.heard = &b.answer
		b.call.respond(&api.Response{})
	}
}

// event answers what waits for a claim or session.
func (w *waits) event(l *loop, e *machine.Event, r *api.Response) {
	switch e.Kind {
	case machine.ClaimGranted, machine.ClaimOver:
		for _, x := range w.claims[e.Session][e.Sequence] {
			if err := r.GetClaim().GetError(); err != nil {
				x.call.refuse(err)
			} else {
				x.call.respond(claimedOf(e.Reply.Claim, e.Revision))
			}
		}
		w.keepClaims(locks.ClaimID{Session: e.Session, Sequence: e.Sequence}, nil)
	case machine.SessionOver:
		for _, b := range w.beats[e.Session] {
			b.answer.Ended = append(b.answer.Ended, uint64(e.Session))
			b.settle(l, e.Session)
		}
		delete(w.beats, e.Session)
		for seq, list := range w.claims[e.Session] {
			for _, x := range list {
				x.call.refuse(refuse(api.Code_SESSION_OVER, "claim %d: %s", seq, r.GetSessionEnded().GetMessage()))
			}
		}
		delete(w.claims, e.Session)
	}
}

// keepClaims replaces the waits of a claim.
func (w *waits) keepClaims(id locks.ClaimID, kept []*claimWait) {
	of := w.claims[id.Session]
	if len(kept) > 0 {
		of[id.Sequence] = kept
		return
	}
	if delete(of, id.Sequence); len(of) == 0 {
		delete(w.claims, id.Session)
	}
}

// eachClaim calls fn for the waits of every claim; it may replace them.
func (w *waits) eachClaim(fn func(id locks.ClaimID, list []*claimWait)) {
	for session, of := range w.claims {
		for seq, list := range of {
			fn(locks.ClaimID{Session: session, Sequence: seq}, list)
		}
	}
}

// sweepWaits forgets calls that were given up, and ends those that wait too long.
func (l *loop) sweepWaits(now time.Duration) {
	w := &l.waits
	w.eachClaim(func(id locks.ClaimID, list []*claimWait) {
		kept := list[:0]
		for _, x := range list {
			if now >= x.deadline {
				x.call.refuse(stillWaits(id))
			}
			if !x.call.over.Load() {
				kept = append(kept, x)
			}
		}
		w.keepClaims(id, kept)
	})
	for id, list := range w.beats {
		kept := list[:0]
		for _, b := range list {
			if now >= b.deadline {
				b.call.refuse(refuse(api.Code_NO_LEADER, "no leader said in time that it heard session %d: repeat the keep-alive", id))
			}
			if !b.call.over.Load() {
				kept = append(kept, b)
			}
		}
		w.keepBeats(id, kept)
	}
}

func stillWaits(id locks.ClaimID) *api.Error {
	e := errorOf(cell.ErrUnknown)
	e.Message = "claim still waits: ask again with the same session and sequence, or cancel it"
	return e
}

// loseWaits ends the calls that may have missed their event.
func (l *loop) loseWaits() {
	l.waits.eachClaim(func(id locks.ClaimID, list []*claimWait) {
		for _, x := range list {
			e := stillWaits(id)
			e.Message = "the node lost sight of the claim: ask again with the same session and sequence"
			x.call.refuse(e)
		}
	})
	clear(l.waits.claims)
}

// stopWaits ends all calls that wait.
func (l *loop) stopWaits() {
	l.waits.eachClaim(func(id locks.ClaimID, list []*claimWait) {
		for _, x := range list {
			x.call.refuse(stillWaits(id))
		}
	})
	clear(l.waits.claims)
	for _, list := range l.waits.beats {
		for _, b := range list {
			b.call.refuse(stopping())
		}
	}
	clear(l.waits.beats)
	for _, t := range l.transfers {
		t.call.refuse(stopping())
	}
	l.transfers = nil
	for _, g := range l.hashes.waiting {
		g.call.refuse(stopping())
	}
	l.hashes.waiting = nil
}
