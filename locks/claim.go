package locks

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/conch-lock/conch/record"
	"github.com/conch-lock/conch/sessions"
)

// Name names a lock: 1 to 512 bytes of UTF-8 without control characters.
type Name string

// MaxName is the longest name in bytes.
const MaxName = 512

// Check says what is wrong with a name.
func (n Name) Check() error {
	switch {
	case n == "":
		return fmt.Errorf("the name is empty: 1 to %d bytes of UTF-8 are allowed", MaxName)
	case len(n) > MaxName:
		return fmt.Errorf("the name %.20q… has %d bytes: 1 to %d bytes of UTF-8 are allowed", string(n), len(n), MaxName)
	case !utf8.ValidString(string(n)):
		return fmt.Errorf("the name %q is not UTF-8", string(n))
	}
	for _, c := range n {
		if unicode.IsControl(c) {
			return fmt.Errorf("the name %q has the control character %U, which is not allowed", string(n), c)
		}
	}
	return nil
}

// Token is a fencing token: every grant of the cell gets a larger one than all
// grants before it. Zero is no token.
type Token uint64

// Mode is how a claim wants a lock.
type Mode uint8

// The modes. Their numbers are those of the wire.
const (
	Exclusive Mode = iota // alone
	Shared                // beside other shared ones
	Permits               // some of a capacity, beside others of the same capacity
)

// String names the mode.
func (m Mode) String() string {
	switch m {
	case Exclusive:
		return "exclusive"
	case Shared:
		return "shared"
	case Permits:
		return "permits"
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// Item is one lock of a claim.
type Item struct {
	Name     Name
	Mode     Mode
	Permits  uint32 // how many, only with mode Permits
	Capacity uint32 // of how many, only with mode Permits
}

// Bounds of a claim.
const (
	MaxItems = 64
	MaxDelay = 3600 * sessions.Second
	MaxWait  = 365 * 24 * 3600 * sessions.Second

	// MaxHolders is how many claims hold a lock at once; more wait. So do those
	// whose labels and values would take more than MaxHeldBytes together with
	// those of the holders. Both keep a lock's record below 1 MiB.
	MaxHolders   = 1024
	MaxHeldBytes = 512 << 10
)

// Check says what is wrong with an item.
func (i Item) Check() error {
	if err := i.Name.Check(); err != nil {
		return err
	}
	switch i.Mode {
	case Exclusive, Shared:
		if i.Permits != 0 || i.Capacity != 0 {
			return fmt.Errorf("lock %q: permits %d and capacity %d go with mode permits alone, not with %v", i.Name, i.Permits, i.Capacity, i.Mode)
		}
	case Permits:
		if i.Permits == 0 || i.Permits > i.Capacity {
			return fmt.Errorf("lock %q: %d permits of a capacity of %d: 1 to the capacity are allowed", i.Name, i.Permits, i.Capacity)
		}
	default:
		return fmt.Errorf("lock %q: %v is not known: exclusive, shared and permits are", i.Name, i.Mode)
	}
	return nil
}

// ClaimID names a claim for ever: the session and the sequence of the request
// that made it.
type ClaimID struct {
	Session  sessions.ID
	Sequence sessions.Sequence
}

// Claim is one request for locks, waiting or granted.
type Claim struct {
	ID     ClaimID
	Labels sessions.Labels
	Value  []byte            // what a candidate says; empty for a lock
	Delay  sessions.Duration // how long nobody is granted after an end that is not a release

	Order    uint64        // place in the cell's order of acceptance
	Rank     int64         // a smaller one goes first; of equal ones the one accepted first
	Queued   int64         // wall milliseconds when it was accepted, for people
	Deadline sessions.Time // it waits until then; 0: for ever

	Token    Token  // 0 while it waits
	Revision uint64 // of the grant
	Since    int64  // wall milliseconds of the grant, for people

	// predecessor is the tenure that had ended last on the first of its locks
	// when the claim was granted.
	predecessor Tenure

	parts []part // one for each lock, sorted by name
	one   [1]part

	due            int32  // index among the waiting deadlines, -1 for none
	fresh          bool   // accepted in this step: it has no row, and its answer is on its way
	younger, elder *Claim // the session's next and previous claim, in order of acceptance
}

// part ties a claim to one of its locks. It stands either in the lock's queue
// or among its holders.
type part struct {
	item       Item
	claim      *Claim
	lock       *Lock
	prev, next *part // in the queue
}

// Granted says whether the claim holds its locks.
func (c *Claim) Granted() bool { return c.Token != 0 }

// Items lists what the claim is for, sorted by name.
func (c *Claim) Items() []Item {
	l := make([]Item, len(c.parts))
	for i := range c.parts {
		l[i] = c.parts[i].item
	}
	return l
}

// Names appends the locks that the claim is for, sorted.
func (c *Claim) Names(l []Name) []Name {
	for i := range c.parts {
		l = append(l, c.parts[i].item.Name)
	}
	return l
}

// weight is what counts for MaxHeldBytes.
func (c *Claim) weight() int { return c.Labels.Bytes() + len(c.Value) }

// setItems ties the claim to no lock yet.
func (c *Claim) setItems(items []Item) {
	if len(items) == 1 {
		c.parts = c.one[:]
	} else {
		c.parts = make([]part, len(items))
	}
	for i, it := range items {
		c.parts[i] = part{item: it, claim: c}
	}
}

// append spells the row of a waiting claim, without its order, which is the key.
func (c *Claim) append(b []byte) []byte {
	b = append(b, rowVersion)
	b = record.AppendUint(b, c.ID.Session)
	b = record.AppendUint(b, c.ID.Sequence)
	b = c.Labels.Append(b)
	b = record.AppendString(b, c.Value)
	b = record.AppendInt(b, c.Delay)
	b = record.AppendInt(b, sessions.Time(c.Queued))
	b = record.AppendInt(b, c.Deadline)
	b = record.AppendUint(b, uint64(len(c.parts)))
	for i := range c.parts {
		b = c.parts[i].item.Append(b)
	}
	return b
}

const rowVersion = 1

// Append spells the item in bytes.
func (i Item) Append(b []byte) []byte {
	b = record.AppendString(b, i.Name)
	b = append(b, byte(i.Mode))
	b = record.AppendUint(b, i.Permits)
	return record.AppendUint(b, i.Capacity)
}

// ReadItem reads what Append wrote.
func ReadItem(r *record.Reader) Item {
	return Item{Name: Name(r.String()), Mode: Mode(r.Byte()), Permits: r.Uint32(), Capacity: r.Uint32()}
}

func readClaim(order uint64, row []byte) (*Claim, error) {
	r := record.NewReader(row)
	if v := r.Byte(); v != rowVersion {
		r.Fail("version %d of a claim: %d is known", v, rowVersion)
	}
	c := &Claim{Order: order, due: -1}
	c.ID = ClaimID{sessions.ID(r.Uint()), sessions.Sequence(r.Uint())}
	c.Labels = sessions.ReadLabels(r)
	c.Value = append([]byte(nil), r.Bytes()...)
	c.Delay = r2d(r)
	c.Queued = r.Int()
	c.Deadline = r2d(r)
	items := make([]Item, 0, 1)
	n := r.Count()
	if n < 1 || n > MaxItems {
		r.Fail("a claim for %d locks: 1 to %d are allowed", n, MaxItems)
	}
	for range n {
		if r.Err() != nil {
			break
		}
		items = append(items, ReadItem(r))
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("claim %d: %w", order, err)
	}
	c.setItems(items)
	return c, nil
}

func r2d(r *record.Reader) sessions.Duration { return sessions.Duration(r.Int()) }
