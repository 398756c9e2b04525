package coordinator

import (
	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
)

// prepareListElections checks a listing of elections: those that somebody leads,
// and those that are remembered.
func (l *loop) prepareListElections(c *call, q *api.ListElectionsRequest) (item, *api.Error) {
	w := &walk[*api.ElectionInfo]{
		c: c, space: store.Elections,
		show: func(rec store.Record) (*api.ElectionInfo, bool) {
			v, ok := l.machine().ElectionOf(rec, 0)
			if !ok {
				l.unreadable(rec)
				return nil, false
			}
			return l.electionInfo(&v), true
		},
		answer: func(list []*api.ElectionInfo, more bool, revision uint64) *api.Response {
			return &api.Response{Result: &api.Response_ListElections{ListElections: &api.ListElectionsResponse{Elections: list, More: more, Revision: revision}}}
		},
	}
	return w.prepare(l, q)
}

// showElection answers with an election, its leader and the candidates that
// wait, as many as fit into an answer.
func (l *loop) showElection(c *call, n locks.Name) {
	l.reading(c, func() {
		v, ok := l.machine().Election(n, maxShown)
		if !ok {
			l.refuse(c, electionNotFound(n))
			return
		}
		info := l.electionInfo(&v)
		size := info.SizeVT()
		for _, s := range v.Standing {
			candidate := l.candidateOf(s)
			if size += candidate.SizeVT() + 8; size > maxPageBytes {
				break
			}
			info.Candidates = append(info.Candidates, candidate)
		}
		l.reply(c, &api.Response{Result: &api.Response_ShowElection{ShowElection: &api.ShowElectionResponse{
			Election: info, Revision: l.machine().Store().Revision(),
		}}})
	})
}

func electionNotFound(n locks.Name) *api.Error {
	return refuse(api.Code_NOT_FOUND, "election %q: nobody ever led it, or that is forgotten", string(n))
}

// electionInfo is an election as a client is told, without its candidates.
func (l *loop) electionInfo(v *machine.ElectionView) *api.ElectionInfo {
	r := &v.Record
	info := &api.ElectionInfo{
		Name: string(v.Name), Term: r.Term, Token: uint64(r.Token), Revision: v.Mod, CreateRevision: v.Create,
		CandidateCount: uint32(v.Waiting), Last: predecessorOf(r.Last),
	}
	if r.Ended {
		info.Ended = []*api.Predecessor{info.Last}
	}
	if x := r.Leader; x != nil {
		info.Leader = &api.Leader{
			Session: uint64(x.Claim.Session), Sequence: uint64(x.Claim.Sequence), Token: uint64(r.Token), Value: x.Value,
			SinceUnixMs: x.Since, SinceRevision: x.Revision, Labels: x.Labels.Map(),
			Priority: int32(x.Priority), TenureMs: millis(x.Tenure),
		}
		info.AgingMs = millis(x.Aging)
	}
	if v.Preempt != 0 {
		info.PreemptMs = l.until(v.Preempt)
	}
	return info
}

func (l *loop) candidateOf(s machine.Standing) *api.Candidate {
	a := &api.Candidate{
		Session: uint64(s.ID.Session), Sequence: uint64(s.ID.Sequence), Value: s.Value, Position: uint32(s.Position),
		Priority: int32(s.Priority), Effective: int32(s.Effective), Preempt: s.Preempt, SinceUnixMs: s.Queued, Labels: s.Labels.Map(),
	}
	if s.Deadline != 0 {
		a.DeadlineMs = l.until(s.Deadline)
	}
	return a
}

// electionValue is the value of an election's record, of any revision, as a
// client is told.
func (l *loop) electionValue(rec store.Record) []byte {
	if v, ok := machine.ReadElection(rec); ok {
		if b, err := l.electionInfo(&v).MarshalVT(); err == nil {
			return b
		}
	}
	l.unreadable(rec)
	return nil
}

func (l *loop) unreadable(rec store.Record) {
	l.log.Error().Str("election", rec.Key).Uint64("revision", rec.Mod).Msg("the record of an election cannot be shown")
}
