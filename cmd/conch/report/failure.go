package report

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// Failure is an error as scripts see it.
type Failure struct {
	Code     string        `json:"code"`
	Message  string        `json:"message"`
	Definite bool          `json:"definite"` // nothing happened
	Holder   sdk.SessionID `json:"holder,omitempty"`
	Token    sdk.Token     `json:"token,omitempty"`
	Since    time.Time     `json:"since,omitzero"`
	Position int           `json:"position,omitempty"`
}

// FailureOf describes err.
func (p *Printer) FailureOf(err error) Failure {
	f := Failure{Code: "FAILED", Message: p.Explain(err)}
	var e *sdk.Error
	switch {
	case errors.As(err, &e):
		f.Code, f.Definite = string(e.Code), e.Definite
		f.Holder, f.Token, f.Position = e.Holder, e.Token, e.Position
		if !e.Since.IsZero() {
			f.Since = e.Since.UTC()
		}
	case errors.Is(err, sdk.ErrUnknownOutcome):
		f.Code = string(sdk.CodeUnknownOutcome)
	case errors.Is(err, sdk.ErrNoLeader):
		f.Code = string(sdk.CodeNoLeader)
	case errors.Is(err, sdk.ErrUnreachable):
		f.Code, f.Definite = "UNREACHABLE", true // nothing was sent
	}
	return f
}

// Explain says what went wrong. A refusal for a held lock says who holds it,
// since when, with which token, and where in the queue one would be.
func (p *Printer) Explain(err error) string {
	var e *sdk.Error
	if !errors.As(err, &e) || e.Holder == 0 {
		return Text(err.Error())
	}
	var b strings.Builder
	if e.Name != "" {
		fmt.Fprintf(&b, "%s ", Text(e.Name))
	}
	switch {
	case errors.Is(e, sdk.ErrHeld) && e.Op == "campaign":
		b.WriteString("is led by ")
	case errors.Is(e, sdk.ErrWaitTimedOut) && e.Op == "campaign":
		b.WriteString("did not come free in time: led by ")
	case errors.Is(e, sdk.ErrHeld):
		b.WriteString("is held by ")
	case errors.Is(e, sdk.ErrWaitTimedOut):
		b.WriteString("was not granted in time: held by ")
	case e.Op == "campaign":
		fmt.Fprintf(&b, "%s: led by ", Text(reason(e)))
	default:
		fmt.Fprintf(&b, "%s: held by ", Text(reason(e)))
	}
	b.WriteString(p.holder(e.Holder, e.HolderLabels, e.Since, e.Token))
	if e.Position > 0 {
		if errors.Is(e, sdk.ErrHeld) {
			fmt.Fprintf(&b, ", you would be %s", Ordinal(e.Position))
		} else {
			fmt.Fprintf(&b, ", you were %s", Ordinal(e.Position))
		}
	}
	return b.String()
}

// holder is who holds a lock, since when and with which token.
func (p *Printer) holder(session sdk.SessionID, labels map[string]string, since time.Time, token sdk.Token) string {
	out := who(uint64(session), labels)
	if !since.IsZero() {
		out += " since " + p.Clock(since)
	}
	if token != 0 {
		out += fmt.Sprintf(", token %d", token)
	}
	return out
}

// HeldBy is a sentence about a lock and one of its holders.
func (p *Printer) HeldBy(name string, h sdk.Holder) string {
	return fmt.Sprintf("%s is held by %s", Text(name), p.holder(h.Session, h.Labels, h.Since, h.Token))
}

// LedBy is a sentence about an election and its leader.
func (p *Printer) LedBy(name string, l sdk.Leader) string {
	return fmt.Sprintf("%s is led by %s", Text(name), p.holder(l.Session, l.Labels, l.Since, l.Token))
}

// reason is the error's own words, without what Explain says better.
func reason(e *sdk.Error) string {
	if e.Message != "" {
		return e.Message
	}
	return strings.ToLower(strings.ReplaceAll(string(e.Code), "_", " "))
}
