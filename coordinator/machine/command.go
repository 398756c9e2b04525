package machine

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/record"
	"github.com/conch-lock/conch/sessions"
)

// Version is that of the entries this package writes and understands.
const Version = 2

// ErrVersion: the entry is of a version that this program does not know. A node
// that skipped it would no longer be equal to the others, so it must stop.
var ErrVersion = errors.New("unknown version of an entry")

// MaxCommand is the most bytes a command may have in the log.
const MaxCommand = 1<<20 + 512<<10

// Header begins an entry: what the leader says of time. Commands follow it.
type Header struct {
	// Millis is wall time, for people. Nothing is decided by it.
	Millis int64
	// Elapsed is how much of the leader's monotonic clock has passed since the
	// last entry that it proposed, its own pauses cut.
	Elapsed sessions.Duration
	// Heard are the keep-alives that the leader heard since then, sorted by
	// session.
	Heard []Heard
}

// Heard is a keep-alive: its number rises within the session.
type Heard struct {
	Session sessions.ID
	Number  uint64
}

// MaxElapsed bounds how far one entry moves time; MaxHeard how many keep-alives
// it can tell of.
const (
	MaxElapsed = 3600 * sessions.Second
	MaxHeard   = 65536
)

// Append spells the header in bytes; sessions are delta-coded.
func (h *Header) Append(b []byte) []byte {
	b = append(b, Version)
	b = record.AppendInt(b, sessions.Time(h.Millis))
	b = record.AppendInt(b, h.Elapsed)
	b = record.AppendUint(b, uint64(len(h.Heard)))
	var last sessions.ID
	for _, x := range h.Heard {
		b = record.AppendUint(b, x.Session-last)
		b = record.AppendUint(b, x.Number)
		last = x.Session
	}
	return b
}

// read reads a header and gives the commands that follow it. The slice of Heard
// is used again.
func (h *Header) read(data []byte) (commands []byte, err error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("an entry without a version")
	}
	if data[0] != Version {
		return nil, fmt.Errorf("%w: version %d, known is %d", ErrVersion, data[0], Version)
	}
	r := record.NewReader(data[1:])
	h.Millis, h.Elapsed = r.Int(), sessions.Duration(r.Int())
	if h.Elapsed < 0 || h.Elapsed > MaxElapsed {
		r.Fail("%d µs elapsed: 0 to %d are allowed", h.Elapsed, MaxElapsed)
	}
	n := r.Count()
	if n > MaxHeard {
		r.Fail("%d keep-alives: at most %d are allowed", n, MaxHeard)
	}
	h.Heard = h.Heard[:0]
	var last sessions.ID
	for range n {
		step := sessions.ID(r.Uint())
		if last+step <= last {
			r.Fail("session %d stands out of order", last+step)
			break
		}
		last += step
		h.Heard = append(h.Heard, Heard{last, r.Uint()})
	}
	return data[len(data)-r.Len():], r.Err()
}

// ReadHeader reads the header of an entry and gives the commands that follow.
func ReadHeader(entry []byte) (h Header, commands []byte, err error) {
	commands, err = h.read(entry)
	return h, commands, err
}

// Command is one request as it stands in the log. Origin is the node that
// awaits the result, under the number Request; both are zero when nobody does.
type Command struct {
	Origin  uint64
	Request uint64
	Op      Op
}

// Op is what a command does: one of the pointer types below.
type Op interface {
	kind() byte
	append(b []byte) []byte
	read(r *record.Reader)
	check() error // the bounds that everybody must keep
}

// The kinds of commands, append-only. A new one needs a new Version: a node that
// does not know it would take it for malformed and go its own way.
const (
	kindOpenSession byte = iota + 1
	kindEndSession
	kindAcquire
	kindRelease
	kindCancel
	kindBreak
	kindTxn
	kindCompact
	kindHash
	kindCampaign
	kindProclaim
	kindResign
	kindTransfer
)

func newOp(kind byte) Op {
	switch kind {
	case kindOpenSession:
		return new(OpenSession)
	case kindEndSession:
		return new(EndSession)
	case kindAcquire:
		return new(Acquire)
	case kindRelease:
		return new(Release)
	case kindCancel:
		return new(Cancel)
	case kindBreak:
		return new(Break)
	case kindTxn:
		return new(Txn)
	case kindCompact:
		return new(Compact)
	case kindHash:
		return new(Hash)
	case kindCampaign:
		return new(Campaign)
	case kindProclaim:
		return new(Proclaim)
	case kindResign:
		return new(Resign)
	case kindTransfer:
		return new(Transfer)
	}
	return nil
}

// Append spells a command in bytes, with its length in front.
func (c Command) Append(b []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, c.Op.kind())
	b = record.AppendUint(b, c.Origin)
	b = record.AppendUint(b, c.Request)
	b = c.Op.append(b)
	n := len(b) - start - 4
	b[start], b[start+1], b[start+2], b[start+3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	return b
}

// Check says what is wrong with a command before it is proposed.
func (c Command) Check() error { return c.Op.check() }

// Split takes the first command off b, which is what Append wrote, any number
// of times.
func Split(b []byte) (command, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, fmt.Errorf("a command's length takes 4 bytes, %d are left", len(b))
	}
	n := int(b[0])<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	if n > MaxCommand || n > len(b)-4 {
		return nil, nil, fmt.Errorf("a command of %d bytes: %d are left and %d allowed", n, len(b)-4, MaxCommand)
	}
	return b[4 : 4+n], b[4+n:], nil
}

// Decode reads a command without its length. A command whose bounds are broken
// is an error too, but Origin and Request are given when they could be read.
func Decode(b []byte) (Command, error) { return decode(record.NewReader(b), newOp) }

// decoder decodes the commands of an entry one after the other, in memory that
// it uses again for the most frequent ones.
type decoder struct {
	reader  record.Reader
	acquire Acquire
	release Release
}

func (d *decoder) decode(b []byte) (Command, error) {
	d.reader.Reset(b)
	return decode(&d.reader, d.op)
}

func (d *decoder) op(kind byte) Op {
	switch kind {
	case kindAcquire:
		clear(d.acquire.Items)
		d.acquire = Acquire{Items: d.acquire.Items[:0]}
		return &d.acquire
	case kindRelease:
		d.release = Release{}
		return &d.release
	}
	return newOp(kind)
}

func decode(r *record.Reader, newOp func(kind byte) Op) (Command, error) {
	kind := r.Byte()
	c := Command{Origin: r.Uint(), Request: r.Uint()}
	c.Op = newOp(kind)
	if c.Op == nil {
		return c, fmt.Errorf("command kind %d is not known", kind)
	}
	c.Op.read(r)
	if err := r.Done(); err != nil {
		return c, err
	}
	return c, c.Op.check()
}

// OpenSession makes a session, once for each nonce.
type OpenSession struct {
	Nonce  sessions.Nonce
	TTL    uint64 // milliseconds
	Labels sessions.Labels
}

func (*OpenSession) kind() byte { return kindOpenSession }

func (o *OpenSession) append(b []byte) []byte {
	b = append(b, o.Nonce[:]...)
	b = record.AppendUint(b, o.TTL)
	return o.Labels.Append(b)
}

func (o *OpenSession) read(r *record.Reader) {
	for i := range o.Nonce {
		o.Nonce[i] = r.Byte()
	}
	o.TTL = r.Uint()
	o.Labels = sessions.ReadLabels(r)
}

func (o *OpenSession) check() error {
	if o.Nonce == (sessions.Nonce{}) {
		return fmt.Errorf("the nonce is empty: %d random bytes are wanted", len(o.Nonce))
	}
	if err := sessions.CheckTTL(o.TTL); err != nil {
		return err
	}
	return o.Labels.Check()
}

// MaxReason is the longest reason in bytes that an operator may give.
const MaxReason = 256

// EndSession ends a session: Closed by its owner, Ended by an operator.
type EndSession struct {
	Session sessions.ID
	Why     locks.Why
	Reason  string
}

func (*EndSession) kind() byte { return kindEndSession }

func (o *EndSession) append(b []byte) []byte {
	b = record.AppendUint(b, o.Session)
	b = append(b, byte(o.Why))
	return record.AppendString(b, o.Reason)
}

func (o *EndSession) read(r *record.Reader) {
	o.Session, o.Why, o.Reason = sessions.ID(r.Uint()), locks.Why(r.Byte()), r.String()
}

func (o *EndSession) check() error {
	if o.Why != locks.Closed && o.Why != locks.Ended {
		return fmt.Errorf("a session cannot be ended as %q", o.Why)
	}
	return checkReason(o.Reason)
}

func checkReason(s string) error {
	if len(s) > MaxReason || !utf8.ValidString(s) {
		return fmt.Errorf("the reason has %d bytes: at most %d bytes of UTF-8 are allowed", len(s), MaxReason)
	}
	return nil
}

// Request is what every exactly-once command begins with.
type Request struct {
	Session  sessions.ID
	Sequence sessions.Sequence
	Acked    sessions.Sequence // replies up to there may be forgotten
}

func (q *Request) append(b []byte) []byte {
	b = record.AppendUint(b, q.Session)
	b = record.AppendUint(b, q.Sequence)
	return record.AppendUint(b, q.Acked)
}

func (q *Request) read(r *record.Reader) {
	q.Session, q.Sequence, q.Acked = sessions.ID(r.Uint()), sessions.Sequence(r.Uint()), sessions.Sequence(r.Uint())
}

func (q *Request) check() error {
	if q.Session == 0 {
		return fmt.Errorf("the session is missing: 0 is no session")
	}
	if q.Sequence == 0 {
		return fmt.Errorf("the sequence is missing: sequences of a session count from 1")
	}
	return nil
}

// Acquire claims locks, sorted by name, without repetition.
type Acquire struct {
	Request
	Items  []locks.Item
	Try    bool
	Wait   uint64 // milliseconds, 0 for ever
	Delay  uint64 // milliseconds
	Labels sessions.Labels
}

func (*Acquire) kind() byte { return kindAcquire }

func (o *Acquire) append(b []byte) []byte {
	b = o.Request.append(b)
	b = record.AppendUint(b, uint64(len(o.Items)))
	for _, it := range o.Items {
		b = it.Append(b)
	}
	b = record.AppendBool(b, o.Try)
	b = record.AppendUint(b, o.Wait)
	b = record.AppendUint(b, o.Delay)
	return o.Labels.Append(b)
}

func (o *Acquire) read(r *record.Reader) {
	o.Request.read(r)
	n := r.Count()
	if n > locks.MaxItems {
		r.Fail("a claim for %d locks: 1 to %d are allowed", n, locks.MaxItems)
		return
	}
	for range n {
		o.Items = append(o.Items, locks.ReadItem(r))
	}
	o.Try, o.Wait, o.Delay = r.Bool(), r.Uint(), r.Uint()
	o.Labels = sessions.ReadLabels(r)
}

func (o *Acquire) check() error {
	if err := o.Request.check(); err != nil {
		return err
	}
	if len(o.Items) < 1 || len(o.Items) > locks.MaxItems {
		return fmt.Errorf("a claim for %d locks: 1 to %d are allowed", len(o.Items), locks.MaxItems)
	}
	for i, it := range o.Items {
		if err := it.Check(); err != nil {
			return err
		}
		if i > 0 && o.Items[i-1].Name >= it.Name {
			return fmt.Errorf("lock %q stands twice or out of order in one claim", it.Name)
		}
	}
	if o.Wait > uint64(locks.MaxWait/sessions.Millisecond) {
		return fmt.Errorf("a wait of %d ms: at most %d are allowed", o.Wait, locks.MaxWait/sessions.Millisecond)
	}
	if o.Delay > uint64(locks.MaxDelay/sessions.Millisecond) {
		return fmt.Errorf("a lock delay of %d ms: at most %d are allowed", o.Delay, locks.MaxDelay/sessions.Millisecond)
	}
	return o.Labels.Check()
}

// Release ends the grant (Name, Token) of its session, with all its locks.
type Release struct {
	Request
	Name  locks.Name
	Token locks.Token
}

func (*Release) kind() byte { return kindRelease }

func (o *Release) append(b []byte) []byte {
	b = o.Request.append(b)
	b = record.AppendString(b, o.Name)
	return record.AppendUint(b, o.Token)
}

func (o *Release) read(r *record.Reader) {
	o.Request.read(r)
	o.Name, o.Token = locks.Name(r.String()), locks.Token(r.Uint())
}

func (o *Release) check() error {
	if err := o.Request.check(); err != nil {
		return err
	}
	return checkGrant(o.Name, o.Token)
}

func checkGrant(n locks.Name, t locks.Token) error {
	if t == 0 {
		return fmt.Errorf("the token is missing: 0 is no token")
	}
	return n.Check()
}

// Cancel ends the claim of an earlier sequence whatever its state. It also keeps
// a claim that is still under way from ever taking effect.
type Cancel struct {
	Request
	Claim sessions.Sequence
}

func (*Cancel) kind() byte { return kindCancel }

func (o *Cancel) append(b []byte) []byte {
	return record.AppendUint(o.Request.append(b), o.Claim)
}

func (o *Cancel) read(r *record.Reader) {
	o.Request.read(r)
	o.Claim = sessions.Sequence(r.Uint())
}

func (o *Cancel) check() error {
	if err := o.Request.check(); err != nil {
		return err
	}
	if o.Claim == 0 || o.Claim == o.Sequence {
		return fmt.Errorf("sequence %d cannot cancel the claim %d", o.Sequence, o.Claim)
	}
	return nil
}

// Break ends a grant against its holder's will.
type Break struct {
	Name   locks.Name
	Token  locks.Token
	Reason string
}

func (*Break) kind() byte { return kindBreak }

func (o *Break) append(b []byte) []byte {
	b = record.AppendString(b, o.Name)
	b = record.AppendUint(b, o.Token)
	return record.AppendString(b, o.Reason)
}

func (o *Break) read(r *record.Reader) {
	o.Name, o.Token, o.Reason = locks.Name(r.String()), locks.Token(r.Uint()), r.String()
}

func (o *Break) check() error {
	if err := checkGrant(o.Name, o.Token); err != nil {
		return err
	}
	return checkReason(o.Reason)
}

// Compact forgets the history up to a revision.
type Compact struct{ Revision uint64 }

func (*Compact) kind() byte               { return kindCompact }
func (o *Compact) append(b []byte) []byte { return record.AppendUint(b, o.Revision) }
func (o *Compact) read(r *record.Reader)  { o.Revision = r.Uint() }
func (o *Compact) check() error           { return nil }

// Hash makes every node take the hash of its state at this place of the log.
type Hash struct{}

func (*Hash) kind() byte             { return kindHash }
func (*Hash) append(b []byte) []byte { return b }
func (*Hash) read(*record.Reader)    {}
func (*Hash) check() error           { return nil }
