package store

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestScripts runs testdata/*.txt. Each directive is a revision of its own,
// unless it only reads; arguments of the form name=value set fields. Run with
// -rewrite to take what the store says as what it should say.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if strings.Contains(path, "fuzz") {
			return
		}
		s := &script{store: New(testOptions), millis: 1000}
		defer func() { s.store.Close() }()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out := s.run(d)
			if err := s.store.Check(); err != nil {
				t.Fatal(d.Pos, err)
			}
			return out
		})
	})
}

type script struct {
	store  *Store
	walk   *Snapshot
	walked []byte
	millis int64
}

// write runs fn as one revision of one batch.
func (s *script) write(fn func(*Tx) string) string {
	tx := s.store.Begin()
	s.millis++
	tx.BeginRevision(s.millis)
	out := fn(tx)
	rev, wrote := tx.EndRevision()
	tx.Commit()
	for i := range tx.Events() {
		out += event(&tx.Events()[i]) + "\n"
	}
	if wrote {
		return out + fmt.Sprintf("revision %d\n", rev)
	}
	return out + "nothing written\n"
}

func (s *script) run(d *datadriven.TestData) string {
	a := args(d)
	switch d.Cmd {
	case "put":
		return s.write(func(tx *Tx) string {
			_, err := tx.Put(a.space(), a.text("key"), []byte(a.text("value")), a.number("session"))
			return failure(err)
		})
	case "delete":
		return s.write(func(tx *Tx) string {
			return fmt.Sprintf("deleted %d\n", len(tx.DeleteRange(a.space(), a.text("key"), a.text("end"))))
		})
	case "fill": // n puts, a revision each
		for i := range a.number("n") {
			s.write(func(tx *Tx) string {
				_, err := tx.Put(a.space(), a.text("key")+strconv.Itoa(int(i%10)), []byte(a.text("value")), 0)
				return failure(err)
			})
		}
		return s.status()
	case "get":
		r, ok := s.store.Get(a.space(), a.text("key"))
		if !ok {
			return "none\n"
		}
		return record(r) + "\n"
	case "range":
		r, err := s.store.Range(a.query())
		return failure(err) + found(&r)
	case "txn":
		return s.write(func(tx *Tx) string {
			txn := parseTxn(d.Input)
			txn.Held = held
			txn.Alive = func(session uint64) bool { return session < 100 }
			r, err := tx.Txn(*txn)
			if err != nil {
				return failure(err)
			}
			return outcome(r, "")
		})
	case "since":
		events, next, err := s.store.Since(a.number("from"), int(a.or("events", 1000)), int(a.or("bytes", 1<<20)))
		out := failure(err)
		for i := range events {
			out += event(&events[i]) + "\n"
		}
		return out + fmt.Sprintf("next %d\n", next)
	case "compact":
		tx := s.store.Begin()
		defer tx.Commit()
		return failure(tx.Compact(a.number("revision"))) + s.status()
	case "autocompact":
		tx := s.store.Begin()
		defer tx.Commit()
		s.millis += int64(a.number("millis"))
		tx.AutoCompact(s.millis)
		return s.status()
	case "set":
		tx := s.store.Begin()
		tx.Set(Table(a.text("table")[0]), []byte(a.text("key")), []byte(a.text("value")))
		tx.Commit()
		return ""
	case "unset":
		tx := s.store.Begin()
		defer tx.Commit()
		return fmt.Sprintln(tx.Unset(Table(a.text("table")[0]), []byte(a.text("key"))))
	case "rows":
		var out string
		s.store.Rows(Table(a.text("table")[0]), []byte(a.text("key")), func(key, value string) bool {
			out += fmt.Sprintf("%s: %s\n", key, value)
			return true
		})
		return out
	case "owned":
		return fmt.Sprintf("%q\n", s.store.Owned(a.number("session")))
	case "status":
		return s.status()
	case "snapshot":
		s.walk, s.walked = s.store.Snapshot(), nil
		return ""
	case "restore": // walks the snapshot to its end and goes on with what it held
		for done := false; !done; {
			var piece []byte
			piece, done = s.walk.Next(nil)
			s.walked = append(s.walked, piece...)
		}
		s.walk.Close()
		r, err := Restore(testOptions, bytes.NewReader(s.walked))
		if err != nil {
			return failure(err)
		}
		s.store.Close()
		s.store = r
		return s.status()
	}
	return "unknown directive\n"
}

func (s *script) status() string {
	return fmt.Sprintf("revision %d, compacted %d, %d bytes, full %v, %d keys, %d locks\n",
		s.store.Revision(), s.store.Compacted(), s.store.Bytes(), s.store.Full(), s.store.Len(Keys), s.store.Len(Locks))
}

func failure(err error) string {
	if err == nil {
		return ""
	}
	return "error: " + err.Error() + "\n"
}

func record(r Record) string {
	if !r.Exists() {
		return "none"
	}
	return fmt.Sprintf("%.20s=%.20q create %d mod %d version %d session %d", r.Key, r.Value, r.Create, r.Mod, r.Version, r.Session)
}

func event(e *Event) string {
	if e.Deleted {
		return fmt.Sprintf("  delete %s %.20s at %d, %d ms; was %s", e.Space, e.Record.Key, e.Revision(), e.Millis, record(e.Prev))
	}
	return fmt.Sprintf("  put %s %s, %d ms; was %s", e.Space, record(e.Record), e.Millis, record(e.Prev))
}

func found(r *RangeResult) string {
	out := fmt.Sprintf("count %d more %v at %d\n", r.Count, r.More, r.Revision)
	for _, one := range r.Records {
		out += "  " + record(one) + "\n"
	}
	return out
}

func outcome(r TxnResult, indent string) string {
	out := fmt.Sprintf("%ssucceeded %v\n", indent, r.Succeeded)
	for _, o := range r.Results {
		switch {
		case o.Range != nil:
			out += indent + "range: " + found(o.Range)
		case o.Put != nil:
			out += indent + "put: was " + record(o.Put.Prev) + "\n"
		case o.Delete != nil:
			out += fmt.Sprintf("%sdelete: %d, %d told\n", indent, o.Delete.Deleted, len(o.Delete.Prevs))
		case o.Txn != nil:
			out += outcome(*o.Txn, indent+"  ")
		}
	}
	return out
}

// arguments of a directive or of a line of a transaction.
type arguments map[string]string

func args(d *datadriven.TestData) arguments {
	a := arguments{}
	for _, arg := range d.CmdArgs {
		a[arg.Key] = strings.Join(arg.Vals, ",")
	}
	return a
}

// text of an argument; "zero" is a zero byte and *n so many bytes.
func (a arguments) text(name string) string {
	s := a[name]
	if s == "zero" {
		return Everything
	}
	if n, ok := strings.CutPrefix(s, "*"); ok {
		size, _ := strconv.Atoi(n)
		return strings.Repeat("x", size)
	}
	return s
}

func (a arguments) number(name string) uint64 { return a.or(name, 0) }

func (a arguments) or(name string, other uint64) uint64 {
	n, err := strconv.ParseUint(a[name], 10, 64)
	if err != nil {
		return other
	}
	return n
}

func (a arguments) has(name string) bool { _, ok := a[name]; return ok }

func (a arguments) space() Space {
	switch a["space"] {
	case "locks":
		return Locks
	case "elections":
		return Elections
	case "", "keys":
		return Keys
	}
	return Space(9)
}

func (a arguments) query() Query {
	order := map[string]Order{"version": ByVersion, "create": ByCreate, "mod": ByMod, "value": ByValue, "none": 9}
	return Query{
		Space: a.space(), Key: a.text("key"), End: a.text("end"), Revision: a.number("revision"), Limit: a.number("limit"),
		KeysOnly: a.has("keys-only"), CountOnly: a.has("count-only"), NoCount: a.has("no-count"),
		Order: order[a["order"]], Descending: a.has("descending"),
		MinMod: a.number("min-mod"), MaxMod: a.number("max-mod"),
		MinCreate: a.number("min-create"), MaxCreate: a.number("max-create"),
	}
}

// parseTxn reads a transaction, a line each: "if" for a compare, "then" or
// "else" before an operation, "txn … end" around a nested transaction.
func parseTxn(input string) *Txn {
	p := &txnParser{lines: strings.Split(strings.TrimSpace(input), "\n")}
	return p.txn()
}

type txnParser struct{ lines []string }

func (p *txnParser) txn() *Txn {
	txn := &Txn{}
	for len(p.lines) > 0 {
		words := strings.Fields(p.lines[0])
		p.lines = p.lines[1:]
		if len(words) == 0 {
			continue
		}
		if words[0] == "end" {
			break
		}
		if words[0] == "if" {
			txn.Compares = append(txn.Compares, parseCompare(words[1:]))
			continue
		}
		branch := &txn.Success
		if words[0] == "else" {
			branch = &txn.Failure
		}
		a := parseArguments(words[2:])
		var op Op
		switch words[1] {
		case "put":
			op.Put = &PutOp{
				Key: a.text("key"), Value: []byte(a.text("value")), Session: a.number("session"),
				Prev: a.has("prev"), KeepValue: a.has("keep-value"), KeepSession: a.has("keep-session"),
			}
		case "delete":
			op.Delete = &DeleteOp{Key: a.text("key"), End: a.text("end"), Prev: a.has("prev")}
		case "range":
			q := a.query()
			op.Range = &q
		case "txn":
			op.Txn = p.txn()
		}
		*branch = append(*branch, op)
		for range a.number("times") {
			*branch = append(*branch, op)
		}
	}
	return txn
}

func parseArguments(words []string) arguments {
	a := arguments{}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		a[name] = value
	}
	return a
}

// parseCompare reads "value|version|create|mod|session|held =|>|<|!= key=… …".
func parseCompare(words []string) Compare {
	targets := map[string]Target{
		"value": TargetValue, "version": TargetVersion, "create": TargetCreate,
		"mod": TargetMod, "session": TargetSession, "held": TargetHeldLock, "nothing": 99,
	}
	relation := map[string]Relation{"=": Equal, ">": Greater, "<": Less, "!=": NotEqual}
	a := parseArguments(words[2:])
	return Compare{
		Target: targets[words[0]], Relation: relation[words[1]], Key: a.text("key"), End: a.text("end"),
		Value: a.text("value"), Number: a.number("number"),
	}
}
