package locks

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/conch-lock/conch/sessions"
)

// TestScripts runs testdata/*.txt. Each block is one step of a table, at the time
// it names; what the step changed follows it:
//
//	claim SESSION SEQUENCE LOCK[:shared|:PERMITS/CAPACITY]… [try] [wait=N] [delay=N] [now=N]
//	release SESSION LOCK TOKEN | break LOCK TOKEN | cancel SESSION SEQUENCE
//	end SESSION       the session expires
//	expire now=N      everything due until then happens, one thing after the other
//	restore           a table made of the records and rows written so far takes over
//	show              who holds and who waits
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			s := &script{sink: recorder{records: map[Name][]byte{}, rows: map[uint64][]byte{}}}
			s.table = NewTable(scriptLimits, &s.token)
			s.table.Recall = s.sink.recall
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
				s.t = t
				out := s.step(d)
				if err := s.table.Check(s.now, func(sessions.ID) bool { return true }); err != nil {
					t.Fatalf("%s: %v", d.Pos, err)
				}
				return out
			})
		})
	}
}

var scriptLimits = Limits{Claims: 20, ClaimsOfSession: 10, Waiters: 4}

type script struct {
	t        *testing.T
	table    *Table
	token    Token
	sink     recorder
	now      sessions.Time
	revision uint64
}

func (s *script) step(d *datadriven.TestData) string {
	var words []string
	options := map[string]uint64{}
	for _, a := range d.CmdArgs {
		w := a.Key
		if len(a.Vals) > 0 {
			n, _ := strconv.ParseUint(a.Vals[0], 10, 64)
			options[w] = n
			continue
		}
		words = append(words, w)
	}
	number := func(i int) uint64 {
		n, _ := strconv.ParseUint(words[i], 10, 64)
		return n
	}
	if now, ok := options["now"]; ok {
		s.now = sessions.Time(now)
	}
	s.revision++
	at := Step{Now: s.now, Revision: s.revision}
	var out []string
	add := func(format string, a ...any) { out = append(out, fmt.Sprintf(format, a...)) }
	fail := func(err error) {
		if err != nil {
			add("refused: %v", err)
		}
	}
	switch d.Cmd {
	case "claim":
		q := Request{
			ID:   ClaimID{sessions.ID(number(0)), sessions.Sequence(number(1))},
			Wait: sessions.Duration(options["wait"]), Delay: sessions.Duration(options["delay"]),
		}
		for _, w := range words[2:] {
			if w == "try" {
				q.Try = true
				continue
			}
			q.Items = append(q.Items, item(w))
		}
		c, err := s.table.Claim(at, q)
		switch {
		case err != nil:
			fail(err)
		case c.Granted():
			add("granted, token %d%s", c.Token, after(s.table.Predecessor(c)))
		default:
			add("waits, place %d", s.table.Position(c))
		}
	case "release":
		_, err := s.table.Release(at, sessions.ID(number(0)), Name(words[1]), Token(number(2)))
		fail(err)
	case "break":
		_, err := s.table.Break(at, Name(words[0]), Token(number(1)))
		fail(err)
	case "cancel":
		c := s.table.Find(ClaimID{sessions.ID(number(0)), sessions.Sequence(number(1))})
		add("it had been granted: %v", s.table.Cancel(at, c))
	case "end":
		s.table.EndSession(at, sessions.ID(number(0)), Expired)
	case "expire":
		for due, ok := s.table.Due(); ok && due <= s.now; due, ok = s.table.Due() {
			if c := s.table.Expire(at); c != nil {
				add("at %d: claim %d of session %d waits no more", due, c.ID.Sequence, c.ID.Session)
			} else {
				add("at %d: a delay ends", due)
			}
			s.flush(add)
		}
	case "restore":
		t, err := s.sink.restored(scriptLimits, s.table.Order(), &s.token)
		if err != nil {
			s.t.Fatal(err)
		}
		s.table = t
	case "show":
		s.show(add)
	default:
		s.t.Fatalf("%s: %q is no step", d.Pos, d.Cmd)
	}
	s.flush(add)
	return strings.Join(append(out, ""), "\n")
}

// flush tells who was granted, and what was written.
func (s *script) flush(add func(string, ...any)) {
	s.sink.granted = nil
	w := &writing{recorder: &s.sink}
	s.table.Flush(w)
	for _, id := range s.sink.granted {
		c := s.table.Find(id)
		add("→ claim %d of session %d: granted, token %d%s", id.Sequence, id.Session, c.Token, after(s.table.Predecessor(c)))
	}
	if len(w.names) > 0 {
		add("written: %s", strings.Join(w.names, " "))
	}
}

// writing tells which records are written.
type writing struct {
	*recorder
	names []string
}

func (w *writing) Lock(l *Lock) {
	w.names = append(w.names, string(l.Name))
	w.recorder.Lock(l)
}

func after(t Tenure) string {
	if t.Token == 0 {
		return ""
	}
	return fmt.Sprintf(", after token %d of session %d (%v)", t.Token, t.Session, t.Ended)
}

func item(s string) Item {
	n, how, _ := strings.Cut(s, ":")
	it := Item{Name: Name(n)}
	switch permits, capacity, ok := strings.Cut(how, "/"); {
	case how == "shared":
		it.Mode = Shared
	case ok:
		p, _ := strconv.ParseUint(permits, 10, 32)
		c, _ := strconv.ParseUint(capacity, 10, 32)
		it.Mode, it.Permits, it.Capacity = Permits, uint32(p), uint32(c)
	}
	return it
}

func (s *script) show(add func(string, ...any)) {
	add("%d held, %d waiting", s.table.Locked(), s.table.Waiting())
	for _, n := range s.table.Names(func(Name) bool { return true }) {
		l := s.table.Get(n)
		line := fmt.Sprintf("%s:", n)
		for _, h := range l.Record().Holders {
			line += fmt.Sprintf(" held by %d/%d (%v, token %d)", h.Claim.Session, h.Claim.Sequence, h.Mode, h.Token)
		}
		l.Waiters(func(c *Claim, it Item) bool {
			line += fmt.Sprintf(" awaited by %d/%d (%v)", c.ID.Session, c.ID.Sequence, it.Mode)
			return true
		})
		if l.Delayed() != 0 {
			line += fmt.Sprintf(" delayed until %d", l.Delayed())
		}
		add("%s", line)
	}
}
