package machine

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// give applies one entry with commands and returns the replies.
func give(t *testing.T, m *Machine, ops ...Op) []Reply {
	t.Helper()
	b := (&Header{}).Append(nil)
	for i, op := range ops {
		b = Command{Origin: 1, Request: uint64(i + 1), Op: op}.Append(b)
	}
	index, term := m.Applied()
	m.Begin()
	if err := m.Apply(index+1, term, b); err != nil {
		t.Fatal(err)
	}
	var l []Reply
	for _, r := range m.Commit().Results {
		l = append(l, r.Reply)
	}
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	return l
}

func newMachine(t *testing.T) *Machine {
	m := New(Limits{})
	t.Cleanup(func() { m.Close() })
	give(t, m, &OpenSession{Nonce: sessions.Nonce{1}, TTL: 10_000})
	return m
}

// TestVersion: an entry of another version is the one thing that is refused, and
// it leaves no trace.
func TestVersion(t *testing.T) {
	m := newMachine(t)
	m.Begin()
	err := m.Apply(2, 1, []byte{Version + 1, 0})
	m.Commit()
	if !errors.Is(err, ErrVersion) {
		t.Fatal(err)
	}
	if index, _ := m.Applied(); index != 1 {
		t.Fatal(index)
	}
}

// TestMalformedHeader: an entry whose header cannot be read changes nothing but
// the count of them, and does not move time.
func TestMalformedHeader(t *testing.T) {
	m := newMachine(t)
	for i, header := range [][]byte{
		{Version},
		(&Header{Elapsed: -1}).Append(nil),
		(&Header{Elapsed: MaxElapsed + 1}).Append(nil),
		(&Header{Elapsed: 5, Heard: []Heard{{0, 1}}}).Append(nil),
		(&Header{Elapsed: 5, Heard: []Heard{{2, 1}, {1, 1}}}).Append(nil),
	} {
		m.Begin()
		if err := m.Apply(uint64(i+2), 1, Command{Op: &EndSession{Session: 1, Why: locks.Closed}}.Append(header)); err != nil {
			t.Fatal(err)
		}
		m.Commit()
		if m.Malformed() != uint64(i+1) || m.Now() != 0 || m.Sessions().Len() != 1 {
			t.Fatalf("header %x: %d malformed, time %d, %d sessions", header, m.Malformed(), m.Now(), m.Sessions().Len())
		}
	}
}

// TestNewState: a state to which nothing has happened can be written and read too.
func TestNewState(t *testing.T) {
	a, b := New(Limits{}), New(Limits{})
	defer func() { a.Close(); b.Close() }()
	for _, at := range []uint64{0, 1} {
		if at > 0 {
			if err := a.Restore(strings.NewReader(""), at, at); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Restore(bytes.NewReader(everything(a)), at, at); err != nil {
			t.Fatal(err)
		}
		if a.Store().Hash() != b.Store().Hash() {
			t.Fatal("two states")
		}
		if err := b.Restore(bytes.NewReader(everything(a)), at+1, at); err == nil {
			t.Fatal("the state of another entry was taken")
		}
	}
}

// TestLargeReply: a reply that is too large to be remembered is given once, and a
// repetition is told that it is not there; the request does not happen again.
func TestLargeReply(t *testing.T) {
	m := newMachine(t)
	big := store.Op{Put: &store.PutOp{Key: "big", Value: make([]byte, 300<<10)}}
	give(t, m, &Txn{Txn: store.Txn{Success: []store.Op{big}}})
	o := &Txn{Request: Request{1, 1, 0}, Txn: store.Txn{Success: []store.Op{
		{Range: &store.Query{Key: "big"}}, {Put: &store.PutOp{Key: "k"}},
	}}}
	p := give(t, m, o, o)
	if p[0].Code != OK || len(p[0].Txn.Results[0].Range.Records[0].Value) != 300<<10 {
		t.Fatal(p[0].Code)
	}
	if p[1].Code != SequenceTooOld || p[1].Revision != p[0].Revision || m.Store().Revision() != p[0].Revision {
		t.Fatalf("%+v", p[1])
	}
}

// TestTransactionBudget: a transaction that asks for too much is refused, says
// so, and leaves nothing; asked again, it has the same answer.
func TestTransactionBudget(t *testing.T) {
	m := newMachine(t)
	var gets []store.Op
	for i := range 3 {
		key := string(rune('a' + i))
		give(t, m, &Txn{Txn: store.Txn{Success: []store.Op{{Put: &store.PutOp{Key: key, Value: make([]byte, store.MaxReturned/3)}}}}})
		gets = append(gets, store.Op{Range: &store.Query{Key: key}})
	}
	revision := m.Store().Revision()
	put := store.Op{Put: &store.PutOp{Key: "d"}}
	o := &Txn{Request: Request{1, 1, 0}, Txn: store.Txn{Success: append([]store.Op{put}, gets...)}}
	for _, p := range give(t, m, o, o) {
		if p.Code != LimitReached || !strings.Contains(p.Message, "at most") || !strings.Contains(p.Message, "nothing happened") {
			t.Errorf("%v: %s", p.Code, p.Message)
		}
	}
	if now := m.Store().Revision(); now != revision {
		t.Errorf("revision %d, want %d", now, revision)
	}
	o = &Txn{Request: Request{1, 2, 0}, Txn: store.Txn{Success: append([]store.Op{put}, gets[:2]...)}}
	if p := give(t, m, o); p[0].Code != OK || p[0].Revision != revision+1 {
		t.Errorf("%+v", p[0])
	}
}

// TestRememberedSize: what a result is reckoned to have at least, it has, and not
// much less.
func TestRememberedSize(t *testing.T) {
	r := store.Record{Key: "key", Value: strings.Repeat("v", 50), Create: 2, Mod: 3, Version: 1}
	results := []store.OpResult{
		{Range: &store.RangeResult{Records: []store.Record{r, r}}},
		{Delete: &store.DeleteResult{Prevs: []store.Record{r, r, r}}},
		{Put: &store.PutResult{Prev: r}},
		{Put: &store.PutResult{}},
	}
	result := &store.TxnResult{Results: append(results, store.OpResult{Txn: &store.TxnResult{Results: results}})}
	is := len((&Reply{Txn: result}).append(nil))
	if least := atLeast(result); least > is || least < is*9/10 {
		t.Errorf("at least %d bytes, and it is %d", least, is)
	}
}

// TestReleaseNeverRefused: a session that has acknowledged nothing can give back
// all that it has, and get nothing more.
func TestReleaseNeverRefused(t *testing.T) {
	m := newMachine(t)
	q := sessions.Sequence(0)
	next := func() Request { q++; return Request{1, q, 0} }
	for range 3 {
		p := give(t, m, &Acquire{Request: next(), Items: []locks.Item{{Name: locks.Name(rune('a' + q))}}})
		if p[0].Code != OK {
			t.Fatal(p[0])
		}
	}
	for range sessions.MaxReplies {
		give(t, m, &Release{Request: next(), Name: "z", Token: 99})
	}
	for i, x := range []struct {
		op   Op
		want Code
	}{
		{&Release{Request: next(), Name: "z", Token: 99}, LimitReached},
		{&Acquire{Request: next(), Items: []locks.Item{{Name: "z"}}}, LimitReached},
		{&Cancel{Request: next(), Claim: 77777}, LimitReached},
		{&Release{Request: next(), Name: "c", Token: 2}, OK},
		{&Release{Request: next(), Name: "b", Token: 1}, OK},
		{&Cancel{Request: next(), Claim: 3}, OK},
		{&Release{Request: Request{1, q + 1, q - 1}, Name: "z", Token: 99}, NotHolder},
	} {
		if p := give(t, m, x.op); p[0].Code != x.want {
			t.Fatalf("%d: %+v, code %d is wanted", i, p[0], x.want)
		}
	}
}

// TestManyUnacknowledged: however many claims end unasked while their answers are
// not acknowledged, a late copy of none of them takes effect.
func TestManyUnacknowledged(t *testing.T) {
	m := newMachine(t)
	give(t, m, &Acquire{Request: Request{1, 1, 0}, Items: []locks.Item{{Name: "a"}}})
	var ops []Op
	for q := sessions.Sequence(2); q < 300; q++ {
		ops = append(ops, &Acquire{Request: Request{1, q, 0}, Items: []locks.Item{{Name: "a"}}, Wait: 100})
	}
	give(t, m, ops...)
	m.Begin()
	if err := m.Apply(4, 1, (&Header{Elapsed: sessions.Second}).Append(nil)); err != nil {
		t.Fatal(err)
	}
	m.Commit()
	for _, p := range give(t, m, ops...) {
		if p.Code != WaitTimedOut {
			t.Fatalf("%+v", p)
		}
	}
	if m.Locks().Waiting() != 0 {
		t.Fatal("a late copy waits")
	}
}

// TestSessionsAfter: pages of sessions are in order and without gaps but for those
// that have ended, and there is nothing after the largest id.
func TestSessionsAfter(t *testing.T) {
	a := newApplier(t, 300)
	a.entry = a.h.Append(a.entry[:0])
	for id := sessions.ID(1); id <= 300; id += 3 {
		a.entry = Command{Op: &EndSession{Session: id, Why: locks.Closed}}.Append(a.entry)
	}
	a.apply(t)
	var got []sessions.ID
	for after := sessions.ID(0); ; after = got[len(got)-1] {
		page := a.m.SessionsAfter(after, 7)
		for _, s := range page {
			got = append(got, s.ID)
		}
		if len(page) < 7 {
			break
		}
	}
	for i, id := range got {
		if want := sessions.ID(i/2*3 + i%2 + 2); id != want {
			t.Fatalf("session %d is listed at %d, want %d", id, i, want)
		}
	}
	if len(got) != 200 {
		t.Errorf("%d sessions are listed, want 200", len(got))
	}
	if l := a.m.SessionsAfter(math.MaxUint64, 7); l != nil {
		t.Errorf("%d sessions after the last id", len(l))
	}
}
