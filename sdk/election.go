package sdk

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/conch-lock/conch/api"
)

// Value is what a leader proclaims: any bytes. In JSON it is a string.
type Value []byte

// MarshalJSON writes the value as text; bytes that are no UTF-8 are replaced.
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(string(v)) }

// String is the value as text.
func (v Value) String() string { return string(v) }

// ElectionInfo is what the cell knows of an election. Times are those of the
// cell's leader; use them for people, not for decisions.
type ElectionInfo struct {
	Name string `json:"name"`
	// Term is the number of leaders that the election has had: 1 for the first,
	// one more for each. Token is that of the newest.
	Term  uint64 `json:"term"`
	Token Token  `json:"token"`
	// Leader is nil while nobody leads.
	Leader *Leader `json:"leader"`
	// Candidates are those that wait, in the order in which they will lead
	// unless somebody pre-empts, cut at 1000; Elections leaves them out.
	// CandidateCount counts them all.
	Candidates     []Candidate `json:"candidates"`
	CandidateCount int         `json:"candidate_count"`
	// Revision is when the leader, or what it proclaims, changed last;
	// CreateRevision is that of the first leader. Another one than before: the
	// election was forgotten meanwhile, and terms began at 1 again.
	Revision       uint64 `json:"revision"`
	CreateRevision uint64 `json:"create_revision"`
	// Last is the tenure that ended last, nil when none has.
	Last *Predecessor `json:"last"`
	// AgingMillis is in which time who waits gains one priority; 0: nobody leads.
	AgingMillis int64 `json:"aging_ms"`
	// PreemptedAt is when the leader will be pre-empted, unless something
	// changes; nil: nobody waits to.
	PreemptedAt *time.Time `json:"preempted_at"`
}

// Leader is who leads an election.
type Leader struct {
	Session SessionID         `json:"session"`
	Token   Token             `json:"token"`
	Value   Value             `json:"value"`
	Since   time.Time         `json:"since"`
	Labels  map[string]string `json:"labels"`
	// SinceRevision is the revision in which it began to lead.
	SinceRevision uint64 `json:"since_revision"`
	Priority      int    `json:"priority"`
	// TenureMillis is for how long from its beginning it is not pre-empted.
	TenureMillis int64 `json:"tenure_ms"`
}

// Candidate is one that waits to lead.
type Candidate struct {
	Session SessionID `json:"session"`
	Value   Value     `json:"value"`
	// Position counts from 1, which is next.
	Position int `json:"position"`
	// Priority is the one that it stated, Effective the one that it has by waiting.
	Priority  int       `json:"priority"`
	Effective int       `json:"effective"`
	Preempt   bool      `json:"preempt"`
	Since     time.Time `json:"since"`
	// Deadline is until when it waits; nil: for ever.
	Deadline *time.Time        `json:"deadline"`
	Labels   map[string]string `json:"labels"`
}

// LeaderTenure is the time of one leader in the history of an election.
type LeaderTenure struct {
	Name    string            `json:"name"`
	Term    uint64            `json:"term"`
	Token   Token             `json:"token"`
	Session SessionID         `json:"session"`
	Value   Value             `json:"value"` // the last that it proclaimed
	Labels  map[string]string `json:"labels"`
	// FromRevision is 0 and FromTime nil when its beginning is not kept any
	// more, ToRevision is 0 and ToTime nil while it leads.
	FromRevision uint64     `json:"from_revision"`
	ToRevision   uint64     `json:"to_revision"`
	FromTime     *time.Time `json:"from_time"`
	ToTime       *time.Time `json:"to_time"`
	Ended        EndReason  `json:"ended"`
}

// LeaderHistory is the recorded tenures of an election, oldest first.
type LeaderHistory struct {
	Tenures []LeaderTenure `json:"tenures"`
	// CompactedRevision: tenures that ended up to there may be missing.
	CompactedRevision uint64 `json:"compacted_revision"`
	Revision          uint64 `json:"revision"`
}

// ElectionOf reads the record of an election that Range or Watch found in the
// space Elections. It tells of the leader, not of the candidates.
func ElectionOf(kv KeyValue) (ElectionInfo, error) {
	var e api.ElectionInfo
	if err := e.UnmarshalVT(kv.Value); err != nil {
		return ElectionInfo{}, fmt.Errorf("the value of key %q is not the record of an election: %w", shorten(kv.Key), err)
	}
	return electionInfoOf(&e, time.Now()), nil
}

func electionInfoOf(e *api.ElectionInfo, now time.Time) ElectionInfo {
	out := ElectionInfo{
		Name: e.GetName(), Term: e.GetTerm(), Token: Token(e.GetToken()), Leader: leaderOf(e.GetLeader()),
		Candidates: make([]Candidate, 0, len(e.GetCandidates())), CandidateCount: int(e.GetCandidateCount()),
		Revision: e.GetRevision(), CreateRevision: e.GetCreateRevision(), AgingMillis: int64(e.GetAgingMs()),
		PreemptedAt: after(now, e.GetPreemptMs()),
	}
	if e.GetLast() != nil {
		last := predecessorOf(e.GetLast())
		out.Last = &last
	}
	for _, c := range e.GetCandidates() {
		out.Candidates = append(out.Candidates, Candidate{
			Session: SessionID(c.GetSession()), Value: c.GetValue(), Position: int(c.GetPosition()),
			Priority: int(c.GetPriority()), Effective: int(c.GetEffective()), Preempt: c.GetPreempt(),
			Since: time.UnixMilli(c.GetSinceUnixMs()), Deadline: after(now, c.GetDeadlineMs()), Labels: labelsOf(c.GetLabels()),
		})
	}
	out.CandidateCount = max(out.CandidateCount, len(out.Candidates))
	return out
}

func leaderOf(l *api.Leader) *Leader {
	if l == nil {
		return nil
	}
	return &Leader{
		Session: SessionID(l.GetSession()), Token: Token(l.GetToken()), Value: l.GetValue(), Since: time.UnixMilli(l.GetSinceUnixMs()),
		Labels: labelsOf(l.GetLabels()), SinceRevision: l.GetSinceRevision(), Priority: int(l.GetPriority()), TenureMillis: int64(l.GetTenureMs()),
	}
}

func leaderTenureOf(t *api.LeaderTenure) LeaderTenure {
	return LeaderTenure{
		Name: t.GetName(), Term: t.GetTerm(), Token: Token(t.GetToken()), Session: SessionID(t.GetSession()), Value: t.GetValue(),
		Labels: labelsOf(t.GetLabels()), FromRevision: t.GetFromRevision(), ToRevision: t.GetToRevision(),
		FromTime: moment(t.GetFromUnixMs()), ToTime: moment(t.GetToUnixMs()), Ended: endReasonOf(t.GetEnded()),
	}
}

// moment is nil for a time that is not known.
func moment(unixMs int64) *time.Time {
	if unixMs == 0 {
		return nil
	}
	t := time.UnixMilli(unixMs)
	return &t
}
