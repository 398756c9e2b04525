package sdk

import (
	"fmt"
	"time"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/internal/planted"
)

// check says why the session cannot be relied upon, looking at the clock.
// Needs mu.
func (s *Session) check() error {
	s.judge(s.c.cfg.Now())
	return s.err
}

// judge brings the state up to the time. Needs mu.
func (s *Session) judge(now time.Duration) {
	if s.err != nil || !s.proven {
		return
	}
	quiet := now - s.acked
	switch {
	case quiet >= s.safe:
		s.lose(&Error{Op: "session", Name: s.id.String(), Code: CodeSessionOver, cause: ErrSessionExpired,
			Message: fmt.Sprintf("it expired: the last acknowledged keep-alive was sent %v ago, and its safe time is %v", quiet.Round(time.Millisecond), s.safe)})
		// The cell may still wait for it, say after an outage in which its
		// time stood still. Nobody believes in it any more, so let it go.
		s.tellClosed()
	case s.c.link == nil || quiet > s.safe/2:
		s.become(Jeopardy)
	default:
		s.become(Healthy)
	}
}

// tend judges the session, sends a keep-alive that is due and returns when to
// look again: at the latest then, and not before unless [Session.wakeBy] says
// so. Needs mu.
func (s *Session) tend(now time.Duration) time.Duration {
	s.judge(now)
	if s.err != nil {
		return never
	}
	next := never
	if s.proven {
		next = s.acked + s.safe
	}
	l := s.c.link
	if l == nil {
		return next
	}
	if now >= s.nextAt && !s.beating {
		s.queueBeat(l, now)
	}
	if half := s.acked + s.safe/2 + 1; now < half {
		next = half
	}
	if !s.beating {
		next = min(next, s.nextAt)
	}
	if s.state == Jeopardy {
		next = min(next, now+look) // another node may become known
	}
	if try, ok := s.forsaken(l); ok && now < try {
		next = min(next, try)
	} else if ok {
		l.doubt()
	}
	return next
}

// forsaken says from when on another node is to be tried for a session whose client
// is connected, and of which nothing is acknowledged all the same: the node may be
// cut off from the others. Needs mu.
func (s *Session) forsaken(l *link) (from time.Duration, ok bool) {
	if s.err != nil || s.state != Jeopardy || !s.c.hasOthers(l) {
		return 0, false
	}
	switch {
	case len(s.beats) > 0:
		from = s.beats[0].sent
	case s.beating: // and the link does not write
		from = s.queued
	default:
		return 0, false
	}
	// Acknowledgements that come, and come later and later, count until there is just
	// time enough to try another node.
	wait := s.ttl / switchPart
	return max(l.adopted+wait, min(max(from, s.told)+wait, s.acked+s.safe*3/4)), true
}

// queueBeat has the next frame carry a keep-alive. Needs mu.
func (s *Session) queueBeat(l *link, now time.Duration) {
	s.beating, s.queued = true, now
	l.beats = append(l.beats, s)
	l.nudge()
}

// hurry sends a keep-alive now if one is unacknowledged. Needs mu.
func (s *Session) hurry(now time.Duration) {
	if len(s.beats) > 0 && s.nextAt > now {
		s.nextAt = now
		s.wakeBy(now)
	}
}

// beat numbers a keep-alive that is being sent now. Needs mu.
func (s *Session) beat(now time.Duration) *api.KeepAlive {
	s.beating = false
	s.number++
	if len(s.beats) == maxBeats {
		s.beats = append(s.beats[:0], s.beats[1:]...)
	}
	s.beats = append(s.beats, beat{s.number, now})
	interval := s.ttl / beatsPerTTL
	s.nextAt = now + interval/2
	s.wakeBy(s.nextAt)
	return &api.KeepAlive{Session: uint64(s.id), Number: s.number}
}

// alive takes in that the cell has heard a keep-alive: the safe time counts
// from when that one was sent. Needs mu.
func (s *Session) alive(number uint64, now time.Duration) {
	if s.proven {
		s.judge(now) // too late is too late
	}
	if s.err != nil {
		return
	}
	known := 0
	for known < len(s.beats) && s.beats[known].number <= number {
		known++
	}
	if known == 0 {
		return // acknowledged before, or forgotten
	}
	heard := s.beats[known-1].sent
	if planted.On(planted.CountsFromReceipt) {
		heard = now
	}
	s.beats = append(s.beats[:0], s.beats[known:]...)
	s.acked, s.told = max(s.acked, heard), now
	if !s.proven && now-s.acked < s.safe {
		s.proven = true
		close(s.proof)
	}
	if len(s.beats) == 0 {
		s.nextAt = s.beatAfter(heard)
		s.wakeBy(s.nextAt)
	}
	s.judge(now)
}

// beatAfter is when a keep-alive follows one that was sent then and has been
// acknowledged: at most a third of the time to live later, in the session's own
// slot of that time. Sessions with one slot share a frame, those of a small
// client all of them; and those whose keep-alives were held up together, by
// whatever it was, part again.
func (s *Session) beatAfter(sent time.Duration) time.Duration {
	interval := s.ttl / beatsPerTTL
	slots := uint64(1)
	for slots < maxSlots && 2*slots*slotSessions <= uint64(len(s.c.sessions)) {
		slots *= 2 // so that half of the sessions keep theirs
	}
	phase := s.c.since + interval/time.Duration(slots)*time.Duration(s.turn%slots)
	return (sent + interval - phase).Truncate(interval) + phase
}

// attach binds the session to a new link: the cell lists the claims that it
// holds for it, and a keep-alive follows at once. Needs mu.
func (s *Session) attach(l *link, now time.Duration) {
	s.queueBeat(l, now)
	ca := &call{
		op: "attach session", name: s.id.String(), kind: ofLink, session: s,
		req: &api.Request{Op: &api.Request_AttachSession{AttachSession: &api.AttachSessionRequest{Cell: s.c.cfg.Cell, Session: uint64(s.id)}}},
	}
	ca.finish = func(resp *api.Response, err error) {
		switch {
		case err == nil:
			s.attached(resp.GetAttachSession())
		case s.err == nil:
			s.c.log.Warn().Uint64("session", uint64(s.id)).Err(err).Msg("what the session holds was not told: each of its grants is asked for")
			s.askForGrants()
		}
	}
	s.c.enqueue(ca)
	s.judge(now)
	s.wakeBy(now)
}

// attached compares the claims that the cell has for the session with the
// grants that it is believed to hold. What was granted by then and is not
// listed has ended while nobody listened. Needs mu.
func (s *Session) attached(r *api.AttachSessionResponse) {
	s.heldAt = r.GetRevision()
	listed := make([]outcome, 0, len(r.GetClaims())+len(r.GetCandidacies()))
	for _, claimed := range r.GetClaims() {
		listed = append(listed, claimed)
	}
	for _, stands := range r.GetCandidacies() {
		listed = append(listed, stands)
	}
	s.listed = make(map[uint64]bool, len(listed))
	for _, claimed := range listed {
		s.listed[claimed.GetSequence()] = true
	}
	s.ended = make(map[uint64]*api.Error, len(r.GetEnded()))
	for _, e := range r.GetEnded() {
		s.ended[e.GetSequence()] = e.GetError()
	}
	for _, seq := range s.claimsInOrder() {
		cl := s.claims[seq]
		if cl.grant != nil && s.endedUnheard(seq, cl.grant.revision) {
			cl.grant.endedUnheard(cl.op, s.ended[seq])
		}
	}
	for _, claimed := range listed {
		if cl := s.claims[claimed.GetSequence()]; cl != nil && claimed.GetState() == api.ClaimState_CLAIM_GRANTED {
			cl.granted(claimed)
		}
	}
}

// endedUnheard reports whether a grant of that revision was gone when the
// cell last listed the session's claims. Needs mu.
func (s *Session) endedUnheard(seq, revision uint64) bool {
	return s.heldAt != 0 && revision <= s.heldAt && !s.listed[seq]
}
