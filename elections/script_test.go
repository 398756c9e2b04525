package elections

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// TestScripts runs testdata/*.txt. Each directive but show, list, history and
// restore is a step; time is in milliseconds. Run with -rewrite to take what the
// table says as what it should say.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if strings.Contains(path, "fuzz") || strings.Contains(path, "rapid") {
			return
		}
		s := newScript()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out := s.run(t, d)
			if err := s.table.Check(s.now, func(sessions.ID) bool { return true }); err != nil {
				t.Fatal(d.Pos, err)
			}
			if out == "" {
				return "ok\n"
			}
			return out
		})
	})
}

var scriptLimits = locks.Limits{Claims: 100, ClaimsOfSession: 8, Waiters: 4}

// cell is a table with what the store would have of it.
type cell struct {
	table    *Table
	token    locks.Token
	now      sessions.Time
	revision uint64
	store    keeper
}

// keeper is a Sink that keeps everything, as the store would.
type keeper struct {
	records map[locks.Name][]byte
	rows    map[uint64][]byte
	past    []change
	changed []locks.Name
	granted []*Candidate
}

// change is a record as it was written once.
type change struct {
	name     locks.Name
	revision uint64
	millis   int64
	record   Record
}

func newCell(limits locks.Limits) *cell {
	c := &cell{revision: 1, store: keeper{records: map[locks.Name][]byte{}, rows: map[uint64][]byte{}}}
	c.table = NewTable(limits, &c.token)
	c.table.Recall = c.store.recall
	return c
}

func (k *keeper) Election(e *Election) {
	r := e.Record()
	k.records[e.Name] = r.Append(nil)
	k.changed = append(k.changed, e.Name)
}
func (k *keeper) Granted(c *Candidate)           { k.granted = append(k.granted, c) }
func (k *keeper) Queue(order uint64, row []byte) { k.rows[order] = slices.Clone(row) }
func (k *keeper) Settle(order uint64)            { delete(k.rows, order) }

func (k *keeper) recall(n locks.Name) (Record, bool) {
	r, err := ReadRecord(k.records[n])
	return r, err == nil
}

// step does something at the next revision, and says whether it took it.
func (c *cell) step(do func(at locks.Step)) (wrote bool) {
	do(locks.Step{Now: c.now, Revision: c.revision + 1, Millis: int64(c.now / sessions.Millisecond)})
	c.store.changed, c.store.granted = nil, nil
	c.table.Flush(&c.store)
	if len(c.store.changed) > 0 {
		c.revision++
	}
	for _, n := range c.store.changed {
		r, _ := c.store.recall(n)
		c.store.past = append(c.store.past, change{n, c.revision, int64(c.now / sessions.Millisecond), r})
	}
	return len(c.store.changed) > 0
}

// restored is a table made from what the store has.
func (c *cell) restored(limits locks.Limits) (*Table, error) {
	t := NewTable(limits, &c.token)
	t.Recall = c.store.recall
	r := NewRestorer(t, 0)
	for _, n := range sorted(c.store.records) {
		if err := r.Election(n, c.store.records[n]); err != nil {
			return nil, err
		}
	}
	for _, o := range sorted(c.store.rows) {
		if err := r.Candidate(o, c.store.rows[o]); err != nil {
			return nil, err
		}
	}
	return t, r.Finish(c.table.Order())
}

func sorted[K interface{ ~string | ~uint64 }, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

type script struct {
	*cell
	sequence sessions.Sequence
	tokens   map[string]locks.Token // by election, of the newest leader
}

func newScript() *script {
	return &script{cell: newCell(scriptLimits), tokens: map[string]locks.Token{}}
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	a := args{d}
	name := locks.Name(a.or("name", "a"))
	token := locks.Token(a.number("token", int64(s.tokens[string(name)])))
	session := sessions.ID(a.number("session", 0))
	var out strings.Builder
	say := func(format string, x ...any) { fmt.Fprintf(&out, format+"\n", x...) }
	fail := func(err error) {
		if err != nil {
			say("refused: %v", err)
		}
	}
	over := func(c *Candidate, how string) {
		if c != nil {
			say("session %d, claim %d: %s", c.ID.Session, c.ID.Sequence, how)
		}
	}
	step := func(do func(at locks.Step)) {
		wrote := s.step(do)
		for _, c := range s.store.granted {
			say("session %d, claim %d: leads %s", c.ID.Session, c.ID.Sequence, s.tenure(c))
		}
		if !wrote {
			return
		}
		for _, n := range s.store.changed {
			say("revision %d: %s", s.revision, spell(n, s.store.records[n]))
			r, _ := s.store.recall(n)
			s.tokens[string(n)] = r.Token
		}
	}
	switch d.Cmd {
	case "campaign":
		q := Request{
			Name: name, Value: []byte(a.or("value", "")), Try: a.has("try"), Wait: a.millis("wait"),
			Terms: Terms{Priority: int(a.number("priority", 0)), Preempt: a.has("preempt"), Tenure: a.millis("tenure"), Aging: a.millis("aging")},
		}
		s.sequence++
		q.ID = locks.ClaimID{Session: session, Sequence: s.sequence}
		var c *Candidate
		step(func(at locks.Step) {
			var from *Candidate
			var err error
			c, from, err = s.table.Campaign(at, q)
			fail(err)
			over(from, "pre-empted")
		})
		switch {
		case c == nil:
		case c.Granted():
			say("claim %d leads %s", c.ID.Sequence, s.tenure(c))
		default:
			say("claim %d waits in place %d", c.ID.Sequence, s.table.Position(c))
		}
	case "proclaim":
		step(func(at locks.Step) {
			fail(s.table.Proclaim(at, session, name, token, []byte(a.or("value", ""))))
		})
	case "resign":
		step(func(at locks.Step) { _, err := s.table.Resign(at, session, name, token); fail(err) })
	case "transfer":
		step(func(at locks.Step) {
			_, err := s.table.Transfer(at, session, name, token, sessions.ID(a.number("to", 0)))
			fail(err)
		})
	case "break":
		step(func(at locks.Step) { c, err := s.table.Break(at, name, token); fail(err); over(c, "broken") })
	case "cancel":
		id := locks.ClaimID{Session: session, Sequence: sessions.Sequence(a.number("claim", 0))}
		step(func(at locks.Step) { say("had led: %v", s.table.Cancel(at, s.table.Find(id))) })
	case "end-session":
		step(func(at locks.Step) { s.table.EndSession(at, session, locks.Expired) })
	case "close-session":
		step(func(at locks.Step) { s.table.EndSession(at, session, locks.Closed) })
	case "pass":
		until := s.now + sessions.Duration(a.number("ms", 0))*sessions.Millisecond
		for {
			due, ok := s.table.Due()
			if !ok || due > until {
				break
			}
			s.now = max(s.now, due)
			step(func(at locks.Step) {
				preempted, timedOut := s.table.Expire(at)
				over(preempted, fmt.Sprintf("pre-empted at %d", s.now/sessions.Millisecond))
				over(timedOut, fmt.Sprintf("waited until %d", s.now/sessions.Millisecond))
			})
		}
		s.now = until
	case "show":
		s.show(say, name)
	case "history":
		h := NewHistory(int(a.number("limit", 100)))
		for _, x := range s.store.past {
			if x.name == name && x.revision >= uint64(a.number("from", 0)) {
				h.Add(&x.record, x.revision, x.millis)
			}
		}
		for _, x := range h.Tenures() {
			say("term %d: token %d, session %d, revisions %d to %d, %d ms to %d ms, %v, %q", x.Term, x.Token, x.Session, x.From, x.To, x.Since, x.Until, x.Ended, x.Value)
		}
	case "forget": // what compaction does to free records
		for n, data := range s.store.records {
			if r, _ := ReadRecord(data); r.Disposable() {
				delete(s.store.records, n)
				say("forgotten: %s", n)
			}
		}
	case "restore":
		fresh, err := s.restored(scriptLimits)
		fail(err)
		if err == nil {
			s.table = fresh
		}
	default:
		t.Fatalf("%s: no such directive", d.Pos)
	}
	return out.String()
}

func (s *script) show(say func(string, ...any), n locks.Name) {
	e := s.table.Get(n)
	if e == nil {
		say("nobody leads")
		return
	}
	c := e.Leader()
	say("term %d: session %d leads with token %d since revision %d, %q", e.Term(), c.ID.Session, c.Token, c.Revision, c.Value)
	if at, ok := e.Preemption(); ok {
		say("will be pre-empted at %d", at/sessions.Millisecond)
	}
	s.table.Candidates(e, func(c *Candidate) bool {
		say("%d. session %d, claim %d, priority %d, now %d", s.table.Position(c), c.ID.Session, c.ID.Sequence, c.Priority, c.Effective(s.now))
		return true
	})
}

// tenure is what a new leader is told.
func (s *script) tenure(c *Candidate) string {
	p := s.table.Predecessor(c)
	if p.Token == 0 {
		return fmt.Sprintf("with token %d, the first", c.Token)
	}
	return fmt.Sprintf("with token %d, after session %d with token %d, %v, %q", c.Token, p.Session, p.Token, p.Ended, p.Value)
}

func spell(n locks.Name, data []byte) string {
	r, err := ReadRecord(data)
	if err != nil {
		return err.Error()
	}
	out := fmt.Sprintf("%s: term %d, token %d, ", n, r.Term, r.Token)
	if l := r.Leader; l != nil {
		out += fmt.Sprintf("led by session %d since revision %d, %q", l.Claim.Session, l.Revision, l.Value)
	} else {
		out += "nobody leads"
	}
	if r.Ended {
		out += fmt.Sprintf("; session %d with token %d %v, %q", r.Last.Session, r.Last.Token, r.Last.Ended, r.Last.Value)
	}
	return out
}

// args are the arguments of a directive.
type args struct{ d *datadriven.TestData }

func (a args) has(key string) bool { return a.d.HasArg(key) }

func (a args) or(key, otherwise string) (v string) {
	if !a.has(key) {
		return otherwise
	}
	for _, x := range a.d.CmdArgs {
		if x.Key == key && len(x.Vals) > 0 {
			return x.Vals[0]
		}
	}
	return ""
}

func (a args) number(key string, otherwise int64) int64 {
	if !a.has(key) {
		return otherwise
	}
	var n int64
	if _, err := fmt.Sscan(a.or(key, ""), &n); err != nil {
		panic(fmt.Sprintf("%s: argument %s: %v", a.d.Pos, key, err))
	}
	return n
}

func (a args) millis(key string) sessions.Duration {
	return sessions.Duration(a.number(key, 0)) * sessions.Millisecond
}
