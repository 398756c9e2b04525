package sdk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/conch-lock/conch/api"
)

// Code names the kind of a refusal or failure, as it crosses the wire:
// "HELD", "NO_LEADER" and so on. The table is append-only.
type Code string

// The codes, with the meaning the wire contract gives them.
const (
	CodeInvalidArgument  Code = "INVALID_ARGUMENT"
	CodeUnknownOutcome   Code = "UNKNOWN_OUTCOME"
	CodeNoLeader         Code = "NO_LEADER"
	CodeOverloaded       Code = "OVERLOADED"
	CodeUnavailable      Code = "UNAVAILABLE"
	CodeCellNotFound     Code = "CELL_NOT_FOUND"
	CodeInternal         Code = "INTERNAL"
	CodeSessionNotFound  Code = "SESSION_NOT_FOUND"
	CodeSequenceTooOld   Code = "SEQUENCE_TOO_OLD"
	CodeHeld             Code = "HELD"
	CodeWaitTimedOut     Code = "WAIT_TIMED_OUT"
	CodeClaimCancelled   Code = "CLAIM_CANCELLED"
	CodeSessionOver      Code = "SESSION_OVER"
	CodeNotHolder        Code = "NOT_HOLDER"
	CodeTokenMismatch    Code = "TOKEN_MISMATCH"
	CodeLockNotFound     Code = "LOCK_NOT_FOUND"
	CodeLimitReached     Code = "LIMIT_REACHED"
	CodeNoSpace          Code = "NO_SPACE"
	CodeCompacted        Code = "COMPACTED"
	CodeFutureRevision   Code = "FUTURE_REVISION"
	CodeLagging          Code = "LAGGING"
	CodeNotFound         Code = "NOT_FOUND"
	CodeSpaceReadOnly    Code = "SPACE_READ_ONLY"
	CodeCapacityMismatch Code = "CAPACITY_MISMATCH"
	CodeClaimBroken      Code = "CLAIM_BROKEN"
	CodeClaimTransferred Code = "CLAIM_TRANSFERRED"
	CodeAgingMismatch    Code = "AGING_MISMATCH"
)

// The errors that callers decide on, found with errors.Is.
var (
	// ErrInvalid: an argument is malformed or out of bounds; nothing happened.
	ErrInvalid = errors.New("invalid argument")
	// ErrUnknownOutcome: the request may or may not have happened, and
	// repeating it could make it happen twice, so it was not repeated.
	ErrUnknownOutcome = errors.New("outcome unknown: it may or may not have happened")
	// ErrNoLeader: the cell had no leader for as long as the call waited.
	ErrNoLeader = errors.New("the cell has no leader")
	// ErrOverloaded: the cell refused the request for load for as long as the call waited.
	ErrOverloaded = errors.New("the cell is overloaded")
	// ErrUnavailable: the node was stopping or had not caught up.
	ErrUnavailable = errors.New("the node is unavailable")
	// ErrUnreachable: no endpoint could be reached; errors.As finds the
	// [UnreachableError] that says why each failed.
	ErrUnreachable = errors.New("no endpoint could be reached")
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("the client is closed")
	// ErrCellNotFound: the node does not host the cell.
	ErrCellNotFound = errors.New("no such cell")

	// ErrHeld: a try found the lock taken, or the election led.
	ErrHeld = errors.New("the lock is held")
	// ErrWaitTimedOut: the wait given with [WithWait] ran out.
	ErrWaitTimedOut = errors.New("the wait for the lock ran out")
	// ErrReleased: the lock was released by [Lock.Unlock].
	ErrReleased = errors.New("the lock was released")
	// ErrBroken: an operator broke the grant, or ended the leadership.
	ErrBroken = errors.New("the lock was broken by an operator")
	// ErrResigned: the leader resigned by [Leadership.Resign], or what acts for
	// it did, by [Client.ResignAs].
	ErrResigned = errors.New("the leader resigned")
	// ErrTransferred: the leadership went to another candidate: the leader
	// handed it over, a candidate of higher priority pre-empted it, or an
	// operator did it.
	ErrTransferred = errors.New("the leadership was handed over")
	// ErrNotHolder: (lock, token) is not a grant of the session, or (election,
	// token) not its leadership.
	ErrNotHolder = errors.New("not the holder")
	// ErrTokenMismatch: the token named is not the current one.
	ErrTokenMismatch = errors.New("not the current token")
	// ErrLockNotFound: nobody holds or awaits the lock; of its history: nobody
	// held it, or that is forgotten.
	ErrLockNotFound = errors.New("no such lock")
	// ErrCapacityMismatch: the lock is in use with another capacity.
	ErrCapacityMismatch = errors.New("the lock is in use with another capacity")
	// ErrAgingMismatch: the election is in use with another aging interval.
	ErrAgingMismatch = errors.New("the election is in use with another aging interval")
	// ErrLimitReached: a table or a queue of the cell is full, or a transaction
	// asks for too much at once.
	ErrLimitReached = errors.New("a limit of the cell is reached")
	// ErrNoSpace: the state of the cell has reached its quota.
	ErrNoSpace = errors.New("the cell has reached its quota")

	// ErrSessionExpired: the client's own safe deadline passed without an
	// acknowledged keep-alive, or the cell does not know the session any more.
	ErrSessionExpired = errors.New("the session expired")
	// ErrSessionEnded: an operator ended the session.
	ErrSessionEnded = errors.New("the session was ended by an operator")
	// ErrSessionClosed: the session was closed by [Session.Close] or with its client.
	ErrSessionClosed = errors.New("the session is closed")
	// ErrSessionNotFound: no such session: it is over or never was.
	ErrSessionNotFound = errors.New("no such session")

	// ErrNotFound: no such key, election, candidate or node.
	ErrNotFound = errors.New("not found")
	// ErrCompacted: the history of that revision is gone; [Error.Revision] is
	// the oldest one that is left.
	ErrCompacted = errors.New("that revision has been compacted")
	// ErrFutureRevision: that revision has not happened yet.
	ErrFutureRevision = errors.New("that revision has not happened yet")
	// ErrLagging: the consumer of a watch fell behind; see [Client.Watch].
	ErrLagging = errors.New("the watch fell behind")
	// ErrReadOnly: only the lock and election commands write that space.
	ErrReadOnly = errors.New("that space is read-only")
)

// sentinel returns the error that errors.Is finds for a code, nil when the
// code has none.
func (c Code) sentinel() error {
	switch c {
	case CodeInvalidArgument:
		return ErrInvalid
	case CodeUnknownOutcome:
		return ErrUnknownOutcome
	case CodeNoLeader:
		return ErrNoLeader
	case CodeOverloaded:
		return ErrOverloaded
	case CodeUnavailable:
		return ErrUnavailable
	case CodeCellNotFound:
		return ErrCellNotFound
	case CodeSessionNotFound:
		return ErrSessionNotFound
	case CodeSessionOver:
		return ErrSessionExpired
	case CodeHeld:
		return ErrHeld
	case CodeWaitTimedOut:
		return ErrWaitTimedOut
	case CodeNotHolder:
		return ErrNotHolder
	case CodeTokenMismatch:
		return ErrTokenMismatch
	case CodeLockNotFound:
		return ErrLockNotFound
	case CodeLimitReached:
		return ErrLimitReached
	case CodeNoSpace:
		return ErrNoSpace
	case CodeCompacted:
		return ErrCompacted
	case CodeFutureRevision:
		return ErrFutureRevision
	case CodeLagging:
		return ErrLagging
	case CodeNotFound:
		return ErrNotFound
	case CodeSpaceReadOnly:
		return ErrReadOnly
	case CodeCapacityMismatch:
		return ErrCapacityMismatch
	case CodeClaimBroken:
		return ErrBroken
	case CodeClaimTransferred:
		return ErrTransferred
	case CodeAgingMismatch:
		return ErrAgingMismatch
	case CodeInternal, CodeSequenceTooOld, CodeClaimCancelled:
		return nil
	}
	return nil
}

// Error is a refusal or failure told by the cell, or found by the client
// before anything was sent. Fields that are not known are zero.
type Error struct {
	// Op says what was tried, such as "lock"; Name on what, such as the name
	// of the lock.
	Op   string `json:"-"`
	Name string `json:"-"`

	Code    Code   `json:"code"`
	Message string `json:"message"`
	// Definite: nothing happened. Otherwise the outcome is not known.
	Definite bool `json:"definite"`
	// Holder, Token, Since and HolderLabels tell of who holds the lock, or leads.
	Holder       SessionID         `json:"holder,omitempty"`
	Token        Token             `json:"token,omitempty"`
	Since        time.Time         `json:"since,omitzero"`
	HolderLabels map[string]string `json:"-"`
	// Position is the place in the queue; 1 is next.
	Position int `json:"position,omitempty"`
	// RetryAfter is how long the cell asks to be left alone.
	RetryAfter time.Duration `json:"-"`
	// Revision is the one to resume at (ErrLagging), the oldest one left
	// (ErrCompacted) or the current one (ErrFutureRevision).
	Revision uint64 `json:"-"`

	// cause is what errors.Is and errors.As also find.
	cause error
}

// Error says what was tried, on what, what went wrong, and who is in the way
// since when.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op)
		if e.Name != "" {
			fmt.Fprintf(&b, " %q", e.Name)
		}
		b.WriteString(": ")
	}
	switch s := e.Code.sentinel(); {
	case e.Message != "":
		b.WriteString(e.told())
	case e.cause != nil && e.Code == CodeUnknownOutcome:
		fmt.Fprintf(&b, "%v: %v", ErrUnknownOutcome, e.cause)
	case e.cause != nil:
		b.WriteString(e.cause.Error())
	case s != nil:
		b.WriteString(s.Error())
	default:
		b.WriteString(strings.ToLower(strings.ReplaceAll(string(e.Code), "_", " ")))
	}
	if e.Holder != 0 && e.Message == "" { // a message names the holder itself
		fmt.Fprintf(&b, " by session %d with token %d", e.Holder, e.Token)
	}
	if !e.Since.IsZero() {
		fmt.Fprintf(&b, ", since %s", e.Since.Format(time.RFC3339))
	}
	return b.String()
}

// told is the message without what stands before it already: what was tried, and
// on what.
func (e *Error) told() string {
	m := e.Message
	for _, before := range []string{"txn: ", e.Op + ": ", e.Op + " "} {
		if rest, ok := strings.CutPrefix(m, before); ok && e.Op != "" {
			m = rest
			break
		}
	}
	if e.Name == "" {
		return m
	}
	for _, thing := range []string{fmt.Sprintf("election %q", e.Name), fmt.Sprintf("lock %q", e.Name), "session " + e.Name} {
		for _, end := range []string{": ", ", "} {
			if rest, ok := strings.CutPrefix(m, thing+end); ok {
				return rest
			}
		}
	}
	return m
}

// Is reports whether target is the sentinel of the error's code. How a session
// ended its cause says, if anything does: an operator's doing is no expiry.
func (e *Error) Is(target error) bool {
	if e.Code == CodeSessionOver && e.cause != nil {
		return false
	}
	s := e.Code.sentinel()
	return s != nil && s == target
}

// Unwrap returns what caused the error, if anything is known.
func (e *Error) Unwrap() error { return e.cause }

// fromWire turns a refusal of the cell into an Error.
func fromWire(op, name string, e *api.Error) *Error {
	out := &Error{
		Op: op, Name: name,
		Code:         Code(e.GetCode().String()),
		Message:      e.GetMessage(),
		Definite:     e.GetDefinite(),
		Holder:       SessionID(e.GetHolder()),
		Token:        Token(e.GetToken()),
		Position:     int(e.GetPosition()),
		HolderLabels: e.GetHolderLabels(),
		RetryAfter:   millis(e.GetRetryAfterMs()),
		Revision:     e.GetRevision(),
	}
	if ms := e.GetSinceUnixMs(); ms != 0 {
		out.Since = time.UnixMilli(ms)
	}
	return out
}

// invalid is the refusal of an argument before anything was sent.
func invalid(op, name, format string, args ...any) *Error {
	return &Error{Op: op, Name: name, Code: CodeInvalidArgument, Definite: true, Message: fmt.Sprintf(format, args...)}
}

// Attempt is one endpoint that was tried in vain.
type Attempt struct {
	Endpoint string
	Err      error
}

// UnreachableError says which endpoints were tried and why each failed, the
// latest failure of each. errors.Is finds ErrUnreachable in it.
type UnreachableError struct {
	Attempts []Attempt
	cause    error
}

// Error lists the endpoints in the order of the configuration.
func (e *UnreachableError) Error() string {
	var b strings.Builder
	b.WriteString(ErrUnreachable.Error())
	for i, a := range e.Attempts {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: %v", a.Endpoint, a.Err)
	}
	if e.cause != nil && len(e.Attempts) == 0 {
		b.WriteString(": " + e.cause.Error())
	}
	return b.String()
}

// Unwrap lets errors.Is find ErrUnreachable, the context's error and the
// reason of each attempt.
func (e *UnreachableError) Unwrap() []error {
	errs := []error{ErrUnreachable}
	if e.cause != nil {
		errs = append(errs, e.cause)
	}
	for _, a := range e.Attempts {
		errs = append(errs, a.Err)
	}
	return errs
}

// waitError is the error of a call that was given up by its context: the
// context's cause, and why there was no answer as far as that is known.
type waitError struct {
	op, name string
	ctx      error // why the wait ended
	reason   error // why there was no answer; may be nil
	unknown  bool  // the request was sent and cannot be repeated
	note     string
}

func (e *waitError) Error() string {
	var b strings.Builder
	b.WriteString(e.op)
	if e.name != "" {
		fmt.Fprintf(&b, " %q", e.name)
	}
	fmt.Fprintf(&b, ": %v", e.ctx)
	if e.unknown {
		fmt.Fprintf(&b, ": %v", ErrUnknownOutcome)
	}
	if e.reason != nil {
		fmt.Fprintf(&b, ": %v", e.reason)
	}
	if e.note != "" {
		fmt.Fprintf(&b, " (%s)", e.note)
	}
	return b.String()
}

func (e *waitError) Unwrap() []error {
	errs := []error{e.ctx}
	if e.unknown {
		errs = append(errs, ErrUnknownOutcome)
	}
	if e.reason != nil {
		errs = append(errs, e.reason)
	}
	return errs
}

// causeOf returns why a context is over, always with its own error in it.
func causeOf(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || errors.Is(cause, err) {
		if cause != nil {
			return cause
		}
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

func millis(ms uint64) time.Duration {
	const most = uint64(1<<63-1) / uint64(time.Millisecond)
	return time.Duration(min(ms, most)) * time.Millisecond
}
