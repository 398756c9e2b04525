package elections

import (
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/record"
	"github.com/conch-lock/conch/sessions"
)

// Record is the state of an election as it stands in the store: one at each
// revision that changed its leader or what the leader proclaims.
type Record struct {
	Term   uint64       // of the newest leader, 1 for the first
	Token  locks.Token  // of the newest leader
	Leader *Leader      // nil: nobody leads
	Last   locks.Tenure // the tenure that ended last: the leader's predecessor
	Ended  bool         // it ended in the very revision of this record
}

// Leader is who leads, as the record tells it.
type Leader struct {
	Claim    locks.ClaimID
	Order    uint64 // place in the cell's order of acceptance
	Revision uint64 // of its beginning; a later one of the record is a proclamation
	Since    int64  // wall milliseconds of its beginning
	Labels   sessions.Labels
	Value    []byte // what it proclaimed last
	Terms
	Stood, Began sessions.Time
}

// Disposable says that the record is worth no more than its history: nobody
// leads, and the last tenure ended in order.
func (r *Record) Disposable() bool {
	return r.Leader == nil && (r.Last.Ended == locks.Released || r.Last.Ended == locks.Closed)
}

const recordVersion = 1

// Append spells the record in bytes.
func (r *Record) Append(b []byte) []byte {
	b = append(b, recordVersion)
	b = record.AppendUint(b, r.Term)
	b = record.AppendUint(b, r.Token)
	b = record.AppendBool(b, r.Leader != nil)
	if l := r.Leader; l != nil {
		b = record.AppendUint(b, l.Claim.Session)
		b = record.AppendUint(b, l.Claim.Sequence)
		b = record.AppendUint(b, l.Order)
		b = record.AppendUint(b, l.Revision)
		b = record.AppendInt(b, l.Since)
		b = l.Labels.Append(b)
		b = record.AppendString(b, l.Value)
		b = l.Terms.append(b)
		b = record.AppendInt(b, l.Stood)
		b = record.AppendInt(b, l.Began)
	}
	b = record.AppendUint(b, r.Last.Token)
	b = record.AppendUint(b, r.Last.Session)
	b = append(b, byte(r.Last.Ended))
	b = record.AppendString(b, r.Last.Value)
	return record.AppendBool(b, r.Ended)
}

// ReadRecord reads what Append wrote.
func ReadRecord(data []byte) (Record, error) {
	r := record.NewReader(data)
	if v := r.Byte(); v != recordVersion {
		r.Fail("version %d of an election: %d is known", v, recordVersion)
	}
	rec := Record{Term: r.Uint(), Token: locks.Token(r.Uint())}
	if r.Bool() {
		l := &Leader{Claim: locks.ClaimID{Session: sessions.ID(r.Uint()), Sequence: sessions.Sequence(r.Uint())}}
		l.Order, l.Revision, l.Since = r.Uint(), r.Uint(), r.Int()
		l.Labels = sessions.ReadLabels(r)
		l.Value = append([]byte(nil), r.Bytes()...)
		l.Terms = readTerms(r)
		l.Stood, l.Began = readTime(r), readTime(r)
		rec.Leader = l
	}
	rec.Last = locks.Tenure{
		Token: locks.Token(r.Uint()), Session: sessions.ID(r.Uint()), Ended: locks.Why(r.Byte()),
		Value: append([]byte(nil), r.Bytes()...),
	}
	rec.Ended = r.Bool()
	if rec.Term == 0 || rec.Token == 0 {
		r.Fail("an election with term %d and token %d was never led", rec.Term, rec.Token)
	}
	if err := r.Done(); err != nil {
		return Record{}, err
	}
	return rec, nil
}
