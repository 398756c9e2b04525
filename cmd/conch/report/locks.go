package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// labelColumn bounds the labels in lists; show commands have them in full.
const labelColumn = 72

// Locks lists locks, one a row.
func (p *Printer) Locks(locks []sdk.LockInfo) error {
	if p.JSON {
		out := make([]sdk.LockInfo, 0, len(locks))
		for _, l := range locks {
			out = append(out, utcLock(l))
		}
		return p.Object(struct {
			Locks []sdk.LockInfo `json:"locks"`
		}{out})
	}
	if len(locks) == 0 {
		return p.Line("no locks")
	}
	var rows [][]string
	for _, l := range locks {
		holder, since := "", ""
		switch len(l.Holders) {
		case 0:
			holder = "free"
			if l.DelayedUntil != nil {
				holder = "delayed, granted " + p.Until(l.DelayedUntil)
			}
		case 1:
			holder, since = clip(who(uint64(l.Holders[0].Session), l.Holders[0].Labels), labelColumn), p.Since(l.Holders[0].Since)
		default:
			holder, since = Count(len(l.Holders), "holder"), p.Since(l.Holders[0].Since)
		}
		waiting := ""
		if l.WaiterCount > 0 {
			waiting = strconv.Itoa(l.WaiterCount)
		}
		rows = append(rows, []string{Text(l.Name), mode(l), l.Token.String(), since, waiting, holder})
	}
	return p.Table("", []string{"NAME", "MODE", "TOKEN", "SINCE", "WAITING", "HOLDER"}, rows)
}

// mode is "exclusive", "shared" or "permits 3/5".
func mode(l sdk.LockInfo) string {
	if l.Mode != sdk.ModePermits {
		return string(l.Mode)
	}
	used := 0
	for _, h := range l.Holders {
		used += h.Permits
	}
	return fmt.Sprintf("permits %d/%d", used, l.Capacity)
}

// Lock shows one lock with its holders and its queue.
func (p *Printer) Lock(l sdk.LockInfo) error {
	if p.JSON {
		return p.Object(utcLock(l))
	}
	state := "free"
	switch {
	case len(l.Holders) > 0:
		state = "held, " + mode(l)
	case l.DelayedUntil != nil:
		state = "free, granted to nobody yet: a lock delay ends " + p.Until(l.DelayedUntil)
	}
	if err := p.Line("%s: %s, newest token %d, changed at revision %d", Text(l.Name), state, l.Token, l.Revision); err != nil {
		return err
	}
	var rows [][]string
	for _, h := range l.Holders {
		rows = append(rows, []string{h.Session.String(), h.Token.String(), p.Since(h.Since), permits(h.Permits, l.Mode), Labels(h.Labels)})
	}
	if len(rows) > 0 {
		if err := p.section("holders", []string{"SESSION", "TOKEN", "SINCE", "PERMITS", "LABELS"}, rows); err != nil {
			return err
		}
	}
	rows = nil
	for _, w := range l.Waiters {
		rows = append(rows, []string{
			strconv.Itoa(w.Position), w.Session.String(), string(w.Mode), p.Since(w.Since),
			p.Until(w.Deadline), permits(w.Permits, w.Mode), Labels(w.Labels),
		})
	}
	if len(rows) == 0 {
		return nil
	}
	if err := p.section("waiters", []string{"#", "SESSION", "MODE", "SINCE", "GIVES UP", "PERMITS", "LABELS"}, rows); err != nil {
		return err
	}
	if more := l.WaiterCount - len(l.Waiters); more > 0 {
		return p.Line("  and %d more", more)
	}
	return nil
}

func permits(n int, mode sdk.Mode) string {
	if mode != sdk.ModePermits {
		return ""
	}
	return strconv.Itoa(n)
}

func (p *Printer) section(title string, headings []string, rows [][]string) error {
	if err := p.Line("%s", title); err != nil {
		return err
	}
	return p.Table("  ", headings, rows)
}

// History lists the tenures of a lock, oldest first.
func (p *Printer) History(name string, h sdk.History) error {
	if p.JSON {
		out := h
		out.Tenures = make([]sdk.Tenure, 0, len(h.Tenures))
		for _, t := range h.Tenures {
			t.FromTime, t.ToTime = t.FromTime.UTC(), utc(t.ToTime)
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
		return p.Line("no recorded holder of %s", Text(name))
	}
	var rows [][]string
	for _, t := range h.Tenures {
		to, held, ended := "", p.Now().Sub(t.FromTime), "still held"
		if t.Ended != "" {
			ended = string(t.Ended)
		}
		if t.ToTime != nil {
			to, held = p.Clock(*t.ToTime), t.ToTime.Sub(t.FromTime)
		}
		rows = append(rows, []string{
			t.Token.String(), p.Clock(t.FromTime), to, Duration(max(0, held)), ended, t.Session.String(), clip(Labels(t.Labels), labelColumn),
		})
	}
	return p.Table("", []string{"TOKEN", "FROM", "TO", "HELD", "ENDED", "SESSION", "LABELS"}, rows)
}

// Token tells whether a token is a current grant.
func (p *Printer) Token(name string, token sdk.Token, c sdk.TokenCheck) error {
	if p.JSON {
		return p.Object(struct {
			Name  string    `json:"name"`
			Token sdk.Token `json:"token"`
			sdk.TokenCheck
		}{name, token, c})
	}
	switch {
	case c.Current:
		return p.Line("token %d is a current grant of %s", token, Text(name))
	case c.CurrentToken == 0:
		return p.Line("token %d is not current: %s is free", token, Text(name))
	default:
		return p.Line("token %d is not current: the newest grant of %s has token %d", token, Text(name), c.CurrentToken)
	}
}

// Held announces a lock that conch holds itself.
func (p *Printer) Held(names []string, token sdk.Token, session sdk.SessionID) error {
	if p.JSON {
		return p.Object(struct {
			Name    string        `json:"name"`
			Names   []string      `json:"names,omitempty"`
			Token   sdk.Token     `json:"token"`
			Session sdk.SessionID `json:"session"`
		}{names[0], names[1:], token, session})
	}
	return p.Line("%s %d", strings.Join(names, " "), token)
}

// LockEvent is one change of who holds a lock.
type LockEvent struct {
	Name     string            `json:"name"`
	Event    string            `json:"event"` // granted, ended
	Token    sdk.Token         `json:"token"`
	Session  sdk.SessionID     `json:"session"`
	Mode     sdk.Mode          `json:"mode,omitempty"`   // granted
	Labels   map[string]string `json:"labels,omitempty"` // granted
	Ended    sdk.EndReason     `json:"ended,omitzero"`   // ended: how
	Revision uint64            `json:"revision"`
	Time     time.Time         `json:"time"`
}

// LockEvent writes one line.
func (p *Printer) LockEvent(e LockEvent) error {
	if p.JSON {
		e.Time = e.Time.UTC()
		return p.Object(e)
	}
	if e.Event == "granted" {
		return p.Line("%s  %s  granted %s to %s, token %d", p.Clock(e.Time), Text(e.Name), e.Mode, who(uint64(e.Session), e.Labels), e.Token)
	}
	return p.Line("%s  %s  %s by session %d, token %d", p.Clock(e.Time), Text(e.Name), endedAs(e.Ended), e.Session, e.Token)
}

// endedAs fits in front of "by session 17".
func endedAs(r sdk.EndReason) string {
	switch r {
	case sdk.ReasonReleased:
		return "released"
	case "":
		return "ended"
	default:
		return "lost (" + string(r) + ")"
	}
}

func utcLock(l sdk.LockInfo) sdk.LockInfo {
	l.DelayedUntil = utc(l.DelayedUntil)
	holders := make([]sdk.Holder, 0, len(l.Holders))
	for _, h := range l.Holders {
		h.Since = h.Since.UTC()
		holders = append(holders, h)
	}
	waiters := make([]sdk.Waiter, 0, len(l.Waiters))
	for _, w := range l.Waiters {
		w.Since, w.Deadline = w.Since.UTC(), utc(w.Deadline)
		waiters = append(waiters, w)
	}
	l.Holders, l.Waiters = holders, waiters
	return l
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
