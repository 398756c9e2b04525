package sessions

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestScripts runs testdata/*.txt. Each block is one step:
//
//	open NONCE ttl=MS now=MS           request SESSION SEQUENCE [acked=N] [needed]   begin, and keep "reply N"
//	hear SESSION NUMBER now=MS         late SESSION SEQUENCE                         an outcome after the answer
//	end SESSION                        due                                           who ends next
//	restore                            fill SESSION N                                 replies 1 to N are kept
//
// restore makes a table of the rows, which takes over.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			s := &script{table: NewTable(3), rows: map[ID][]byte{}}
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
				out := s.step(t, d)
				s.table.Flush(
					func(id ID, x *Session) {
						s.rows[id] = x.Append(nil)
						out += fmt.Sprintf("row of session %d written\n", id)
					},
					func(id ID) { delete(s.rows, id); out += fmt.Sprintf("row of session %d removed\n", id) })
				if err := s.table.Check(); err != nil {
					t.Fatalf("%s: %v", d.Pos, err)
				}
				return out
			})
		})
	}
}

type script struct {
	table *Table
	rows  map[ID][]byte
}

func (s *script) step(t *testing.T, d *datadriven.TestData) string {
	var words []string
	options := map[string]uint64{}
	for _, a := range d.CmdArgs {
		if len(a.Vals) > 0 {
			options[a.Key], _ = strconv.ParseUint(a.Vals[0], 10, 64)
			continue
		}
		words = append(words, a.Key)
	}
	number := func(i int) uint64 {
		n, _ := strconv.ParseUint(words[i], 10, 64)
		return n
	}
	now := Time(options["now"]) * Millisecond
	switch d.Cmd {
	case "open":
		var nonce Nonce
		copy(nonce[:], words[0])
		x, err := s.table.Open(nonce, Duration(options["ttl"])*Millisecond, nil, now, 1)
		if err != nil {
			return fmt.Sprintf("refused: %v\n", err)
		}
		return fmt.Sprintf("session %d, ends at %d ms\n", x.ID, x.Deadline/Millisecond)
	case "hear":
		if !s.table.Hear(ID(number(0)), now) {
			return "not known\n"
		}
		x := s.table.Get(ID(number(0)))
		return fmt.Sprintf("ends at %d ms\n", x.Deadline/Millisecond)
	case "request":
		id, q := ID(number(0)), Sequence(number(1))
		data, err := s.table.Begin(id, q, Sequence(options["acked"]), slices.Contains(words, "needed"))
		switch {
		case err != nil:
			return fmt.Sprintf("refused: %v\n", err)
		case data != nil:
			return fmt.Sprintf("as before: %s\n", data)
		}
		s.table.Keep(id, q, fmt.Appendf(nil, "reply %d", q))
		return "takes effect\n"
	case "fill":
		for q := range Sequence(number(1)) {
			s.table.Keep(ID(number(0)), q+1, []byte("x"))
		}
		return ""
	case "late":
		s.table.KeepLate(ID(number(0)), Sequence(number(1)), fmt.Appendf(nil, "outcome %d", number(1)))
		return ""
	case "end":
		return fmt.Sprintf("it was there: %v\n", s.table.End(ID(number(0))))
	case "due":
		x := s.table.Due()
		if x == nil {
			return "nobody\n"
		}
		return fmt.Sprintf("session %d at %d ms\n", x.ID, x.Deadline/Millisecond)
	case "restore":
		fresh := NewTable(3)
		fresh.RestoreLast(s.table.Last())
		for id := ID(1); id <= s.table.Last(); id++ {
			if row, ok := s.rows[id]; ok {
				if err := fresh.Restore(id, row); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.table = fresh
		return ""
	}
	t.Fatalf("%s: %q is no step", d.Pos, d.Cmd)
	return ""
}
