package locks

import (
	"fmt"

	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/record"
	"github.com/conch-lock/conch/sessions"
)

// Why says how a tenure ended. Its numbers are those of the wire.
type Why uint8

// The ways in which a tenure ends.
const (
	NotEnded    Why = iota
	Released        // by its holder, or cancelled by it
	Expired         // its session's time ran out
	Closed          // its session was closed by its owner
	Ended           // its session was ended by an operator
	Broken          // an operator broke the grant
	Transferred     // handed over
)

// String names the reason.
func (w Why) String() string {
	names := [...]string{"", "released", "expired", "closed", "ended", "broken", "transferred"}
	if int(w) < len(names) {
		return names[w]
	}
	return fmt.Sprintf("why %d", uint8(w))
}

// Tenure is a grant that is over.
type Tenure struct {
	Token   Token
	Session sessions.ID
	Ended   Why
	Value   []byte // the last value of a leader
}

// Holder is a grant as the record of its lock tells it.
type Holder struct {
	Claim    ClaimID
	Order    uint64 // place in the cell's order of acceptance
	Token    Token
	Revision uint64 // of the grant
	Since    int64  // wall milliseconds of the grant
	Mode     Mode
	Permits  uint32
	Capacity uint32
	Delay    sessions.Duration
	Labels   sessions.Labels
	Value    []byte

	// Predecessor is the tenure that had ended last when this one began. It is
	// spelt out for shared holders and permits alone; for an exclusive holder
	// it is the record's Last, which cannot change beside it.
	Predecessor Tenure
}

// Record is the state of a lock as it stands in the store: one at each revision
// that changed who holds it.
type Record struct {
	Holders []Holder // in order of their grants
	Token   Token    // the newest that was granted
	Delayed sessions.Time
	Last    Tenure   // the tenure that ended last
	Ended   []Tenure // those that ended in the very revision of this record
}

// Free says that nobody holds the lock. A free record is what is left of it.
func (r *Record) Free() bool { return len(r.Holders) == 0 }

// Lock is a lock that somebody holds or awaits, or that is delayed. There may be
// millions: the order of its fields leaves no gaps.
type Lock struct {
	Name Name

	holders    []*part
	head, tail *part   // the queue
	places     *places // of a long queue, once they were needed
	waiting    int32   // its length
	permits    int32   // how many of holders and waiters are for permits
	weight     int     // of the holders' labels and values
	token      Token   // the newest that was granted
	last       Tenure

	delayed sessions.Time // nobody is granted until Expire ends the delay, at this time; 0: no delay

	ended []Tenure // in this step
	one   struct { // memory of most locks' holders and ended
		holder [1]*part
		ended  [1]Tenure
	}

	delay    int32  // index among the delays, -1 for none
	used     uint32 // permits that the holders have
	capacity uint32 // which all that are for permits agree on, while there are any
	recalled bool   // token and last are right; else the store is to be asked before they are relied on
	changed  bool   // its record has to be written in this step
	touched  bool   // it may be able to grant
}

func newLock(n Name) *Lock {
	l := &Lock{Name: n, delay: -1}
	l.holders, l.ended = l.one.holder[:0], l.one.ended[:0]
	return l
}

// Waiting is how many claims wait for the lock.
func (l *Lock) Waiting() int { return int(l.waiting) }

// Holders is how many claims hold it.
func (l *Lock) Holders() int { return len(l.holders) }

// Holder is the claim that has held it longest, nil when nobody holds it.
func (l *Lock) Holder() *Claim {
	if len(l.holders) == 0 {
		return nil
	}
	return l.holders[0].claim
}

// First is the claim that waits in the first place, nil when none waits.
func (l *Lock) First() *Claim {
	if l.head == nil {
		return nil
	}
	return l.head.claim
}

// Delayed is until when nobody is granted, 0 without a delay.
func (l *Lock) Delayed() sessions.Time { return l.delayed }

// Waiters calls f for each waiting claim in order, until it returns false.
func (l *Lock) Waiters(f func(c *Claim, item Item) bool) {
	for p := l.head; p != nil; p = p.next {
		if !f(p.claim, p.item) {
			return
		}
	}
}

// admits says whether a claim could hold the lock beside those that do.
func (l *Lock) admits(it Item, weight int) bool {
	if l.delayed != 0 && !planted.On(planted.GrantedDuringDelay) {
		return false
	}
	if len(l.holders) == 0 {
		return true
	}
	if len(l.holders) >= MaxHolders || l.weight+weight > MaxHeldBytes {
		return false
	}
	held := l.holders[0].item
	switch it.Mode {
	case Shared:
		return held.Mode == Shared || planted.On(planted.SharedBesideExclusive)
	case Permits:
		return held.Mode == Permits && held.Capacity == it.Capacity && (it.Permits <= it.Capacity-l.used || planted.On(planted.PermitsOverCapacity))
	}
	return false
}

// enqueue puts a claim behind all that go before it: the last place, unless it
// has a smaller rank than others.
func (l *Lock) enqueue(p *part) {
	p.prev = l.ahead(p)
	if p.prev != nil {
		p.next, p.prev.next = p.prev.next, p
	} else {
		p.next, l.head = l.head, p
	}
	if p.next != nil {
		p.next.prev = p
	} else {
		l.tail = p
	}
	if l.places != nil {
		l.places.add(p)
	}
	l.waiting++
	l.count(p.item, 1)
}

// ahead is whom a newcomer stands behind, nil for nobody.
func (l *Lock) ahead(p *part) *part {
	q := l.tail
	switch {
	case planted.On(planted.LastComeFirstServed):
		return nil
	case q == nil || q.claim.Rank <= p.claim.Rank:
		return q
	}
	if s := l.long(); s != nil {
		return s.ahead(p)
	}
	for q != nil && q.claim.Rank > p.claim.Rank {
		q = q.prev
	}
	return q
}

// count keeps account of those that are for permits.
func (l *Lock) count(it Item, by int32) {
	if it.Mode == Permits {
		l.permits += by
		l.capacity = it.Capacity
	}
}

func (l *Lock) dequeue(p *part) {
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		l.head = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		l.tail = p.prev
	}
	p.prev, p.next = nil, nil
	l.waiting--
	if l.waiting < longWalk/2 {
		l.places = nil
	} else if l.places != nil {
		l.places.remove(p)
	}
	l.count(p.item, -1)
}

func (l *Lock) hold(p *part) {
	l.holders = append(l.holders, p)
	l.used += p.item.Permits
	l.weight += p.claim.weight()
	l.count(p.item, 1)
}

func (l *Lock) drop(p *part) {
	for i, h := range l.holders {
		if h == p {
			last := len(l.holders) - 1
			copy(l.holders[i:], l.holders[i+1:])
			l.holders[last] = nil
			l.holders = l.holders[:last]
			l.used -= p.item.Permits
			l.weight -= p.claim.weight()
			l.count(p.item, -1)
			return
		}
	}
}

// free says that nobody holds the lock and no delay runs: its record is worth
// no more than its history.
func (l *Lock) free() bool { return len(l.holders) == 0 && l.delayed == 0 }

// idle says that the table need not know the lock any more.
func (l *Lock) idle() bool { return l.free() && l.head == nil }

// Record is the lock as it stands now.
func (l *Lock) Record() Record {
	r := Record{Token: l.token, Delayed: l.delayed, Last: l.last, Ended: l.ended}
	for _, p := range l.holders {
		r.Holders = append(r.Holders, p.holder())
	}
	return r
}

func (p *part) holder() Holder {
	c := p.claim
	return Holder{
		Claim: c.ID, Order: c.Order, Token: c.Token, Revision: c.Revision, Since: c.Since,
		Mode: p.item.Mode, Permits: p.item.Permits, Capacity: p.item.Capacity,
		Delay: c.Delay, Labels: c.Labels, Value: c.Value, Predecessor: c.predecessor,
	}
}

// Append spells the lock's record in bytes.
func (l *Lock) Append(b []byte) []byte {
	b = append(b, rowVersion)
	b = record.AppendUint(b, uint64(len(l.holders)))
	for _, p := range l.holders {
		c := p.claim
		b = record.AppendUint(b, c.ID.Session)
		b = record.AppendUint(b, c.ID.Sequence)
		b = record.AppendUint(b, c.Order)
		b = record.AppendUint(b, c.Token)
		b = record.AppendUint(b, c.Revision)
		b = record.AppendInt(b, sessions.Time(c.Since))
		b = append(b, byte(p.item.Mode))
		b = record.AppendUint(b, p.item.Permits)
		b = record.AppendUint(b, p.item.Capacity)
		b = record.AppendInt(b, c.Delay)
		b = c.Labels.Append(b)
		b = record.AppendString(b, c.Value)
		if p.item.Mode != Exclusive {
			b = c.predecessor.append(b)
		}
	}
	b = record.AppendUint(b, l.token)
	b = record.AppendInt(b, l.delayed)
	b = l.last.append(b)
	b = record.AppendUint(b, uint64(len(l.ended)))
	for _, t := range l.ended {
		b = t.append(b)
	}
	return b
}

func (t Tenure) append(b []byte) []byte {
	b = record.AppendUint(b, t.Token)
	b = record.AppendUint(b, t.Session)
	b = append(b, byte(t.Ended))
	return record.AppendString(b, t.Value)
}

func readTenure(r *record.Reader) Tenure {
	return Tenure{Token(r.Uint()), sessions.ID(r.Uint()), Why(r.Byte()), append([]byte(nil), r.Bytes()...)}
}

// ReadRecord reads what Lock.Append wrote.
func ReadRecord(data []byte) (Record, error) {
	var rec Record
	err := rec.read(data)
	return rec, err
}

// read is ReadRecord into a record whose lists are used again.
func (rec *Record) read(data []byte) error {
	r := record.NewReader(data)
	if v := r.Byte(); v != rowVersion {
		r.Fail("version %d of a lock: %d is known", v, rowVersion)
	}
	rec.Holders, rec.Ended = rec.Holders[:0], rec.Ended[:0]
	for range r.Count() {
		h := Holder{Claim: ClaimID{sessions.ID(r.Uint()), sessions.Sequence(r.Uint())}}
		h.Order, h.Token = r.Uint(), Token(r.Uint())
		h.Revision = r.Uint()
		h.Since = r.Int()
		h.Mode, h.Permits, h.Capacity = Mode(r.Byte()), r.Uint32(), r.Uint32()
		h.Delay = r2d(r)
		h.Labels = sessions.ReadLabels(r)
		h.Value = append([]byte(nil), r.Bytes()...)
		if h.Mode != Exclusive {
			h.Predecessor = readTenure(r)
		}
		if r.Err() != nil {
			break
		}
		rec.Holders = append(rec.Holders, h)
	}
	rec.Token = Token(r.Uint())
	rec.Delayed = r2d(r)
	rec.Last = readTenure(r)
	for i := range rec.Holders {
		if h := &rec.Holders[i]; h.Mode == Exclusive {
			h.Predecessor = rec.Last
		}
	}
	for range r.Count() {
		if r.Err() != nil {
			break
		}
		rec.Ended = append(rec.Ended, readTenure(r))
	}
	return r.Done()
}
