package check

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"
)

// Time is a moment on the clock of the harness, from any starting point.
type Time = time.Duration

// Forever is the Return of an operation that never answered.
const Forever Time = math.MaxInt64

// Kind is what an operation asks for.
type Kind string

// The kinds of operations.
const (
	Acquire  Kind = "acquire"  // Claim
	Release  Kind = "release"  // Claim (names), Token
	Campaign Kind = "campaign" // Claim (one name), Value
	Proclaim Kind = "proclaim" // Claim (one name), Token, Value
	Resign   Kind = "resign"   // Claim (one name), Token
	Transfer Kind = "transfer" // Claim (one name), Token, To
	Keys     Kind = "keys"     // Txn
)

// Outcome is what is known of what an operation did.
type Outcome string

// The outcomes.
const (
	Done    Outcome = "done"    // it took effect once, and the answer is here
	Refused Outcome = "refused" // it had no effect; Code says why
	// Unknown: it may have taken effect, at any time after Invoke. A claim of
	// which that is so was withdrawn, or ended with its session.
	Unknown Outcome = "unknown"
)

// Operation is one call of one client.
type Operation struct {
	Client   string
	Kind     Kind
	Session  uint64
	Sequence uint64 // names the request within its session, the same when it is repeated; 0: not known
	Invoke   Time
	Return   Time
	Outcome  Outcome
	Code     string // Refused: the code of the wire, such as HELD
	// Revision is the one that the operation made, or the one of the state that
	// it read. 0: the client was not told.
	Revision uint64
	Token    uint64 // that was granted, or is given back; Refused: of who is in the way

	Claim []Item
	Value string
	Term  uint64 // Campaign: of the leader
	To    uint64 // Transfer: the session that is to lead
	// Until is how long the client believed in what it was granted: until it
	// began to give it back, was told of its end, or its own deadline passed.
	Until Time
	// Delay is how long a lock that is claimed is to be kept from everybody when the
	// grant ends otherwise than by release. A recorder says it of every such claim.
	Delay time.Duration
	// Left is when the call came to an end, whatever is known of what it did: a
	// claim of unknown outcome was waited for until then. 0: not known.
	Left Time

	Txn    *Txn
	Result *Result
	Stale  bool // a read that may be answered from an old revision
}

// Mode is how a lock is held.
type Mode string

// The modes.
const (
	Exclusive Mode = "exclusive"
	Shared    Mode = "shared"
	Permits   Mode = "permits"
)

// Item is one lock of a claim, or one election.
type Item struct {
	Name     string
	Mode     Mode // empty: Exclusive
	Permits  int
	Capacity int
}

// Space says what a change is a change of.
type Space string

// The spaces.
const (
	OfKeys      Space = "keys"
	OfLocks     Space = "locks"
	OfElections Space = "elections"
)

// Record is one version of a key, a lock or an election.
type Record struct {
	Key     string
	Value   string // of keys alone
	Create  uint64
	Mod     uint64
	Version uint64
	Session uint64 // that owns the key
}

// Change is one change of one record.
type Change struct {
	Revision uint64
	Space    Space
	Deleted  bool
	Record   Record
	Prev     *Record // when it was asked for, and there was one
	Lock     *Lock   // of locks
	Election *Election
}

// Lock is what the record of a lock says.
type Lock struct {
	Mode     Mode
	Capacity int
	Holders  []Holder
	Ended    []Tenure // in this revision, as far as it was told
}

// Holder is one grant of a lock.
type Holder struct {
	Session uint64
	Token   uint64
	Permits int
}

// Election is what the record of an election says.
type Election struct {
	Term   uint64 // of the newest leader
	Token  uint64 // of the newest leader
	Leader *Leader
	Last   *Tenure // that ended last
}

// Leader leads.
type Leader struct {
	Session uint64
	Token   uint64
	Value   string
	Since   uint64 // revision
}

// Tenure is a grant that has ended.
type Tenure struct {
	Session uint64
	Token   uint64
	Ended   string // released, expired, closed, ended, broken, transferred
	Value   string // of a leader, the last that it proclaimed
}

// Watch is what one consumer of a watch or observer received, over all
// reconnects.
type Watch struct {
	Name       string
	Space      Space
	Key        string // from Key up to, and without, End
	End        string // empty: Key alone; "\x00": all from Key on
	From       uint64 // the first revision that was asked for
	Prev       bool   // records as they were before were asked for
	Upto       uint64 // its consumer waited until everything up to here had come; 0: it did not
	Deliveries []Delivery
}

// Delivery is what a consumer received at once.
type Delivery struct {
	At       Time
	Changes  []Change
	Revision uint64 // everything up to here has been delivered
	// Resumed, when not 0, says that the consumer was told that something is
	// missing, and that it goes on from there; nothing else is set. Compacted
	// says that what is missing is gone; otherwise nothing may be missing.
	Resumed   uint64
	Compacted bool
}

// Session is what its client knows of a session.
type Session struct {
	ID     uint64
	Client string
	TTL    time.Duration
	// Safe is until when its client could rely on it at the least: the time
	// when it sent the last keep-alive that was acknowledged, and the part of
	// the TTL that a client counts.
	Safe Time
	// Closed is when its client asked to close it; 0: it did not. Of one session
	// there may be several of these: what is known at different times.
	Closed Time
	// Died is when its client was gone, which has sent nothing since; 0: it may
	// have done so until Safe.
	Died Time
}

// Ending is the end of a session, as somebody learned of it.
type Ending struct {
	Session  uint64
	Why      string // as Tenure.Ended
	At       Time   // it had ended by then
	Revision uint64 // that it made or found; 0: not known
}

// Queue is the waiting claims of a lock as somebody was told them, first the
// one that is next.
type Queue struct {
	Name    string
	Invoke  Time
	Return  Time
	Waiting []uint64 // sessions
}

// History is everything that was recorded.
type History struct {
	Operations []Operation
	// Audit is the cell's own account of every change of the revisions
	// AuditFrom to AuditTo, in their order. A history is judged from an empty
	// cell on: AuditFrom is 2, or 0 when there is no audit.
	Audit              []Change
	AuditFrom, AuditTo uint64
	Watches            []Watch
	Sessions           []Session
	Endings            []Ending
	Queues             []Queue
	// Interventions are all that operators asked for; nil: there are none, and of
	// none is anything judged.
	Interventions []Intervention
	Told          []Told // what clients were told of them
	// Promptness is how soon things had to happen; nil: nobody knows.
	Promptness *Promptness
	// Strangers are clients whose operations are not all recorded.
	Strangers bool
}

// Write writes a history as JSON.
func (h *History) Write(w io.Writer) error {
	if err := json.NewEncoder(w).Encode(h); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// Read reads what Write wrote.
func Read(r io.Reader) (*History, error) {
	h := &History{}
	if err := json.NewDecoder(r).Decode(h); err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return h, nil
}

// String tells the operation in one line.
func (o *Operation) String() string {
	s := fmt.Sprintf("%s by %s [%v, ", o.Kind, o.Client, o.Invoke)
	if o.Return == Forever {
		s += "…"
	} else {
		s += o.Return.String()
	}
	s += "]"
	for _, x := range o.Claim {
		s += fmt.Sprintf(" %q", x.Name)
	}
	if o.Session != 0 {
		s += fmt.Sprintf(" session %d", o.Session)
	}
	if o.Token != 0 {
		s += fmt.Sprintf(" token %d", o.Token)
	}
	if o.Revision != 0 {
		s += fmt.Sprintf(" revision %d", o.Revision)
	}
	if o.Outcome != Done {
		s += " " + string(o.Outcome) + " " + o.Code
	}
	return s
}
