package machine

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// TestScripts runs testdata/*.txt. Each block is one step:
//
//	limits sessions=N claims=N of-session=N waiters=N quota=BYTES   before all else
//	entry [elapsed=MS] [heard=SESSION:NUMBER,…] [repeat=N]   one entry of the log; a command a line:
//	    open NONCE ttl=MS [label=KEY:VALUE]
//	    close SESSION | end SESSION REASON
//	    acquire SESSION SEQUENCE LOCK[:shared|:PERMITS/CAPACITY]… [try] [wait=MS] [delay=MS] [acked=N] [label=…]
//	    release SESSION SEQUENCE LOCK TOKEN [acked=N]
//	    cancel SESSION SEQUENCE CLAIM [acked=N]
//	    break LOCK TOKEN REASON
//	    campaign SESSION SEQUENCE ELECTION VALUE [priority=N] [preempt] [tenure=MS] [aging=MS] [try] [wait=MS] [acked=N]
//	    proclaim SESSION SEQUENCE ELECTION TOKEN VALUE      these three with session and sequence 0: an operator's
//	    resign SESSION SEQUENCE ELECTION TOKEN [REASON]
//	    transfer SESSION SEQUENCE ELECTION TOKEN TO [REASON]
//	    put SESSION SEQUENCE KEY VALUE [owner=SESSION] [if=LOCK:TOKEN]   session and sequence 0: plainly
//	    delete KEY | compact REVISION | hash | garbage
//	restart   the state is written to a snapshot and read again
//	show      sessions, locks, elections and keys as they are
//
// What an entry gave follows it, in order: replies, then events; nothing, when it
// is repeated.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			s := &script{}
			s.m = New(s.limits)
			defer func() { s.m.Close() }()
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
				s.t = t
				out := s.step(d)
				if err := s.m.Check(); err != nil {
					t.Fatalf("%s: %v", d.Pos, err)
				}
				return out
			})
		})
	}
}

type script struct {
	t      *testing.T
	m      *Machine
	limits Limits
	index  uint64
	n      uint64
}

func (s *script) step(d *datadriven.TestData) string {
	switch d.Cmd {
	case "limits":
		s.limits = Limits{
			Sessions: argument(d, "sessions"), Claims: argument(d, "claims"),
			ClaimsOfSession: argument(d, "of-session"), Waiters: argument(d, "waiters"),
			Store: store.Options{QuotaBytes: int64(argument(d, "quota"))},
		}
		s.m.Close()
		s.m = New(s.limits)
		return ""
	case "entry":
		return s.entry(d)
	case "restart":
		index, term := s.m.Applied()
		fresh := New(s.limits)
		if err := fresh.Restore(bytes.NewReader(everything(s.m)), index, term); err != nil {
			s.t.Fatal(err)
		}
		s.m.Close()
		s.m = fresh
		return fmt.Sprintf("entry %d, cluster time %d ms, revision %d, token %d\n", index, s.m.Now()/sessions.Millisecond, s.m.Store().Revision(), s.m.Token())
	case "show":
		return s.show()
	}
	s.t.Fatalf("%s: %q is no step", d.Pos, d.Cmd)
	return ""
}

func argument(d *datadriven.TestData, key string) (n int) {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			n, _ = strconv.Atoi(a.Vals[0])
		}
	}
	return n
}

func (s *script) entry(d *datadriven.TestData) string {
	h := Header{Millis: 1_000_000 + int64(s.index)*100, Elapsed: sessions.Duration(argument(d, "elapsed")) * sessions.Millisecond}
	for _, a := range d.CmdArgs {
		if a.Key == "heard" {
			for _, v := range a.Vals {
				id, n, _ := strings.Cut(v, ":")
				h.Heard = append(h.Heard, Heard{sessions.ID(number(id)), number(n)})
			}
		}
	}
	b := h.Append(nil)
	first := s.n
	for _, line := range slices.Repeat(strings.Split(strings.TrimSpace(d.Input), "\n"), max(1, argument(d, "repeat"))) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		s.n++
		if line == "garbage" {
			b = append(b, 0, 0, 0, 3, 99, 1, byte(s.n))
			continue
		}
		b = Command{Origin: 1, Request: s.n, Op: parse(strings.Fields(line))}.Append(b)
	}
	s.index++
	s.m.Begin()
	if err := s.m.Apply(s.index, 1, b); err != nil {
		s.t.Fatal(err)
	}
	out := s.m.Commit()
	if d.HasArg("repeat") {
		return ""
	}
	var l strings.Builder
	for _, r := range out.Results {
		fmt.Fprintf(&l, "%d: %s\n", r.Request-first, reply(r.Reply))
	}
	for _, e := range out.Events {
		fmt.Fprintf(&l, "→ session %d: %s\n", e.Session, event(e))
	}
	return l.String()
}

func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

// options takes key=value words and flags out of words.
func options(words []string) (rest []string, o map[string]string) {
	o = map[string]string{}
	for _, w := range words {
		if key, value, ok := strings.Cut(w, "="); ok || w == "try" || w == "preempt" {
			o[key] = value
		} else {
			rest = append(rest, w)
		}
	}
	return rest, o
}

func parse(words []string) Op {
	w, o := options(words)
	at := func(i int) uint64 {
		if i < len(w) {
			return number(w[i])
		}
		return 0
	}
	request := func() Request {
		return Request{Session: sessions.ID(at(1)), Sequence: sessions.Sequence(at(2)), Acked: sessions.Sequence(number(o["acked"]))}
	}
	var labels sessions.Labels
	if key, value, ok := strings.Cut(o["label"], ":"); ok {
		labels = sessions.Labels{{Key: key, Value: value}}
	}
	switch w[0] {
	case "open":
		op := &OpenSession{TTL: number(o["ttl"]), Labels: labels}
		copy(op.Nonce[:], w[1])
		return op
	case "close":
		return &EndSession{Session: sessions.ID(at(1)), Why: locks.Closed}
	case "end":
		return &EndSession{Session: sessions.ID(at(1)), Why: locks.Ended, Reason: strings.Join(w[2:], " ")}
	case "acquire":
		_, try := o["try"]
		op := &Acquire{Request: request(), Try: try, Wait: number(o["wait"]), Delay: number(o["delay"]), Labels: labels}
		for _, x := range w[3:] {
			op.Items = append(op.Items, item(x))
		}
		return op
	case "release":
		return &Release{Request: request(), Name: locks.Name(w[3]), Token: locks.Token(at(4))}
	case "cancel":
		return &Cancel{Request: request(), Claim: sessions.Sequence(at(3))}
	case "break":
		return &Break{Name: locks.Name(w[1]), Token: locks.Token(at(2)), Reason: strings.Join(w[3:], " ")}
	case "campaign":
		op := &Campaign{
			Request: request(), Name: locks.Name(w[3]), Value: []byte(w[4]), Tenure: number(o["tenure"]), Aging: number(o["aging"]), Wait: number(o["wait"]),
		}
		op.Priority, _ = strconv.ParseInt(o["priority"], 10, 64)
		_, op.Try = o["try"]
		_, op.Preempt = o["preempt"]
		return op
	case "proclaim":
		return &Proclaim{Leadership: Leadership{request(), locks.Name(w[3]), locks.Token(at(4))}, Value: []byte(w[5])}
	case "resign":
		return &Resign{Leadership: Leadership{request(), locks.Name(w[3]), locks.Token(at(4))}, Reason: strings.Join(w[5:], " ")}
	case "transfer":
		return &Transfer{Leadership: Leadership{request(), locks.Name(w[3]), locks.Token(at(4))}, To: sessions.ID(at(5)), Reason: strings.Join(w[6:], " ")}
	case "put":
		op := &Txn{Request: request()}
		op.Txn.Success = []store.Op{{Put: &store.PutOp{Key: w[3], Value: []byte(w[4]), Session: number(o["owner"])}}}
		if lock, token, ok := strings.Cut(o["if"], ":"); ok {
			op.Txn.Compares = []store.Compare{{Target: store.TargetHeldLock, Key: lock, Number: number(token)}}
		}
		return op
	case "delete":
		return &Txn{Txn: store.Txn{Success: []store.Op{{Delete: &store.DeleteOp{Key: w[1]}}}}}
	case "compact":
		return &Compact{Revision: at(1)}
	case "hash":
		return &Hash{}
	}
	panic(fmt.Sprintf("%q is no command", words))
}

func item(s string) locks.Item {
	n, how, _ := strings.Cut(s, ":")
	it := locks.Item{Name: locks.Name(n)}
	switch permits, capacity, ok := strings.Cut(how, "/"); {
	case how == "shared":
		it.Mode = locks.Shared
	case ok:
		it.Mode, it.Permits, it.Capacity = locks.Permits, uint32(number(permits)), uint32(number(capacity))
	}
	return it
}

var codes = map[Code]string{
	InvalidArgument: "INVALID_ARGUMENT", SessionNotFound: "SESSION_NOT_FOUND", SequenceTooOld: "SEQUENCE_TOO_OLD", Held: "HELD",
	WaitTimedOut: "WAIT_TIMED_OUT", ClaimCancelled: "CLAIM_CANCELLED", NotHolder: "NOT_HOLDER", TokenMismatch: "TOKEN_MISMATCH",
	LimitReached: "LIMIT_REACHED", NoSpace: "NO_SPACE", Compacted: "COMPACTED", FutureRevision: "FUTURE_REVISION",
	NotFound: "NOT_FOUND", CapacityMismatch: "CAPACITY_MISMATCH", ClaimBroken: "CLAIM_BROKEN",
	ClaimTransferred: "CLAIM_TRANSFERRED", AgingMismatch: "AGING_MISMATCH",
}

func reply(p Reply) string {
	var l []string
	add := func(ok bool, format string, a ...any) {
		if ok {
			l = append(l, fmt.Sprintf(format, a...))
		}
	}
	switch {
	case p.Code != OK:
		add(true, "%s: %s;", codes[p.Code], p.Message)
		add(p.Session != 0, "held by session %d, token %d, since %d, labels %v, place %d;", p.Session, p.Token, p.Since, p.Labels, p.Position)
	case p.Claim != nil:
		add(true, "%s;", claimed(p.Claim))
	case p.Txn != nil:
		add(true, "succeeded %v;", p.Txn.Succeeded)
	case p.TTL > 0:
		add(true, "session %d, TTL %d ms;", p.Session, p.TTL)
	default:
		add(true, "ok;")
		add(p.WasGranted, "it had been granted;")
		add(p.Token != 0, "token %d leads;", p.Token)
	}
	add(true, "revision %d", p.Revision)
	return strings.Join(l, " ")
}

func claimed(c *Claimed) string {
	if !c.Granted {
		return fmt.Sprintf("queued %v, place %d", c.Names, c.Position)
	}
	s := fmt.Sprintf("granted %v, token %d, at revision %d", c.Names, c.Token, c.Revision)
	if c.Election {
		s += fmt.Sprintf(", term %d", c.Term)
	}
	if p := c.Predecessor; p.Token != 0 {
		s += fmt.Sprintf(", after token %d of session %d (%v)", p.Token, p.Session, p.Ended)
		if c.Election {
			s += fmt.Sprintf(" with %q", p.Value)
		}
	}
	return s
}

func event(e Event) string {
	switch e.Kind {
	case Alive:
		return fmt.Sprintf("keep-alive %d was heard; revision %d", e.Number, e.Revision)
	case ClaimGranted, ClaimOver:
		return fmt.Sprintf("claim %d: %s", e.Sequence, reply(*e.Reply))
	}
	if e.Why == locks.NotEnded {
		return fmt.Sprintf("not known; revision %d", e.Revision)
	}
	return strings.TrimSpace(fmt.Sprintf("over, %v; revision %d %s", e.Why, e.Revision, e.Reason))
}

func (s *script) show() string {
	var l strings.Builder
	fmt.Fprintf(&l, "cluster time %d ms, revision %d, token %d\n", s.m.Now()/sessions.Millisecond, s.m.Store().Revision(), s.m.Token())
	for _, x := range s.m.SessionsAfter(0, 100) {
		fmt.Fprintf(&l, "session %d: %d of %d ms left\n", x.ID, x.Remaining(s.m.Now())/sessions.Millisecond, x.TTL/sessions.Millisecond)
	}
	s.m.Store().Visit(store.Query{Space: store.Locks, End: store.Everything}, func(rec store.Record) bool {
		r, err := locks.ReadRecord([]byte(rec.Value))
		if err != nil {
			s.t.Fatal(err)
		}
		fmt.Fprintf(&l, "lock %s: revision %d, version %d, newest token %d", rec.Key, rec.Mod, rec.Version, r.Token)
		for _, h := range r.Holders {
			fmt.Fprintf(&l, ", held by session %d with token %d", h.Claim.Session, h.Token)
		}
		if r.Delayed != 0 {
			fmt.Fprintf(&l, ", delayed until %d ms", r.Delayed/sessions.Millisecond)
		}
		if r.Last.Token != 0 {
			fmt.Fprintf(&l, ", last was token %d (%v)", r.Last.Token, r.Last.Ended)
		}
		l.WriteByte('\n')
		return true
	})
	for _, n := range s.m.Locks().Names(func(locks.Name) bool { return true }) {
		s.m.Locks().Get(n).Waiters(func(c *locks.Claim, it locks.Item) bool {
			fmt.Fprintf(&l, "lock %s: claim %d of session %d waits\n", n, c.ID.Sequence, c.ID.Session)
			return true
		})
	}
	s.m.Store().Visit(store.Query{Space: store.Elections, End: store.Everything}, func(rec store.Record) bool {
		v, _ := s.m.ElectionOf(rec, 100)
		fmt.Fprintf(&l, "election %s: revision %d, version %d, term %d, newest token %d", v.Name, v.Mod, rec.Version, v.Record.Term, v.Record.Token)
		if x := v.Record.Leader; x != nil {
			fmt.Fprintf(&l, ", led by session %d with %q", x.Claim.Session, x.Value)
		}
		if v.Preempt != 0 {
			fmt.Fprintf(&l, ", will be pre-empted at %d ms", v.Preempt/sessions.Millisecond)
		}
		if p := v.Record.Last; p.Token != 0 {
			fmt.Fprintf(&l, ", last was token %d (%v)", p.Token, p.Ended)
		}
		l.WriteByte('\n')
		for _, c := range v.Standing {
			fmt.Fprintf(&l, "election %s: %d. claim %d of session %d waits, priority %d\n", v.Name, c.Position, c.ID.Sequence, c.ID.Session, c.Effective)
		}
		return true
	})
	s.m.Store().Visit(store.Query{Space: store.Keys, End: store.Everything}, func(rec store.Record) bool {
		fmt.Fprintf(&l, "key %s: %q, revision %d, owner %d\n", rec.Key, rec.Value, rec.Mod, rec.Session)
		return true
	})
	return l.String()
}
