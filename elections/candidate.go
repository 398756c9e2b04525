package elections

import (
	"fmt"

	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/record"
	"github.com/conch-lock/conch/sessions"
)

// Bounds of a candidacy.
const (
	MaxValue    = 64 << 10 // bytes of a value
	MinPriority = -1000
	MaxPriority = 1000

	// MaxTenure is the longest minimum tenure.
	MaxTenure = 30 * 24 * 3600 * sessions.Second

	// The interval in which a candidate that waits gains one priority.
	MinAging     = sessions.Second
	DefaultAging = 60 * sessions.Second
	MaxAging     = 365 * 24 * 3600 * sessions.Second
)

// Terms are what a candidate asks for beside leading. The zero value asks for
// nothing.
type Terms struct {
	Priority int               // MinPriority to MaxPriority
	Preempt  bool              // end the tenure of a leader of lower priority
	Tenure   sessions.Duration // no pre-emption before it has led for so long; 0 to MaxTenure
	Aging    sessions.Duration // MinAging to MaxAging; 0: what is in use, or DefaultAging
}

// Check says what is wrong with terms.
func (t Terms) Check() error {
	switch {
	case t.Priority < MinPriority || t.Priority > MaxPriority:
		return fmt.Errorf("priority %d: %d to %d are allowed", t.Priority, MinPriority, MaxPriority)
	case t.Tenure < 0 || t.Tenure > MaxTenure:
		return fmt.Errorf("a minimum tenure of %d ms: 0 to %d are allowed", t.Tenure/sessions.Millisecond, MaxTenure/sessions.Millisecond)
	case t.Aging != 0 && (t.Aging < MinAging || t.Aging > MaxAging):
		return fmt.Errorf("an aging interval of %d ms: %d to %d are allowed, 0 for what is in use",
			t.Aging/sessions.Millisecond, MinAging/sessions.Millisecond, MaxAging/sessions.Millisecond)
	}
	return nil
}

// CheckValue says what is wrong with a value.
func CheckValue(value []byte) error {
	if len(value) > MaxValue {
		return fmt.Errorf("a value of %d bytes: at most %d are allowed", len(value), MaxValue)
	}
	return nil
}

func (t Terms) append(b []byte) []byte {
	b = record.AppendInt(b, int64(t.Priority))
	b = record.AppendBool(b, t.Preempt)
	b = record.AppendInt(b, t.Tenure)
	return record.AppendInt(b, t.Aging)
}

// readTerms reads those of somebody who stands, so that the aging is spelt out.
func readTerms(r *record.Reader) Terms {
	priority := r.Int()
	t := Terms{
		Priority: int(priority), Preempt: r.Bool(),
		Tenure: sessions.Duration(r.Int()), Aging: sessions.Duration(r.Int()),
	}
	if priority < MinPriority || priority > MaxPriority {
		r.Fail("priority %d: %d to %d are allowed", priority, MinPriority, MaxPriority)
	} else if err := t.Check(); err != nil {
		r.Fail("%v", err)
	} else if t.Aging == 0 && r.Err() == nil {
		r.Fail("the aging interval is missing")
	}
	return t
}

// Candidate is a claim to lead, waiting or granted.
type Candidate struct {
	*locks.Claim
	Election locks.Name
	Terms
	Stood sessions.Time // cluster time at which it was accepted
	Began sessions.Time // cluster time at which it began to lead; 0 while it waits

	place int32 // among the election's challengers, -1 when it is none
}

// Effective is the priority that it has by waiting until now, whole intervals
// counted.
func (c *Candidate) Effective(now sessions.Time) int {
	return c.Priority + int((now-c.Stood)/c.Aging)
}

// rankOf makes a number of when a candidate stood and its priority: all age at
// the same pace, so whoever has the smaller one now always has.
func rankOf(stood sessions.Time, t Terms) int64 {
	return int64(stood) - int64(t.Priority)*int64(t.Aging)
}

// challenges says whether it may end a leader's tenure.
func (c *Candidate) challenges(leader *Candidate) bool {
	return c != nil && c.Preempt && c.Priority > leader.Priority
}

// before is the order of challengers.
func (c *Candidate) before(d *Candidate) bool {
	if c.Priority != d.Priority {
		return c.Priority > d.Priority
	}
	if c.Rank != d.Rank {
		return c.Rank < d.Rank
	}
	return c.Order < d.Order
}

const rowVersion = 1

// appendRow spells the row of a waiting candidate around that of its claim.
func (c *Candidate) appendRow(b, claim []byte) []byte {
	b = append(b, rowVersion)
	b = record.AppendString(b, claim)
	b = c.Terms.append(b)
	return record.AppendInt(b, c.Stood)
}

// readRow reads what appendRow wrote, the claim still spelt.
func readRow(row []byte) (c *Candidate, claim []byte, err error) {
	r := record.NewReader(row)
	if v := r.Byte(); v != rowVersion {
		r.Fail("version %d of a candidate: %d is known", v, rowVersion)
	}
	claim = r.Bytes()
	c = &Candidate{Terms: readTerms(r), Stood: readTime(r), place: -1}
	return c, claim, r.Done()
}

// maxTime bounds cluster time, so that sums with durations stay far from the
// end of 64 bits: some 36,000 years.
const maxTime = 1 << 60

func readTime(r *record.Reader) sessions.Time {
	t := r.Int()
	if t < 0 || t > maxTime {
		r.Fail("cluster time %d: 0 to %d are known", t, int64(maxTime))
	}
	return sessions.Time(t)
}
