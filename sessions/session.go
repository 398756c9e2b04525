package sessions

import (
	"encoding/binary"
	"fmt"
	"sort"
	"unicode/utf8"

	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/record"
)

// ID names a session for ever. It is drawn from the cell's counter when the
// opening entry is applied; zero is no session.
type ID uint64

// Sequence numbers the requests of one session, from 1. Zero asks for no
// exactly-once treatment.
type Sequence uint64

// Time is cluster time in microseconds since the cell began. It stands still
// while the cell has no leader.
type Time int64

// Duration is a span of cluster time in microseconds.
type Duration = Time

// Units of Time.
const (
	Millisecond Duration = 1000
	Second               = 1000 * Millisecond
)

// Bounds of what a session may ask for.
const (
	MinTTL = 500 * Millisecond
	MaxTTL = 24 * 3600 * Second

	MaxLabels     = 16
	MaxLabelKey   = 64
	MaxLabelValue = 256
	MaxLabelBytes = 1024 // of all keys and values together

	// MaxReplies is from how many unacknowledged replies on a session is
	// refused what would add more.
	MaxReplies = 1024
	// MaxReplyBytes is the same for what they take together.
	MaxReplyBytes = 4 << 20
)

// Nonce is what a client draws once for each session that it opens, so that a
// repeated opening finds the session that the first one made.
type Nonce [16]byte

// Label is one thing an owner says of itself.
type Label struct{ Key, Value string }

// Labels are sorted by key, without repetition.
type Labels []Label

// LabelsOf sorts a map of labels; it does not check them.
func LabelsOf(m map[string]string) Labels {
	if len(m) == 0 {
		return nil
	}
	l := make(Labels, 0, len(m))
	for k, v := range m {
		l = append(l, Label{k, v})
	}
	sort.Slice(l, func(i, j int) bool { return l[i].Key < l[j].Key })
	return l
}

// Map gives the labels as a map, nil for none.
func (l Labels) Map() map[string]string {
	if len(l) == 0 {
		return nil
	}
	m := make(map[string]string, len(l))
	for _, x := range l {
		m[x.Key] = x.Value
	}
	return m
}

// Bytes is what the keys and values take together.
func (l Labels) Bytes() int {
	n := 0
	for _, x := range l {
		n += len(x.Key) + len(x.Value)
	}
	return n
}

// Check says what is wrong with the labels: too many, too long, not UTF-8,
// an empty key, not sorted.
func (l Labels) Check() error {
	if len(l) > MaxLabels {
		return fmt.Errorf("%d labels: at most %d are allowed", len(l), MaxLabels)
	}
	n := 0
	for i, x := range l {
		n += len(x.Key) + len(x.Value)
		switch {
		case n > MaxLabelBytes:
			return fmt.Errorf("labels of more than %d bytes altogether, which is the limit", MaxLabelBytes)
		case x.Key == "" || len(x.Key) > MaxLabelKey || !utf8.ValidString(x.Key):
			return fmt.Errorf("label key %q: 1 to %d bytes of UTF-8 are allowed", x.Key, MaxLabelKey)
		case len(x.Value) > MaxLabelValue || !utf8.ValidString(x.Value):
			return fmt.Errorf("label %q: its value has %d bytes: at most %d bytes of UTF-8 are allowed", x.Key, len(x.Value), MaxLabelValue)
		case i > 0 && l[i-1].Key >= x.Key:
			return fmt.Errorf("label %q stands twice or out of order", x.Key)
		}
	}
	return nil
}

// Append spells the labels in bytes.
func (l Labels) Append(b []byte) []byte {
	b = record.AppendUint(b, uint64(len(l)))
	for _, x := range l {
		b = record.AppendString(b, x.Key)
		b = record.AppendString(b, x.Value)
	}
	return b
}

// ReadLabels reads what Append wrote.
func ReadLabels(r *record.Reader) Labels {
	n := r.Count()
	if n > MaxLabels {
		r.Fail("%d labels: at most %d are allowed", n, MaxLabels)
	}
	if n == 0 || r.Err() != nil {
		return nil
	}
	l := make(Labels, n)
	for i := range l {
		l[i] = Label{r.String(), r.String()}
	}
	if r.Err() != nil {
		return nil
	}
	return l
}

// CheckTTL says what is wrong with a TTL in milliseconds.
func CheckTTL(millis uint64) error {
	if millis < uint64(MinTTL/Millisecond) || millis > uint64(MaxTTL/Millisecond) {
		return fmt.Errorf("TTL %d ms: %d to %d ms are allowed", millis, MinTTL/Millisecond, MaxTTL/Millisecond)
	}
	return nil
}

// Session is one client's standing. Its fields are changed by the Table alone.
type Session struct {
	ID      ID
	TTL     Duration
	Nonce   Nonce
	Labels  Labels
	Created uint64 // revision of the cell when it was opened

	Deadline Time // it ends when cluster time reaches this

	replies *replies // nil while it has none and has acknowledged none, as of a session that only lives
	due     int32    // index in the table's heap
	dirty   bool     // its row has to be written
	behind  bool     // it was heard since its row was written
}

// remember gives the session memory for replies.
func (s *Session) remember() *replies {
	if s.replies == nil {
		s.replies = &replies{}
	}
	return s.replies
}

// Behind says whether the session was heard since Flush last handed over its row, so
// that Append spells another deadline.
func (s *Session) Behind() bool { return s.behind && !planted.On(planted.DeadlinesStale) }

// Remaining is how much of its TTL is left at now, not below zero.
func (s *Session) Remaining(now Time) Duration { return max(0, s.Deadline-now) }

// Append spells the session's row in bytes, without its ID, which is the key. How
// many they are does not depend on the deadline: a keep-alive changes nothing else,
// and does not have the row written.
func (s *Session) Append(b []byte) []byte {
	b = append(b, rowVersion)
	b = record.AppendInt(b, s.TTL)
	b = append(b, s.Nonce[:]...)
	b = s.Labels.Append(b)
	b = record.AppendUint(b, s.Created)
	b = binary.BigEndian.AppendUint64(b, uint64(s.Deadline))
	if planted.On(planted.RepliesNotSaved) {
		return (*replies)(nil).append(b)
	}
	return s.replies.append(b)
}

const rowVersion = 2

func readSession(id ID, row []byte) (*Session, error) {
	r := record.NewReader(row)
	if v := r.Byte(); v != rowVersion {
		r.Fail("version %d of a session row: %d is known", v, rowVersion)
	}
	s := &Session{ID: id, TTL: Duration(r.Int())}
	for i := range s.Nonce {
		s.Nonce[i] = r.Byte()
	}
	s.Labels = ReadLabels(r)
	s.Created = r.Uint()
	for range 8 {
		s.Deadline = s.Deadline<<8 | Time(r.Byte())
	}
	s.replies = readReplies(r)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("session %d: %w", id, err)
	}
	return s, nil
}
