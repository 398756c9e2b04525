package machine

import (
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/record"
	"github.com/conch-lock/conch/sessions"
)

// Code says how a command was answered. The numbers are those of the wire.
type Code uint8

// The codes that the machine gives.
const (
	OK               Code = 0
	InvalidArgument  Code = 1
	SessionNotFound  Code = 8
	SequenceTooOld   Code = 9
	Held             Code = 10
	WaitTimedOut     Code = 11
	ClaimCancelled   Code = 12
	NotHolder        Code = 14
	TokenMismatch    Code = 15
	LimitReached     Code = 17
	NoSpace          Code = 18
	Compacted        Code = 19
	FutureRevision   Code = 20
	NotFound         Code = 22
	CapacityMismatch Code = 24
	ClaimBroken      Code = 25
	ClaimTransferred Code = 26
	AgingMismatch    Code = 27
)

// Reply is the answer to a command. Which fields count depends on the command;
// with a Code other than OK it is a refusal, and nothing happened.
type Reply struct {
	Code     Code
	Message  string
	Revision uint64 // of the cell when it was given

	Session sessions.ID // opened; refused: who stands in the way
	TTL     uint64      // opened: milliseconds

	Claim      *Claimed // an acquire or campaign that was accepted
	WasGranted bool     // a cancelled claim had been granted

	Token    locks.Token // refused: of the holder; handed over: of the new leader
	Since    int64       // refused: wall milliseconds of the holder's grant
	Position int         // refused: the place it would have had
	Labels   sessions.Labels

	Txn  *store.TxnResult
	Hash [32]byte
}

// Claimed is the state of a claim, waiting or granted.
type Claimed struct {
	ID          locks.ClaimID
	Granted     bool
	Election    bool // it is a candidacy, and Names has the one election
	Names       []locks.Name
	Term        uint64 // of a leader
	Token       locks.Token
	Revision    uint64 // of the grant
	Since       int64  // wall milliseconds of the grant
	Position    int    // while it waits, 1 for the next
	Predecessor locks.Tenure

	one [1]locks.Name // Names of most claims
}

// refuse makes a refusal.
func refuse(code Code, err error) Reply { return Reply{Code: code, Message: err.Error()} }

// append spells a reply for the reply cache. Claims are not in it: the answer
// to a repeated acquire is the state of its claim.
func (p *Reply) append(b []byte) []byte {
	b = append(b, byte(p.Code))
	b = record.AppendString(b, p.Message)
	b = record.AppendUint(b, p.Revision)
	b = record.AppendUint(b, p.Session)
	b = record.AppendBool(b, p.WasGranted)
	b = record.AppendUint(b, p.Token)
	b = record.AppendInt(b, sessions.Time(p.Since))
	b = record.AppendUint(b, uint64(p.Position))
	b = p.Labels.Append(b)
	b = record.AppendBool(b, p.Txn != nil)
	if p.Txn != nil {
		b = appendTxnResult(b, p.Txn)
	}
	return b
}

func readReply(data []byte) (Reply, error) {
	r := record.NewReader(data)
	p := Reply{Code: Code(r.Byte()), Message: r.String(), Revision: r.Uint(), Session: sessions.ID(r.Uint())}
	p.WasGranted = r.Bool()
	p.Token, p.Since, p.Position = locks.Token(r.Uint()), r.Int(), int(r.Uint())
	p.Labels = sessions.ReadLabels(r)
	if r.Bool() {
		p.Txn = readTxnResult(r, 1)
	}
	return p, r.Done()
}

// Result is the reply to the request Request of the node Origin.
type Result struct {
	Origin, Request uint64
	Reply           Reply
}

// EventKind says what an Event tells a session.
type EventKind uint8

// The kinds of events.
const (
	// Alive: the keep-alive Number was heard.
	Alive EventKind = iota + 1
	// ClaimGranted: the claim Sequence, which waited, is granted; Reply.Claim.
	ClaimGranted
	// ClaimOver: the claim Sequence ended without its session's asking;
	// Reply.Code says how.
	ClaimOver
	// SessionOver: the session ended, as Why says.
	SessionOver
)

// Event is something that the owner of a session has to be told.
type Event struct {
	Kind     EventKind
	Why      locks.Why // SessionOver; NotEnded when the session was not known
	Session  sessions.ID
	Sequence sessions.Sequence
	Number   uint64
	Revision uint64
	Reason   string // what the operator said
	Reply    *Reply // ClaimGranted and ClaimOver; most events are keep-alives and have none
}

// Hashed is what a Hash command found.
type Hashed struct {
	Index    uint64
	Revision uint64
	Sum      [32]byte
}

// Output is what applying entries gave, in order. It is valid until the next
// entries are applied.
type Output struct {
	Results []Result
	Events  []Event
	Hashes  []Hashed
	Changes []store.Event // of the revisioned spaces, for watchers
}
