package check

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// MostOperations is how many operations a part of a history may have for the
// sceptic: its memory grows with the square.
const MostOperations = 20_000

// Sceptic looks for an order of the operations of each lock, election and key
// that explains the answers, and trusts no revision.
type Sceptic struct {
	// Timeout bounds the search for one part; 0: it has all the time. A search
	// that ends without an answer is reported like a violation.
	Timeout time.Duration
	// Dir is where a picture of a part without an order is written; empty: none is.
	Dir string
}

// Opinion is what the sceptic has to say.
type Opinion struct {
	Violations []Violation
	Operations int            // of the history that took part
	Steps      int            // that were put in order: one for each thing that an operation does something to
	Parts      int            // locks, elections and keys
	Largest    int            // steps of the largest part
	LeftOut    map[string]int // what was not looked at, by why
}

// part is the operations of one lock, election or key.
type part struct {
	name  string
	model *porcupine.Model
	ops   []porcupine.Operation
}

// Check looks at a history.
func (s Sceptic) Check(h *History) Opinion {
	out := Opinion{LeftOut: map[string]int{}}
	r := &reporter{checker: "sceptic"}
	clients := &callers{numbers: map[string]int{}, asked: map[asked]bool{}}
	parts := append(lockParts(h, clients, out.LeftOut), keyParts(h, clients, out.LeftOut)...)
	for i, p := range parts {
		parts[i].ops = nil // one after the other is given up
		out.Parts++
		out.Largest = max(out.Largest, len(p.ops))
		if len(p.ops) > MostOperations {
			r.fail("%s: %d operations are more than %d, and were not put in order", p.name, len(p.ops), MostOperations)
			continue
		}
		out.Steps += len(p.ops)
		switch porcupine.CheckOperationsTimeout(*p.model, p.ops, s.Timeout) {
		case porcupine.Illegal:
			r.fail("%s: no order of its %d operations explains the answers%s", p.name, len(p.ops), s.draw(p))
		case porcupine.Unknown:
			r.fail("%s: whether an order of its %d operations explains the answers was not found out in %v", p.name, len(p.ops), s.Timeout)
		}
	}
	out.Operations, out.Violations = len(clients.asked), r.found
	return out
}

// draw writes a picture and says where it is.
func (s Sceptic) draw(p part) string {
	if s.Dir == "" {
		return ""
	}
	timeout := s.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	_, info := porcupine.CheckOperationsVerbose(*p.model, p.ops, timeout)
	file := filepath.Join(s.Dir, "order-"+strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' {
			return c
		}
		return '_'
	}, p.name)+".html")
	if err := porcupine.VisualizePath(*p.model, info, file); err != nil {
		return fmt.Sprintf(" (no picture: %v)", err)
	}
	return ": " + file
}

// callers numbers clients for pictures, and counts what they asked for.
type callers struct {
	numbers map[string]int
	asked   map[asked]bool
}

// asked names an operation: a client does one thing at a time.
type asked struct {
	client string
	at     Time
}

func (c *callers) of(name string) int {
	n, ok := c.numbers[name]
	if !ok {
		n = len(c.numbers)
		c.numbers[name] = n
	}
	return n
}

// operation makes one for the search.
func (c *callers) operation(o *Operation, input, output any) porcupine.Operation {
	c.asked[asked{o.Client, o.Invoke}] = true
	end := int64(o.Return)
	if o.Return == Forever {
		end = math.MaxInt64
	}
	return porcupine.Operation{ClientId: c.of(o.Client), Input: input, Call: int64(o.Invoke), Output: output, Return: end, Metadata: atRevision(o.Revision)}
}

// atRevision is spelt in pictures alone: there are millions.
type atRevision uint64

func (r atRevision) String() string { return fmt.Sprintf("revision %d", uint64(r)) }

// inOrderOfNames gives the parts of a map.
func inOrderOfNames(m map[string][]porcupine.Operation, model *porcupine.Model) []part {
	var out []part
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, part{name, model, m[name]})
	}
	return out
}
