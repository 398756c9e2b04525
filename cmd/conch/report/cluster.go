package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// Sessions lists sessions, one a row.
func (p *Printer) Sessions(sessions []sdk.SessionInfo) error {
	if p.JSON {
		if sessions == nil {
			sessions = []sdk.SessionInfo{}
		}
		return p.Object(struct {
			Sessions []sdk.SessionInfo `json:"sessions"`
		}{sessions})
	}
	if len(sessions) == 0 {
		return p.Line("no sessions")
	}
	var rows [][]string
	for _, s := range sessions {
		rows = append(rows, []string{
			s.ID.String(), millis(s.TTLMillis), millis(s.RemainingMillis), some(s.LockCount), some(s.KeyCount), clip(Labels(s.Labels), labelColumn),
		})
	}
	return p.Table("", []string{"ID", "TTL", "REMAINING", "LOCKS", "KEYS", "LABELS"}, rows)
}

// Session shows one session and what belongs to it.
func (p *Printer) Session(s sdk.SessionInfo) error {
	if p.JSON {
		return p.Object(s)
	}
	rows := [][]string{
		{"ttl", millis(s.TTLMillis)},
		{"remaining", millis(s.RemainingMillis)},
		{"labels", Labels(s.Labels)},
		{"opened", "at revision " + strconv.FormatUint(s.CreatedRevision, 10)},
		{"locks", list(s.Locks, s.LockCount)},
		{"elections", list(s.Elections, len(s.Elections))},
		{"keys", list(s.Keys, s.KeyCount)},
	}
	if err := p.Line("session %d", s.ID); err != nil {
		return err
	}
	return p.facts(rows)
}

// facts writes name and value, one a line, without those that have no value.
func (p *Printer) facts(rows [][]string) error {
	most := 0
	for _, r := range rows {
		most = max(most, len(r[0]))
	}
	for _, r := range rows {
		if r[1] == "" {
			continue
		}
		if err := p.Line("  %-*s  %s", most, r[0], r[1]); err != nil {
			return err
		}
	}
	return nil
}

func list(names []string, count int) string {
	shown := make([]string, 0, len(names))
	for _, n := range names {
		shown = append(shown, Text(n))
	}
	out := strings.Join(shown, ", ")
	if more := count - len(names); more > 0 {
		out += " and " + strconv.Itoa(more) + " more"
	}
	return out
}

func millis(ms int64) string { return Duration(time.Duration(ms) * time.Millisecond) }

func some(n int) string { return number(uint64(n)) }

// number is n, or nothing for a zero that means nothing.
func number(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// Status shows the state of the cell.
func (p *Printer) Status(s sdk.Status) error {
	if p.JSON {
		if s.Nodes == nil {
			s.Nodes = []sdk.NodeStatus{}
		}
		return p.Object(s)
	}
	healthy := 0
	var rows [][]string
	for _, n := range slices.SortedFunc(slices.Values(s.Nodes), func(a, b sdk.NodeStatus) int { return cmp.Compare(a.Name, b.Name) }) {
		health := "unreachable"
		switch {
		case n.Healthy:
			health = "healthy"
			healthy++
		case n.HeardMillis > 0:
			health = "not heard for " + millis(n.HeardMillis)
		}
		rows = append(rows, []string{
			n.Name, n.Role, health, number(n.Term), number(n.Applied), n.Endpoint, n.Peer, n.Version, n.ID,
		})
	}
	leader := "led by " + s.Leader
	if s.Leader == "" {
		leader = "without a known leader"
	}
	if err := p.Line("cell %s %s, %d of %s healthy, revision %d", s.Cell, leader, healthy, Count(len(s.Nodes), "node"), s.Revision); err != nil {
		return err
	}
	size := Bytes(s.StateBytes)
	if s.QuotaBytes > 0 {
		size += " of " + Bytes(s.QuotaBytes)
	}
	if err := p.Line("%s, %s, %s, %s, %s, state %s", Count(s.Sessions, "session"), Count(s.Locks, "lock"), Count(s.Waiters, "waiter"),
		Count(s.Elections, "election"), Count(s.Candidates, "candidate"), size); err != nil {
		return err
	}
	return p.Table("  ", []string{"NODE", "ROLE", "HEALTH", "TERM", "APPLIED", "CLIENTS", "PEERS", "VERSION", "ID"}, rows)
}

// Hashes shows the hash of every node's state.
func (p *Printer) Hashes(h sdk.Hashes) error {
	if p.JSON {
		if h.Nodes == nil {
			h.Nodes = []sdk.NodeHash{}
		}
		return p.Object(h)
	}
	var rows [][]string
	for _, n := range slices.SortedFunc(slices.Values(h.Nodes), func(a, b sdk.NodeHash) int { return cmp.Compare(a.Name, b.Name) }) {
		hash := n.Hash
		if n.Error != "" {
			hash = "none: " + Text(n.Error)
		}
		rows = append(rows, []string{n.Name, number(n.Index), number(n.Revision), hash})
	}
	if err := p.Table("", []string{"NODE", "INDEX", "REVISION", "HASH"}, rows); err != nil {
		return err
	}
	if h.Equal {
		return p.Line("all equal")
	}
	return p.Line("NOT equal")
}
