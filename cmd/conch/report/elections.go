package report

import (
	"fmt"
	"strconv"

	"github.com/conch-lock/conch/sdk"
)

// Elections lists elections, one a row.
func (p *Printer) Elections(elections []sdk.ElectionInfo) error {
	if p.JSON {
		out := make([]sdk.ElectionInfo, 0, len(elections))
		for _, e := range elections {
			out = append(out, utcElection(e))
		}
		return p.Object(struct {
			Elections []sdk.ElectionInfo `json:"elections"`
		}{out})
	}
	if len(elections) == 0 {
		return p.Line("no elections")
	}
	var rows [][]string
	for _, e := range elections {
		row := []string{Text(e.Name), strconv.FormatUint(e.Term, 10), e.Token.String(), "", "", "nobody", ""}
		if l := e.Leader; l != nil {
			row[3], row[5] = p.Since(l.Since), clip(who(uint64(l.Session), l.Labels), labelColumn)
			row[6] = clip(Text(l.Value.String()), labelColumn)
		}
		if e.CandidateCount > 0 {
			row[4] = strconv.Itoa(e.CandidateCount)
		}
		rows = append(rows, row)
	}
	return p.Table("", []string{"NAME", "TERM", "TOKEN", "SINCE", "WAITING", "LEADER", "VALUE"}, rows)
}

// Election shows one election with its leader and its queue.
func (p *Printer) Election(e sdk.ElectionInfo) error {
	if p.JSON {
		return p.Object(utcElection(e))
	}
	state := "nobody leads"
	if e.Leader != nil {
		state = "led"
	}
	if err := p.Line("%s: %s, term %d, newest token %d, changed at revision %d", Text(e.Name), state, e.Term, e.Token, e.Revision); err != nil {
		return err
	}
	if l := e.Leader; l != nil {
		err := p.section("leader", []string{"SESSION", "TOKEN", "SINCE", "PRIORITY", "VALUE", "LABELS"}, [][]string{{
			l.Session.String(), l.Token.String(), p.Since(l.Since), unlessZero(l.Priority), Text(l.Value.String()), Labels(l.Labels),
		}})
		if err != nil {
			return err
		}
	}
	if e.PreemptedAt != nil {
		if err := p.Line("  will be pre-empted %s", p.Until(e.PreemptedAt)); err != nil {
			return err
		}
	}
	if last := e.Last; last != nil {
		if err := p.Line("before: %s", predecessor(*last)); err != nil {
			return err
		}
	}
	var rows [][]string
	for _, c := range e.Candidates {
		priority := unlessZero(c.Priority)
		if c.Effective != c.Priority {
			priority = fmt.Sprintf("%d, by waiting %d", c.Priority, c.Effective)
		}
		rows = append(rows, []string{
			strconv.Itoa(c.Position), c.Session.String(), p.Since(c.Since), p.Until(c.Deadline), priority, Text(c.Value.String()), Labels(c.Labels),
		})
	}
	if len(rows) == 0 {
		return nil
	}
	if err := p.section("candidates", []string{"#", "SESSION", "SINCE", "GIVES UP", "PRIORITY", "VALUE", "LABELS"}, rows); err != nil {
		return err
	}
	if more := e.CandidateCount - len(e.Candidates); more > 0 {
		return p.Line("  and %d more", more)
	}
	return nil
}

func unlessZero(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// predecessor says how a leader ended.
func predecessor(p sdk.Predecessor) string {
	out := fmt.Sprintf("%s, session %d, token %d", p.Ended, p.Session, p.Token)
	if len(p.Value) > 0 {
		out += ", value " + Text(p.Value.String())
	}
	return out
}

// LeaderHistory lists the tenures of an election, oldest first.
func (p *Printer) LeaderHistory(name string, h sdk.LeaderHistory) error {
	if p.JSON {
		out := h
		out.Tenures = make([]sdk.LeaderTenure, 0, len(h.Tenures))
		for _, t := range h.Tenures {
			t.FromTime, t.ToTime = utc(t.FromTime), utc(t.ToTime)
			out.Tenures = append(out.Tenures, t)
		}
		return p.Object(out)
	}
	if h.CompactedRevision > 0 {
		if err := p.Line("what ended up to revision %d has been compacted", h.CompactedRevision); err != nil {
			return err
		}
	}
	if len(h.Tenures) == 0 {
		return p.Line("no recorded leader of %s", Text(name))
	}
	var rows [][]string
	for _, t := range h.Tenures {
		from, to, led, ended := "", "", "", "still leads"
		if t.Ended != "" {
			ended = string(t.Ended)
		}
		if t.FromTime != nil {
			from = p.Clock(*t.FromTime)
			end := p.Now()
			if t.ToTime != nil {
				end = *t.ToTime
			}
			led = Duration(max(0, end.Sub(*t.FromTime)))
		}
		if t.ToTime != nil {
			to = p.Clock(*t.ToTime)
		}
		rows = append(rows, []string{
			strconv.FormatUint(t.Term, 10), t.Token.String(), from, to, led, ended, t.Session.String(),
			clip(Text(t.Value.String()), labelColumn), clip(Labels(t.Labels), labelColumn),
		})
	}
	return p.Table("", []string{"TERM", "TOKEN", "FROM", "TO", "LED", "ENDED", "SESSION", "VALUE", "LABELS"}, rows)
}

// LeaderChange writes one line: revision, token, who leads and its value. With
// named, the election's name comes first.
func (p *Printer) LeaderChange(c sdk.LeaderChange, named bool) error {
	if p.JSON {
		if !c.Time.IsZero() {
			c.Time = c.Time.UTC()
		}
		c.Leader = utcLeader(c.Leader)
		return p.Object(c)
	}
	name := ""
	if named {
		name = Text(c.Election) + "  "
	}
	l := c.Leader
	if l == nil {
		how := ""
		if c.Last != nil {
			how = ", the last one " + predecessor(*c.Last)
		}
		return p.Line("%s%d  %d  nobody leads%s", name, c.Revision, c.Token, how)
	}
	value := ""
	if len(l.Value) > 0 {
		value = "  " + Text(l.Value.String())
	}
	return p.Line("%s%d  %d  %s%s", name, c.Revision, c.Token, who(uint64(l.Session), l.Labels), value)
}

// Standing is how this process stands in an election.
type Standing struct {
	Name     string        `json:"name"`
	Standing string        `json:"standing"` // candidate, leader, lost, resigned
	Session  sdk.SessionID `json:"session"`
	Value    sdk.Value     `json:"value"`
	Token    sdk.Token     `json:"token,omitempty"`  // not for a candidate
	Term     uint64        `json:"term,omitempty"`   // not for a candidate
	Reason   string        `json:"reason,omitempty"` // lost: why
}

// Standing writes one line.
func (p *Printer) Standing(s Standing) error {
	if p.JSON {
		return p.Object(s)
	}
	out := Text(s.Name) + " " + s.Standing
	if s.Token != 0 {
		out += " " + s.Token.String()
	}
	if s.Reason != "" {
		out += " " + s.Reason
	}
	return p.Line("%s", out)
}

func utcElection(e sdk.ElectionInfo) sdk.ElectionInfo {
	e.Leader, e.PreemptedAt = utcLeader(e.Leader), utc(e.PreemptedAt)
	candidates := make([]sdk.Candidate, 0, len(e.Candidates))
	for _, c := range e.Candidates {
		c.Since, c.Deadline = c.Since.UTC(), utc(c.Deadline)
		candidates = append(candidates, c)
	}
	e.Candidates = candidates
	return e
}

func utcLeader(l *sdk.Leader) *sdk.Leader {
	if l == nil {
		return nil
	}
	u := *l
	u.Since = u.Since.UTC()
	return &u
}
