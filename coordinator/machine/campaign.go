package machine

import (
	"fmt"

	"github.com/conch-lock/conch/elections"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/record"
	"github.com/conch-lock/conch/sessions"
)

// Campaign makes its session a candidate in an election.
type Campaign struct {
	Request
	Name     locks.Name
	Value    []byte
	Priority int64
	Preempt  bool
	Tenure   uint64 // milliseconds before which it is not pre-empted
	Aging    uint64 // milliseconds in which who waits gains one priority, 0 for what is in use
	Try      bool
	Wait     uint64 // milliseconds, 0 for ever
	Labels   sessions.Labels
}

func (*Campaign) kind() byte { return kindCampaign }

func (o *Campaign) append(b []byte) []byte {
	b = o.Request.append(b)
	b = record.AppendString(b, o.Name)
	b = record.AppendString(b, o.Value)
	b = record.AppendInt(b, o.Priority)
	b = record.AppendBool(b, o.Preempt)
	b = record.AppendUint(b, o.Tenure)
	b = record.AppendUint(b, o.Aging)
	b = record.AppendBool(b, o.Try)
	b = record.AppendUint(b, o.Wait)
	return o.Labels.Append(b)
}

func (o *Campaign) read(r *record.Reader) {
	o.Request.read(r)
	o.Name, o.Value = locks.Name(r.String()), append([]byte(nil), r.Bytes()...)
	o.Priority, o.Preempt = r.Int(), r.Bool()
	o.Tenure, o.Aging = r.Uint(), r.Uint()
	o.Try, o.Wait = r.Bool(), r.Uint()
	o.Labels = sessions.ReadLabels(r)
}

func (o *Campaign) check() error {
	if err := o.Request.check(); err != nil {
		return err
	}
	if err := o.Name.Check(); err != nil {
		return err
	}
	if err := elections.CheckValue(o.Value); err != nil {
		return err
	}
	// What is out of bounds in milliseconds must not come back into them by
	// being counted in microseconds.
	for _, x := range []struct {
		what        string
		millis      uint64
		least, most sessions.Duration
	}{
		{"a minimum tenure", o.Tenure, 0, elections.MaxTenure},
		{"an aging interval", o.Aging, elections.MinAging, elections.MaxAging},
		{"a wait", o.Wait, 0, locks.MaxWait},
	} {
		least, most := uint64(x.least/sessions.Millisecond), uint64(x.most/sessions.Millisecond)
		if x.millis != 0 && x.millis < least || x.millis > most {
			return fmt.Errorf("%s of %d ms: %d to %d are allowed, and 0", x.what, x.millis, least, most)
		}
	}
	if o.Priority < elections.MinPriority || o.Priority > elections.MaxPriority {
		return fmt.Errorf("priority %d: %d to %d are allowed", o.Priority, elections.MinPriority, elections.MaxPriority)
	}
	return o.Labels.Check()
}

func (o *Campaign) terms() elections.Terms {
	return elections.Terms{
		Priority: int(o.Priority), Preempt: o.Preempt,
		Tenure: sessions.Duration(o.Tenure) * sessions.Millisecond,
		Aging:  sessions.Duration(o.Aging) * sessions.Millisecond,
	}
}

// Leadership is what commands of a leader begin with. With session and sequence
// they are exactly-once; without both they are an operator's, who acts for
// whatever session leads with that token.
type Leadership struct {
	Request
	Name  locks.Name
	Token locks.Token
}

func (o *Leadership) append(b []byte) []byte {
	b = o.Request.append(b)
	b = record.AppendString(b, o.Name)
	return record.AppendUint(b, o.Token)
}

func (o *Leadership) read(r *record.Reader) {
	o.Request.read(r)
	o.Name, o.Token = locks.Name(r.String()), locks.Token(r.Uint())
}

func (o *Leadership) check() error {
	if o.Session != 0 || o.Sequence != 0 {
		if err := o.Request.check(); err != nil {
			return err
		}
	}
	return checkGrant(o.Name, o.Token)
}

// Proclaim replaces the value of the leader (Name, Token).
type Proclaim struct {
	Leadership
	Value []byte
}

func (*Proclaim) kind() byte { return kindProclaim }

func (o *Proclaim) append(b []byte) []byte {
	return record.AppendString(o.Leadership.append(b), o.Value)
}

func (o *Proclaim) read(r *record.Reader) {
	o.Leadership.read(r)
	o.Value = append([]byte(nil), r.Bytes()...)
}

func (o *Proclaim) check() error {
	if err := o.Leadership.check(); err != nil {
		return err
	}
	return elections.CheckValue(o.Value)
}

// Resign ends the leadership (Name, Token); an operator's breaks it. Without a
// sequence it comes from who acts for the leader, which is a session that has to
// be told: what runs under its token, and does not know its sequences.
type Resign struct {
	Leadership
	Reason string // an operator's
}

func (*Resign) kind() byte { return kindResign }

func (o *Resign) append(b []byte) []byte {
	return record.AppendString(o.Leadership.append(b), o.Reason)
}

func (o *Resign) read(r *record.Reader) {
	o.Leadership.read(r)
	o.Reason = r.String()
}

func (o *Resign) check() error {
	var err error
	if o.Session != 0 && o.Sequence == 0 && o.Acked == 0 {
		err = checkGrant(o.Name, o.Token)
	} else {
		err = o.Leadership.check()
	}
	if err != nil {
		return err
	}
	return checkReason(o.Reason)
}

// Transfer hands the leadership (Name, Token) over to a candidate of session To.
type Transfer struct {
	Leadership
	To     sessions.ID
	Reason string // an operator's
}

func (*Transfer) kind() byte { return kindTransfer }

func (o *Transfer) append(b []byte) []byte {
	b = o.Leadership.append(b)
	b = record.AppendUint(b, o.To)
	return record.AppendString(b, o.Reason)
}

func (o *Transfer) read(r *record.Reader) {
	o.Leadership.read(r)
	o.To, o.Reason = sessions.ID(r.Uint()), r.String()
}

func (o *Transfer) check() error {
	if err := o.Leadership.check(); err != nil {
		return err
	}
	if o.To == 0 {
		return fmt.Errorf("the candidate is missing: 0 is no session")
	}
	return checkReason(o.Reason)
}
